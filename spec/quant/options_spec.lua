-- Options of Calibrator and Evaluator: what is accepted, and what the original says to the rest.

local options = require "espquant.quant.options"
local types = require "espquant.quant.types"
local core = require "espquant.core"

local NAMES = { "bits", "granularity", "method" }
local MORE = { "mode", "threads", "input_exponent", "log", "outputs", "target", "isa" }

local function parse(...)
  return options.parse({ ... }, NAMES, MORE)
end

describe("options", function()
  it("come by position, with defaults", function()
    local o = parse("int8")
    assert.same({ 8, "per-tensor", "minmax", "chip", "esp32s3" }, { o.bits, o.granularity, o.method, o.mode, o.target })
    o = parse("int8", "per-channel", "entropy")
    assert.same({ 8, "per-channel", "entropy" }, { o.bits, o.granularity, o.method })
    o = parse("int8", nil, "entropy")
    assert.same({ "per-tensor", "entropy" }, { o.granularity, o.method })
    assert.equal(16, parse("int16").bits)
  end)

  it("come by name, and the caller's table stays as it is", function()
    local given = { bits = 16, mode = "original", threads = 0, input_exponent = "measured" }
    local o = parse(given)
    assert.same({ 16, "original", 0, "measured" }, { o.bits, o.mode, o.threads, o.input_exponent })
    assert.same({ bits = 16, mode = "original", threads = 0, input_exponent = "measured" }, given)
    for _, e in ipairs { -5, "measured", { x = -5, y = "measured" } } do
      assert.same(e, parse { bits = "int8", input_exponent = e }.input_exponent)
    end
    for _, e in ipairs { { -5 }, { x = 65 }, { x = "given" }, { x = 0.5 }, true } do
      assert.has_error(function() parse { bits = "int8", input_exponent = e } end)
    end
  end)

  local BITS = "supported quantization bit: 8 or 16; expected `int8` or `int16`, got "
  local REFUSED = {
    { BITS .. '"INT8"', "INT8" },
    { BITS .. "8", 8 },
    { BITS .. "nil" },
    { BITS .. '"int4"', { bits = 4 } },
    { BITS .. "nil", {} },
    { 'supported granularity: `per-tensor` or `per-channel`, got "per-layer"', "int8", "per-layer" },
    { 'supported calibration method: `minmax` or `entropy`, got "kl"', "int8", "per-tensor", "kl" },
    { 'int16 only supports per-tensor quantization, got "per-channel"', "int16", "per-channel" },
    { 'int16 only supports per-tensor quantization, got "per-channel"', "int16", "per-channel", "entropy" },
    { 'int16 only supports minmax calibration method, got "entropy"', "int16", "per-tensor", "entropy" },
    { 'supported mode: `chip` or `original`, got "fast"', { bits = "int8", mode = "fast" } },
    { 'supported target: `esp32`, `esp32s2`, `esp32c3` or `esp32s3`, got "ESP32"', { bits = "int8",
      target = "ESP32" } },
    { 'supported isa: `portable`, `avx2`, `avx512-vnni` or `auto`, got "mmx"', { bits = "int8", isa = "mmx" } },
    { "threads: an integer from 0 (all) to 1024 expected, got -1", { bits = "int8", threads = -1 } },
    { "input_exponent: an integer from -64 to 64, `measured` or a table of these by input expected, got 1.5",
      { bits = "int8", input_exponent = 1.5 } },
    { "input_exponent: an integer from -64 to 64, `measured` or a table of these by input expected, got 65",
      { bits = "int8", input_exponent = 65 } },
    { 'log: a function expected, got "out"', { bits = "int8", log = "out" } },
    { 'outputs: a list of names expected, got "y"', { bits = "int8", outputs = "y" } },
    { "unknown option 'bit'; there are: bits, granularity, method, mode, threads, input_exponent, log, outputs, "
      .. "target, isa", { bit = "int8" } },
    { "4 arguments, expected at most 3: bits, granularity, method; others are given by name, in a table", "int8",
      "per-tensor", "minmax", "chip" },
  }

  for i, case in ipairs(REFUSED) do
    it(("refuse case %d: %s"):format(i, case[1]), function()
      local ok, message = pcall(parse, table.unpack(case, 2))
      assert.same({ false, case[1] }, { ok, message })
    end)
  end

  it("name the provider that there is not", function()
    assert.is_true(options.available { "CPUExecutionProvider" })
    local ok, message, code = options.available { "CPUExecutionProvider", "CUDAExecutionProvider" }
    assert.same({ nil, "unsupported" }, { ok, code })
    assert.matches("Specified provider 'CUDAExecutionProvider' is unavailable.", message, 1, true)
    assert.has_error(function() options.check_providers "CPU" end, 'set_providers: a list of names expected, got "CPU"')
  end)
end)

describe("the original's lists of operators", function()
  it("are those of the operator table", function()
    for _, role in ipairs { "calibrator", "evaluator" } do
      local listed, known = {}, {}
      for _, list in pairs(types[role]) do
        for _, name in ipairs(list) do listed[#listed + 1] = name end
      end
      for _, op in ipairs(core.ops()) do
        if op.v1[role] then known[#known + 1] = op.name end
      end
      table.sort(listed)
      table.sort(known)
      assert.same(known, listed)
    end
  end)

  it("are copies in every object", function()
    local a, b = {}, {}
    types.attributes(a, "calibrator")
    types.attributes(b, "calibrator")
    a.special_type[1] = "x"
    assert.equal("Slice", b.special_type[1])
  end)
end)
