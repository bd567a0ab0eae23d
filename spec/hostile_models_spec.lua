-- Models that are small on disk and large, endless or senseless in what they ask for. Each ends in the right exit code
-- and a message; in a release build within a second of the processor and 64 MB above what the process had before.
-- Bytes that are damaged: hostile_spec.lua; limits: limits_spec.lua; tables and data: hostile_data_spec.lua.
local h = require "spec.support.hostile"
local process = require "spec.support.process"
local w = require "spec.support.wire"

local FLOAT, INT64, BOOL, X, Y, PICTURE = h.FLOAT, h.INT64, h.BOOL, h.X, h.Y, h.PICTURE
local ints, int, floats, attribute_ints, one, conv = h.ints, h.int, h.floats, h.attribute_ints, h.one, h.conv

local function list(n, f)
  local t = {}
  for i = 1, n do t[i] = f(i) end
  return t
end

local function loop(count)
  local body = w.graph { nodes = { w.node("Relu", { "v" }, { "o" }) }, outputs = { w.port("c", BOOL, {}), w.port "o" },
    inputs = { w.port("i", INT64, {}), w.port("c", BOOL, {}), w.port("v", FLOAT, { 1, 4 }) } }
  return one("Loop", { "n", "t", "x" }, { int("n", count), w.tensor("t", BOOL, {}, "\1") },
    { w.attribute("body", { g = body }) })
end

-- Functions that call the next one twice: 2^30 calls, not a node among them.
local function function_bomb()
  local functions = {}
  for i = 1, 30 do
    functions[i] = w.fn { name = "f" .. i, inputs = { "a" }, outputs = { "b" }, nodes = {
      w.node("f" .. i + 1, { "a" }, { "m" }, { domain = "local" }),
      w.node("f" .. i + 1, { "m" }, { "b" }, { domain = "local" }) } }
  end
  functions[31] = w.fn { name = "f31", inputs = { "a" }, outputs = { "a" }, nodes = {} }
  return w.model { inputs = X, outputs = Y, functions = functions,
    nodes = { w.node("f1", { "x" }, { "y" }, { domain = "local" }) } }
end

local function sparse()
  return w.model { inputs = X, outputs = Y, nodes = { w.node("Add", { "x", "s" }, { "y" }) },
    sparse = { w.field(1, w.tensor("s", FLOAT, { 0 }, "")) .. w.field(2, w.tensor("", INT64, { 0 }, ""))
      .. w.field(3, 1 << 31) } }
end

local function nodes(...) return w.model { inputs = X, outputs = Y, nodes = { ... } } end

local function parallel(n)
  local all, names = {}, {}
  for i = 1, n do all[i], names[i] = w.node("Relu", { "x" }, { "r" .. i }), "r" .. i end
  all[n + 1] = w.node("Concat", names, { "y" }, { attributes = { w.attribute("axis", 0) } })
  return w.model { inputs = X, outputs = Y, nodes = all }
end

-- Each Concat of a chain shares its exponent with all that the chain passes through.
local function chain_of_concats(n)
  local all, outputs = { w.node("Relu", { "x" }, { "p0" }) }, {}
  for i = 1, n do
    all[2 * i] = w.node("Reshape", { "p" .. i - 1, "s" }, { "p" .. i })
    all[2 * i + 1] = w.node("Concat", { "p" .. i, "p" .. i }, { "c" .. i }, { attributes = { w.attribute("axis", 1) } })
    outputs[i] = w.port("c" .. i)
  end
  return w.model { inputs = X, outputs = outputs, nodes = all, initializers = { ints("s", 0, 4) } }
end

-- name, exit code of info (and of optimize, run), part of the message, bytes
local CASES = {
  -- bytes
  { "a varint of 11 bytes", 3, "", ("\xff"):rep(11) }, { "tag 0", 3, "", "\0\0" },
  { "field 2^29", 3, "field number", "\x80\x80\x80\x80\x10\x01" }, { "a group", 3, "group", "\x0b\x0c" },
  { "wire type 7", 3, "wire type 7", "\x0f" },
  { "a length of 2^31", 3, "length 2147483648", "\x3a\x80\x80\x80\x80\x08" },
  { "a length of 2^63", 3, "length 9223372036854775808", "\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" },
  -- nesting
  { "a function that calls itself", 5, "calls itself", w.model { inputs = X, outputs = Y, nodes = {
    w.node("f", { "x" }, { "y" }, { domain = "local" }) }, functions = { w.fn { name = "f", inputs = { "a" },
      outputs = { "b" }, nodes = { w.node("f", { "a" }, { "b" }, { domain = "local" }) } } } } },
  { "2^30 calls of functions", 5, "--limit-nodes", function_bomb() },
  -- dimensions
  { "a negative dimension", 3, "-1", one("Add", { "x", "c" }, { w.tensor("c", FLOAT, { -1 }, "") }) },
  { "a product that wraps", 5, "--limit-elements",
    one("Add", { "x", "c" }, { w.tensor("c", FLOAT, { 1 << 62, 4 }, "") }) },
  { "a million dimensions", 5, "--limit-rank", one("Add", { "x", "c" },
    { w.field(1, ("\1"):rep(1000000)) .. w.field(2, 1) .. w.field(8, "c") }) },
  { "a sparse tensor of 2^31", 5, "sparse", sparse() },
  -- payloads
  { "too few bytes", 3, "initializer 'c'", one("Add", { "x", "c" }, { w.tensor("c", FLOAT, { 4 }, "1234") }) },
  { "too many bytes", 3, "initializer 'c'", one("Add", { "x", "c" }, { w.tensor("c", FLOAT, { 1 }, ("1"):rep(64)) }) },
  { "type 0", 3, "initializer 'c'", one("Add", { "x", "c" }, { w.tensor("c", 0, { 1 }, "1234") }) },
  { "type 99", 3, "initializer 'c'", one("Add", { "x", "c" }, { w.tensor("c", 99, { 1 }, "1234") }) },
  { "strings", 4, "initializer 'c'", one("Add", { "x", "c" }, { w.tensor("c", 8, { 1 }, "1234") }) },
  -- the graph
  { "a cycle", 3, "cycle", nodes(w.node("Add", { "x", "b" }, { "a" }), w.node("Relu", { "a" }, { "b" }),
    w.node("Relu", { "b" }, { "y" })) },
  { "a node that reads itself", 3, "cycle", nodes(w.node("Add", { "x", "y" }, { "y" })) },
  { "an output made twice", 3, "defined twice",
    nodes(w.node("Relu", { "x" }, { "y" }), w.node("Neg", { "x" }, { "y" })) },
  { "an input of nobody", 3, "made by nobody", nodes(w.node("Add", { "x", "q" }, { "y" })) },
  { "two initializers of a name", 3, "defined twice",
    one("Add", { "x", "c" }, { floats("c", { 1 }, 1), floats("c", { 1 }, 2) }) },
  { "10^6 nodes", 5, "--limit-nodes", function()
    return w.model { inputs = X, outputs = Y, nodes = list(1000000, function() return "" end) }
  end },
  { "10^5 inputs", 5, "--limit-inputs", function()
    return nodes(w.node("Concat", list(100000, function() return "x" end), { "y" },
      { attributes = { w.attribute("axis", 0) } }))
  end },
  { "60,000 inputs", 0, "60000x4", function()
    return nodes(w.node("Concat", list(60000, function() return "x" end), { "y" },
      { attributes = { w.attribute("axis", 0) } }))
  end },
  { "5,000 nodes side by side", 0, "5000x4", function() return parallel(5000) end },
  { "a chain of 2,000 Concats", 0, "output c2: float32 1x8", function() return chain_of_concats(2000) end },
  -- names
  { "a name of 1 MB", 5, "1048576 bytes", nodes(w.node("Relu", { "x" }, { ("y"):rep(1 << 20) })) },
  { "a name with NUL", 3, "NUL", nodes(w.node("Relu", { "x" }, { "y\0" })) },
  { "a name that is no UTF-8", 3, "UTF-8", nodes(w.node("Relu", { "x" }, { "y\xff" })) },
  -- operators
  { "group 0", 3, "group", conv { w.attribute("group", 0) } },
  { "a group that does not divide", 3, "'bad'", conv { w.attribute("group", 3) } },
  { "kernel 0", 3, "'bad'", conv({ attribute_ints("kernel_shape", 0, 0) }, { 2, 2, 0, 0 }) },
  { "stride 0", 3, "strides", conv { attribute_ints("strides", 0, 0) } },
  { "dilation 0", 3, "dilations", conv { attribute_ints("dilations", 0, 0) } },
  { "auto_pad unknown", 3, "auto_pad", conv { w.field(1, "auto_pad") .. w.field(4, "WHAT") .. w.field(20, 3) } },
  { "a kernel larger than the input", 3, "'bad'", conv(nil, { 2, 2, 9, 9 }) },
  { "a window larger than the input", 3, "'bad'",
    one("MaxPool", { "x" }, nil, { attribute_ints("kernel_shape", 9, 9) }, PICTURE) },
  { "Reshape to two -1", 3, "'bad'", one("Reshape", { "x", "s" }, { ints("s", -1, -1) }) },
  { "Slice of step 0", 3, "'bad'", one("Slice", { "x", "a", "b", "c", "d" },
    { ints("a", math.mininteger), ints("b", math.maxinteger), ints("c", 0), ints("d", 0) }) },
  { "Transpose that repeats", 3, "perm", one("Transpose", { "x" }, nil, { attribute_ints("perm", 0, 0) }) },
  { "Concat along axis 9", 3, "axis", one("Concat", { "x", "x" }, nil, { w.attribute("axis", 9) }) },
  { "Resize by 1e30", 5, "'bad'",
    one("Resize", { "x", "", "s" }, { floats("s", { 4 }, 1, 1, 1e30, 1e30) }, nil, PICTURE) },
  { "Resize by NaN", 3, "'bad'",
    one("Resize", { "x", "", "s" }, { floats("s", { 4 }, 1, 1, 0 / 0, 1) }, nil, PICTURE) },
  { "Expand to 2^40", 5, "too many elements", one("Expand", { "x", "s" }, { ints("s", 1 << 40, 4) }) },
  { "ConstantOfShape 2^40", 5, "too many elements", one("ConstantOfShape", { "s" }, { ints("s", 1 << 40) }) },
  { "Range of 2^60", 5, "too many elements",
    one("Range", { "a", "b", "c" }, { int("a", 0), int("b", 1 << 60), int("c", 1) }) },
  { "Tile by 2^40", 5, "too many elements", one("Tile", { "x", "s" }, { ints("s", 1 << 40, 1 << 40) }) },
  { "Loop of 2^63", 5, "rounds", loop(math.maxinteger) },
  -- what a run would compute: within what one tensor may have, beyond the memory
  { "Expand to 2^30", 5, "Expand 'bad': it needs", one("Expand", { "x", "s" }, { ints("s", 1 << 28, 4) }) },
  { "ConstantOfShape 2^30", 5, "ConstantOfShape 'bad': it needs",
    one("ConstantOfShape", { "s" }, { ints("s", 1 << 30) }) },
  { "Range of 2^30", 5, "Range 'bad': it needs",
    one("Range", { "a", "b", "c" }, { int("a", 0), int("b", 1 << 30), int("c", 1) }) },
  { "Tile to 2^30", 5, "Tile 'bad': it needs", one("Tile", { "x", "s" }, { ints("s", 1 << 14, 1 << 14) }) },
  { "Pad to 2^30", 5, "Pad 'bad': it needs", one("Pad", { "x", "s" }, { ints("s", 0, 0, 1 << 15, 1 << 15) }) },
  { "Resize to 2^30", 5, "Resize 'bad': it needs",
    one("Resize", { "x", "", "", "s" }, { ints("s", 1, 2, 1 << 14, 1 << 15) }, nil, PICTURE) },
  { "an input of 2^63 x 2", 5, "Relu 'bad': ",
    one("Relu", { "x" }, nil, nil, { w.port("x", FLOAT, { math.maxinteger, 2 }) }) },
  { "a Split of 2^63 - 1", 5, "Split 'bad': input 'x': shape 9223372036854775807 has too many elements",
    one("Split", { "x" }, nil, { w.attribute("num_outputs", 1) }, { w.port("x", FLOAT, { math.maxinteger }) }) },
  { "an input of 2^30", 5, "Relu 'bad': it needs",
    one("Relu", { "x" }, nil, nil, { w.port("x", FLOAT, { 1, 1 << 30 }) }) },
}

-- Weights that cannot be quantized, or are odd: code of calibrate.
local function gemm(...) return one("Gemm", { "x", "w" }, { floats("w", { 4, 2 }, ...) }) end
local function bn(epsilon, variance)
  return w.model { inputs = X, outputs = Y, nodes = { w.node("BatchNormalization", { "x", "s", "b", "m", "v" }, { "y" },
    { name = "bad", attributes = { w.attribute("epsilon", { f = epsilon }) } }) },
    initializers = { floats("s", { 4 }, 1, 1, 1, 1), floats("b", { 4 }, 0, 0, 0, 0), floats("m", { 4 }, 0, 0, 0, 0),
      floats("v", { 4 }, 1, 1, 1, variance) } }
end
local nan, inf = 0 / 0, math.huge
local WEIGHTS = {
  { "NaN", { [1] = true, [4] = true }, "its weight 'w' holds", gemm(1, 2, 3, nan, 5, 6, 7, 8) },
  { "infinite", { [1] = true, [4] = true }, "its weight 'w' holds inf", gemm(1, 2, 3, inf, 5, 6, 7, 8) },
  { "denormal", { [0] = true }, "", gemm(1e-40, 1e-41, 0, 0, 0, 0, 0, 0) },
  { "zero", { [0] = true }, "", gemm(0, 0, 0, 0, 0, 0, 0, 0) },
  { "with an outlier", { [0] = true, [3] = true, [4] = true }, "", gemm(1e38, 2, 3, 4, 5, 6, 7, 8) },
  { "of a negative variance", { [3] = true, [4] = true }, "'bad'", bn(1e-5, -1) },
  { "of variance and epsilon 0", { [3] = true, [4] = true }, "'bad'", bn(0, 0) },
}

local folder
setup(function() folder = process.folder() end)
teardown(function() process.remove(folder) end)

local function measure(bytes) return h.measure(folder, { bytes })[1] end

describe("a model of #unit", function()
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local steps = measure(case[4])
      for _, command in ipairs { "info", "optimize" } do
        local step = steps[command]
        assert.equal(case[2], step.code, command .. ": " .. step.text)
        if case[2] ~= 0 or command == "info" then assert.matches(case[3], step.text, 1, true) end
      end
      for _, command in ipairs { "check", "run", "calibrate" } do
        local code = steps[command].code
        assert.is_true(case[2] == 0 and code == 0 or case[2] ~= 0 and ({ true, false, true, true, true })[code],
          ("%s: %d %s"):format(command, code, steps[command].text))
      end
      if case[2] == 5 then assert.equal(5, steps.check.code, steps.check.text) end
    end)
  end
end)

describe("weights #unit", function()
  for _, case in ipairs(WEIGHTS) do
    it(case[1], function()
      local step = measure(case[4]).calibrate
      assert.is_true(case[2][step.code], ("%d: %s"):format(step.code, step.text))
      if step.code ~= 0 then assert.matches(case[3], step.text, 1, true) end
    end)
  end
end)
