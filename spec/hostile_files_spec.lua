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

-- A tensor whose data lie elsewhere: part of the message, then keys and values.
local ELSEWHERE = {
  { "inside the model's folder", "location", "../../etc/passwd" },
  { "inside the model's folder", "location", "/etc/passwd" }, { "No such file", "location", "nowhere" },
  { "offset is '-1'", "location", "2.onnx", "offset", "-1" },
  { "from byte 9223372036854775807", "location", "2.onnx", "offset", "9223372036854775807" },
  { "length is '18446744073709551616'", "location", "2.onnx", "length", "18446744073709551616" },
  { "is no SHA-1", "location", "2.onnx", "checksum", "1234" }, { "no location" },
}
for _, case in ipairs(ELSEWHERE) do
  local fields = w.field(1, 1) .. w.field(2, 1) .. w.field(14, 1)
  for i = 2, #case, 2 do fields = fields .. w.field(13, w.field(1, case[i]) .. w.field(2, case[i + 1])) end
  MESSAGES[#MESSAGES + 1] = { "external data: " .. case[1], 3, case[1], constant(fields) }
end

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

local NAMES = { "../x", "/etc/x", '"; system("touch owned"); "', "</script>", "%n%s%1", "int", "a b", "a_b",
  "$(touch owned)", "`touch owned`", "-o", "..", "con", ("n"):rep(4000) }

describe("names are no more than names #unit:", function()
  it("in reports, tables, files of arrays and C++", function()
    local nodes, before = {}, "x"
    for i, name in ipairs(NAMES) do
      nodes[i], before = w.node("Gemm", { before, "w" .. i }, { name }, { name = name }), name
    end
    local weights = {}
    for i in ipairs(NAMES) do weights[i] = w.tensor("w" .. i, h.FLOAT, { 4, 4 }, ("\0\0\128\63"):rep(16)) end
    put("m.onnx", w.model { inputs = h.X, outputs = { w.port(before) }, initializers = weights, nodes = nodes })
    require "espquant.npy".save(folder .. "/x.npy", require "espquant.core".tensor({ 1, 4 }, "float32"))
    local function works(status, ...)
      local r = espquant(...)
      assert.equal(status, r.status, table.concat({ ... }, " ") .. ": " .. r.stderr)
      return r
    end
    works(0, "info", "m.onnx")
    works(0, "check", "m.onnx")
    works(0, "optimize", "m.onnx", "-o", "o.onnx")
    works(0, "calibrate", "m.onnx", "-d", "x.npy", "-o", "t.json")
    works(0, "info", "t.json")
    works(0, "export", "m.onnx", "-t", "t.json")
    works(0, "codegen", "m.onnx", "-t", "t.json", "-d", "x.npy", "--name", "net")
    works(0, "evaluate", "m.onnx", "-t", "t.json", "-d", "x.npy", "--layers", "--json")
    works(0, "run", "m.onnx", "-d", "x.npy", "--tensor=/etc/x", "-o", "y.npz")
    assert.matches("would leave the folder", works(3, "run", "m.onnx", "-d", "x.npy", "--tensor=../x", "-o",
      "z.npz").stderr)
    assert.equal("", process.run({ "find", folder, "-name", "owned" }).stdout)
    for name in process.run({ "ls", "-A", folder }).stdout:gmatch "[^\n]+" do
      assert.matches("^[%w_]+%.?[%w]*$", name)
    end
  end)
end)
