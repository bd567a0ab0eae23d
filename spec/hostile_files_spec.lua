-- Files that are no models, models nested without end, tensors that contradict themselves, names that mean something
-- where they go: each command ends in a message, with the right exit code, at once.
local h = require "spec.support.hostile"
local process = require "spec.support.process"
local w = require "spec.support.wire"

local folder
setup(function() folder = process.folder() end)
teardown(function() process.remove(folder) end)

local function espquant(...) return process.run({ "timeout", "20", process.espquant, ... }, { cwd = folder }) end

local function put(name, bytes) return process.write_file(folder .. "/" .. name, bytes) end

-- --- what is no file ----------------------------------------------------------------------------------------------

local ODD = {
  { "an empty file", function() put("odd", "") return "odd" end, "it is empty" },
  { "a file of one byte", function() put("odd", "\8") return "odd" end, "not a valid ONNX model" },
  { "a folder", function() -- in which info looks for pictures
    assert.equal(0, process.run({ "mkdir", "-p", "sub" }, { cwd = folder }).status)
    return "sub"
  end, "sub: " },
  { "a pipe that nobody writes to", function()
    assert.equal(0, process.run({ "mkfifo", "pipe" }, { cwd = folder }).status)
    return "pipe"
  end, "is a pipe" },
  { "a device without end", function() return "/dev/zero" end, "/dev/zero: is a" },
  { "a device that is empty", function() return "/dev/null" end, "/dev/null: is a" },
  { "a file behind a file", function() put("odd", "") return "odd/m.onnx" end, "Not a directory" },
  { "a name of 5,000 bytes", function() return ("n"):rep(5000) end, "File name too long" },
}

describe("a model that is #unit", function()
  for _, case in ipairs(ODD) do
    it(case[1], function()
      local path = case[2]()
      put("x.npy", "")
      for _, words in ipairs {
        { "info", path }, { "check", path }, { "optimize", path, "-o", "out.onnx" }, { "run", path, "-d", "x.npy" },
        { "calibrate", path, "-d", "x.npy", "-o", "t.json" },
      } do
        local r = espquant(table.unpack(words))
        assert.equal(3, r.status, words[1] .. ": " .. r.stderr)
        assert.matches(case[3], r.stderr, 1, true)
        assert.is_nil(r.stderr:find("traceback", 1, true))
      end
    end)
  end
end)

-- --- messages -----------------------------------------------------------------------------------------------------

-- `depth` messages, each inside of the next, from their field numbers outwards in turn.
local function nested(depth, ...)
  local numbers, heads, size = { ... }, {}, 0
  for i = 1, depth do
    local number, length = numbers[(i - 1) % #numbers + 1], size
    local head = string.char(number << 3 | 2)
    repeat
      head = head .. string.char(length >= 128 and length & 127 | 128 or length)
      length = length >> 7
    until length == 0
    heads[depth + 1 - i], size = head, size + #head
  end
  return table.concat(heads)
end

local function constant(fields) return h.one("Add", { "x", "c" }, { w.field(8, "c") .. fields }) end

local MESSAGES = {
  -- graph: node: attribute: graph ..., a type inside a sequence inside a sequence ...
  { "graphs in attributes, 10^5 deep", 5, "--limit-depth", w.field(7, nested(99999, 6, 5, 1)) },
  { "types in types, 10^5 deep", 5, "--limit-depth", w.field(7, w.field(11, w.field(2, nested(100000, 1, 4)))) },
  { "a group's end", 3, "group", "\x0c" }, { "wire type 6", 3, "wire type 6", "\x0e" },
  { "a length past the end", 3, "has length 9, but its message ends after 1 bytes", "\x3a\x09\x00" },
  { "raw and typed data", 3, "has both float_data and raw_data",
    constant(w.field(1, 1) .. w.field(2, 1) .. w.field(4, "\0\0\0\0") .. w.field(9, "\0\0\0\0")) },
  { "data of another type", 3, "initializer 'c'", constant(w.field(1, 1) .. w.field(2, 1) .. w.field(7, "\1")) },
  { "no data", 3, "initializer 'c'", constant(w.field(1, 4) .. w.field(2, 1)) },
  { "data and no shape", 3, "initializer 'c'", constant(w.field(2, 1) .. w.field(9, ("\0"):rep(64))) },
}

-- --- names --------------------------------------------------------------------------------------------------------

local function named(name) return h.one("Relu", { "x" }, nil, nil):gsub("\3bad", w.field(3, name):sub(2), 1) end

for _, name in ipairs { "new\nline", "tab\there", "\27[2J", "\127", "\xc2\x9b31m" } do
  MESSAGES[#MESSAGES + 1] = { ("a name such as %q"):format(name), 3, "a name holds a control character", (named(name)) }
end

describe("a message of #unit", function()
  local all
  setup(function()
    local models = {}
    for i, case in ipairs(MESSAGES) do models[i] = case[4] end
    all = h.measure(folder, models)
  end)

  for i, case in ipairs(MESSAGES) do
    it(case[1], function()
      for command, step in pairs(all[i]) do
        assert.equal(case[2], step.code, command .. ": " .. step.text)
        assert.matches(case[3], step.text, 1, true)
      end
    end)
  end
end)

describe("names are no more than names #unit:", function()
  local function model(name)
    return w.model { inputs = { w.port("x", 1, { 1, 4 }) }, outputs = { w.port(name) },
      initializers = { h.floats("w", { 4, 2 }, 1, 2, 3, 4, 5, 6, 7, 8) },
      nodes = { w.node("Gemm", { "x", "w" }, { name }, { name = name }) } }
  end

  for _, name in ipairs { "../x", "/etc/x", '"; system("touch owned"); "', "</script>", "%n%s%1", "int", "a b",
    "$(touch owned)", "`touch owned`", "-o", "..", "con", ("n"):rep(4000) } do
    it(name:sub(1, 30), function()
      put("m.onnx", model(name))
      require "espquant.npy".save(folder .. "/x.npy", require "espquant.core".tensor({ 1, 4 }, "float32"))
      for _, words in ipairs { { "info", "m.onnx" }, { "check", "m.onnx" }, { "optimize", "m.onnx", "-o", "o.onnx" },
        { "calibrate", "m.onnx", "-d", "x.npy", "-o", "t.json" }, { "info", "t.json" },
        { "export", "m.onnx", "-t", "t.json" }, { "run", "m.onnx", "-d", "x.npy" },
        { "run", "m.onnx", "-t", "t.json", "-d", "x.npy", "--tensor=" .. name, "-o", "y.npz" },
        { "evaluate", "m.onnx", "-t", "t.json", "-d", "x.npy", "--layers", "--json" } } do
        local r = espquant(table.unpack(words))
        local leaves = words[#words] == "y.npz" and ("/" .. name .. "."):find("/%.%./")
        assert.equal(leaves and 3 or 0, r.status, table.concat(words, " ") .. ": " .. r.stderr)
      end
      assert.equal("", process.run({ "find", folder, "-name", "owned" }).stdout)
      local names = process.run({ "ls", "-A", folder }).stdout
      assert.equal("", (names:gsub("[%w]+%.%w+\n", ""):gsub("pipe\n", ""):gsub("odd\n", ""):gsub("sub\n", "")))
    end)
  end
end)
