-- The convert tool: byte for byte the original's on its recorded cases, and a clear message for anything wrong.
local coefficients = require "spec.support.coefficients"
local convert = require "espquant.export.convert"
local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"
local json = require "espquant.json"
local mutate = require "spec.support.mutate"
local npy = require "espquant.npy"
local process = require "spec.support.process"

local GRANULARITY = { [0] = "per-tensor", [1] = "per-channel" }

local folder, out

before_each(function()
  folder, out = process.folder(), process.folder()
end)

after_each(function()
  process.remove(folder)
  process.remove(out)
end)

local pack

-- The files of recorded case k, and the pack of all cases.
local function recorded(k)
  pack = pack or fixtures.open "convert_tool"
  local files = {}
  local prefix = k .. "/npy/"
  for path, bytes in pairs(pack.files) do
    if path:sub(1, #prefix) == prefix then files[path:sub(#prefix + 1)] = bytes end
  end
  return files, pack
end

local function save(files)
  for name, bytes in pairs(files) do process.write_file(folder .. "/" .. name, bytes) end
end

local function run(options)
  local r = { log = {} }
  local all = { folder = folder, path = out, name = "coef", log = function(line) r.log[#r.log + 1] = line end }
  for key, value in pairs(options or {}) do all[key] = value end
  r.ok, r.message, r.code, r.problems = convert.write(all)
  r.cpp, r.hpp = coefficients.read(out .. "/coef.cpp"), coefficients.read(out .. "/coef.hpp")
  return r
end

local function refused(pattern, code, options)
  local r = run(options)
  assert.is_nil(r.ok)
  assert.matches(pattern, r.message)
  assert.equal(code, r.code)
  assert.same({}, coefficients.entries(out))
  return r
end

local function tensor(shape, scale)
  local list, count = {}, 1
  for _, d in ipairs(shape) do count = count * d end
  for i = 1, count do list[i] = (i * 7 % 23 - 11) / 16 * (scale or 1) end
  return core.tensor_from(list, "float32", shape)
end

-- config.json and the arrays of a folder.
local function write(config, arrays)
  process.write_file(folder .. "/config.json", type(config) == "string" and config or json.encode(config))
  for name, t in pairs(arrays or {}) do assert(npy.save(folder .. "/" .. name .. ".npy", t)) end
end

describe("convert", function()
  local compared = 0

  for k = 0, 5 do
    it("writes what the original wrote: case " .. k, function()
      local files, case = recorded(k)
      local args = case.json(k .. "/args.json")
      save(files)
      local r = run { target = args.target_chip, granularity = GRANULARITY[args.quant], name = args.name }
      assert.is_true(r.ok, r.message)
      assert.is_true(case.bytes(k .. "/coef.cpp") == r.cpp, "coef.cpp differs")
      assert.is_true(case.bytes(k .. "/coef.hpp") == r.hpp, "coef.hpp differs")
      compared = compared + 1
    end)
  end

  it("has compared every recorded case", function()
    local _, case = recorded(0)
    local count = 0
    for path in pairs(case.files) do
      if path:match "args%.json$" then count = count + 1 end
    end
    assert.equal(count, compared)
    print(("convert tool: %d of %d cases identical"):format(compared, count))
  end)

  it("is a command with the original's options", function()
    local files, case = recorded(4)
    save(files)
    local r = process.run {
      process.espquant, "convert", "-t", "esp32c3", "-i", folder, "-j", "config.json", "-n", "coef", "-o", out,
      "-q", "1",
    }
    assert.equal(0, r.status, r.stderr)
    assert.is_true(case.bytes "4/coef.cpp" == coefficients.read(out .. "/coef.cpp"))
    assert.matches("^4 layers for esp32c3: ", r.stdout)
    assert.equal(2, process.run({ process.espquant, "convert" }).status)
    assert.equal(2, process.run({ process.espquant, "convert", folder, "-i", folder }).status)
    assert.equal(2, process.run({ process.espquant, "convert", folder, "-q", "2" }).status)
    r = process.run { process.espquant, "convert", folder .. "/missing" }
    assert.equal(3, r.status)
    assert.matches("missing/config.json", r.stderr)
  end)

  it("keeps the order of the file, and takes the kernel's other name and a matrix of two axes", function()
    write([[{"z": {"operation": "fully_connected", "feature_type": "s8"},
      "a": {"operation": "conv2d", "feature_type": "s8"}}]],
      { z_kernel = tensor { 3, 2 }, a_filter = tensor { 1, 1, 2, 3 } })
    local r = run()
    assert.is_true(r.ok, r.message)
    assert.matches("get_z_filter%(%);\n.*get_a_filter%(%);", r.hpp)
    assert.matches("z_filter%(z_filter_element, %-7, {1, 1, 3, 2}, {1, 1}%)", r.cpp)
  end)

  it("gives 0 to a channel of zeros, and ignores filter_exponent per channel", function()
    local layer = { operation = "conv2d", feature_type = "s8", filter_exponent = -3 }
    write({ a = layer }, { a_filter = core.tensor_from({ 0.5, 0, 0.25, 0 }, "float32", { 1, 1, 2, 2 }) })
    local r = run { granularity = "per-channel" }
    assert.matches("a_filter_exponent%[%] = {%-7, 0};", r.cpp)
  end)

  it("takes any non-empty bias for one, and other types of numbers", function()
    local layer = {
      operation = "conv2d", feature_type = "s8", bias = "False", output_exponent = -4, filter_exponent = 0,
    }
    write({ a = layer }, {
      a_filter = core.tensor_from({ 1, 2 }, "int32", { 1, 1, 1, 2 }), a_bias = core.tensor_from({ 1, -1 }, "float64"),
    })
    local r = run()
    assert.is_true(r.ok, r.message)
    assert.matches("a_bias_element%[%] = {\n            16,    %-16};", r.cpp)
    layer.bias = ""
    write { a = layer }
    assert.is_nil(run().cpp:find "bias")
  end)

  it("warns of fields that nobody reads", function()
    local layer = { operation = "conv2d", feature_type = "s8", filter_exponant = -3 }
    write({ a = layer }, { a_filter = tensor { 1, 1, 2, 3 } })
    assert.same("warning: layer 'a': 'filter_exponant' is unknown", run().log[1])
  end)
end)

describe("convert refuses", function()
  local CONV = { operation = "conv2d", feature_type = "s8" }

  local function conv(more)
    local facts = {}
    for key, value in pairs(CONV) do facts[key] = value end
    for key, value in pairs(more) do facts[key] = value end
    return facts
  end

  it("a config that is missing, no JSON, or no object of layers", function()
    refused("config.json", "io")
    for text, pattern in pairs {
      [""] = "config.json: json", ["{"] = "config.json: json", ["[]"] = "expected an object",
      ["{}"] = "expected an object",
      ["3"] = "expected an object", ["null"] = "expected an object", ['["a"]'] = "expected an object",
      ['{"a": 1, "a": 2}'] = "the key \"a\" comes twice",
    } do
      write(text)
      refused(pattern, "format")
    end
  end)

  it("a target, a name and a granularity that do not exist", function()
    write({ a = CONV }, { a_filter = tensor { 1, 1, 2, 3 } })
    refused("no target 'esp32p4'", "unsupported", { target = "esp32p4" })
    refused("is no name for the files", "format", { name = "../x" })
    refused("cannot write into folder", "io", { path = out .. "/missing" })
    assert.has_error(function() run { granularity = "x" } end)
  end)

  -- Field by field: the layer's facts, its arrays beside the filter, the problem.
  local CASES = {
    { 3, {}, "is no object" },
    { json.null, {}, "is no object" },
    { { feature_type = "s8" }, {}, "operation is missing" },
    { conv { operation = "conv3d" }, {}, 'operation "conv3d", expected conv2d, depthwise_conv2d or fully_connected' },
    { conv { operation = json.array { 1 } }, {}, "operation is no text, expected" },
    { { operation = "conv2d" }, {}, "feature_type is missing" },
    { conv { feature_type = "u8" }, {}, 'feature_type "u8", expected s8 or s16' },
    { conv { filter_exponent = 0.5 }, {}, "filter_exponent is 0.5, expected an integer" },
    { conv { filter_exponent = 128 }, {}, "filter_exponent is 128, expected an integer from %-127 to 127" },
    { conv { filter_exponent = "-3" }, {}, 'filter_exponent is "%-3"' },
    { conv { bias = "True" }, { a_bias = tensor { 3 } }, "must provide output_exponent for quantization of bias" },
    { conv { bias = "True", output_exponent = -3 }, {}, "a_bias.npy" },
    { conv { bias = "True", output_exponent = -3 }, { a_bias = tensor { 2 } }, "bias.npy holds 2 numbers, expected 3" },
    { conv { activation = "ReLU" }, {}, 'activation type "ReLU", expected ReLU' },
    { conv { activation = json.object() }, {}, "activation type is missing" },
    { conv { activation = { type = "ReLU6" } }, {}, 'activation type "ReLU6"' },
    { conv { activation = { type = "PReLU" } }, {}, "a_activation.npy" },
    { conv { activation = { type = "PReLU" } }, { a_activation = tensor { 1 } }, "holds 1 numbers, expected 3" },
    { conv { activation = { type = "LeakyReLU" } }, { a_activation = tensor { 3 } }, "holds 3 numbers, expected 1" },
    { conv { activation = { type = "LeakyReLU" } }, { a_activation = core.tensor { 1 } }, "holds only zeros" },
    { conv { activation = { type = "PReLU", exponent = 128 } }, { a_activation = tensor { 3 } }, "exponent is 128" },
    { conv {}, { a_filter = tensor { 1, 2, 3 } }, "has the shape %(1, 2, 3%), expected %(H, W, I, O%)" },
    { conv {}, { a_filter = core.tensor { 1, 1, 2, 3 } }, "only zeros, which have no exponent: give filter_exponent" },
    { conv {}, { a_filter = core.tensor { 1, 1, 0, 3 } }, "a_filter.npy is empty" },
    { conv {}, { a_filter = tensor { 1, 1, 2, 3 } * (0 / 0) }, "holds NaN or an infinity" },
    { conv {}, { a_filter = tensor { 1, 1, 2, 3 } * math.huge }, "holds NaN or an infinity" },
    { conv { operation = "depthwise_conv2d" }, {}, "has the shape %(1, 1, 2, 3%), expected %(H, W, C, 1%)" },
    { conv { operation = "fully_connected" }, { a_filter = tensor { 3, 1, 2, 3 } }, "has the shape %(3, 1, 2, 3%)" },
  }

  for i, case in ipairs(CASES) do
    it("a layer that is wrong #unit: " .. i .. ", " .. case[3]:gsub("%%", ""), function()
      local arrays = { a_filter = tensor { 1, 1, 2, 3 } }
      for name, t in pairs(case[2]) do arrays[name] = t end
      write({ a = case[1] }, arrays)
      local r = refused(case[3], "format")
      assert.matches("layer 'a': ", r.message)
    end)
  end

  it("int16 per channel", function()
    write({ a = conv { feature_type = "s16" } }, { a_filter = tensor { 1, 1, 2, 3 } })
    refused("s16 knows only per%-tensor", "format", { granularity = "per-channel" })
    write { a = conv { bias = "True", output_exponent = -3 } }
    refused("must provide input_exponent", "format", { granularity = "per-channel" })
  end)

  it("names that C++ cannot have, or that leave the folder", function()
    for _, name in ipairs { "1a", "a b", "", "../a", "a\n", '"; system("', "\xC3\xA9", "*/", "%n" } do
      write { [name] = CONV }
      refused("no identifier of C%+%+", "format")
    end
    local f = tensor { 1, 1, 2, 3 }
    write({ a = CONV, get_a = CONV }, { a_filter = f, get_a_filter = f })
    refused("layer 'get_a': its objects are called as the getters of 'a'", "format")
  end)

  it("everything at once, and leaves old files as they were", function()
    write('{"b": {"operation": "conv2d"}, "a": {"operation": "x", "feature_type": "s8"}, "c": 1}')
    process.write_file(out .. "/coef.cpp", "old")
    local r = run()
    assert.equal("old", r.cpp)
    assert.is_nil(r.hpp)
    assert.same({
      "layer 'b': feature_type is missing, expected s8 or s16",
      "layer 'a': operation \"x\", expected conv2d, depthwise_conv2d or fully_connected", "layer 'c': is no object",
    }, r.problems)
    assert.matches("layer 'b'.*%(and 2 more%)$", r.message)
  end)

  it("damaged files, with a message of their names", function()
    local rng, files = mutate.rng(7), recorded(1)
    local names = { "config.json", "l1_filter.npy", "l1_bias.npy", "l1_activation.npy", "l2_filter.npy" }
    local refusals = 0
    for i = 1, 150 do
      local name = names[i % #names + 1]
      local damaged = i % 3 == 0 and files[name]:sub(1, rng(#files[name]) - 1) or mutate.bytes(rng, files[name])
      save(files)
      save { [name] = damaged }
      local r = run()
      if not r.ok then
        refusals = refusals + 1
        assert.matches("%S", r.message)
        assert.same({}, { r.cpp, r.hpp })
      end
      os.remove(out .. "/coef.cpp")
      os.remove(out .. "/coef.hpp")
    end
    assert.same({}, coefficients.entries(out))
    assert.is_true(refusals > 50, refusals .. " refusals")
  end)
end)
