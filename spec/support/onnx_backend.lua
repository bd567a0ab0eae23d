--- ONNX's own backend tests, as Debian's libonnx-testdata installs them: a folder per model, with sets of inputs and
--- expected outputs.

local core = require "espquant.core"
local onnx = require "espquant.onnx"

local M = {}

M.root = "/usr/share/libonnx-testdata/data/"

local function exists(path)
  local file = io.open(path)
  return file and file:close() and true
end

--- The cases of a suite ("node", "pytorch-converted" ...), sorted: list of {name, path, suite}.
function M.cases(suite)
  local list = {}
  local pipe = assert(io.popen("ls '" .. M.root .. suite .. "'"))
  for name in pipe:lines() do
    local path = M.root .. suite .. "/" .. name
    if exists(path .. "/model.onnx") then list[#list + 1] = { name = name, path = path, suite = suite } end
  end
  pipe:close()
  return list
end

-- The fields of a protobuf message in bytes: number, value (an integer or the bytes of a block). Test data is trusted.
local function fields(bytes)
  local at = 1
  local function varint()
    local value, shift = 0, 0
    repeat
      local b = bytes:byte(at)
      value, shift, at = value | (b & 0x7f) << shift, shift + 7, at + 1
    until b < 0x80
    return value
  end
  return function()
    if at > #bytes then return nil end
    local tag = varint()
    local wire = tag & 7
    if wire == 0 then return tag >> 3, varint() end
    local size = wire == 1 and 8 or wire == 5 and 4 or varint()
    at = at + size
    return tag >> 3, bytes:sub(at - size, at - 1)
  end
end

--- The set of operators of a case's model, read without our reader, so that what we cannot read is counted too.
function M.operators(case)
  local set, file = {}, assert(io.open(case.path .. "/model.onnx", "rb"))
  for field, graph in fields(file:read "a") do
    for number, node in fields(field == 7 and graph or "") do
      for n, op in fields(number == 1 and node or "") do
        if n == 4 then set[op] = true end
      end
    end
  end
  file:close()
  return set
end

local function tensors(folder, kind)
  local list = {}
  while exists(("%s/%s_%d.pb"):format(folder, kind, #list)) do
    local t, message = onnx.load_tensor(("%s/%s_%d.pb"):format(folder, kind, #list))
    if not t then return nil, message end
    list[#list + 1] = t
  end
  return list
end

-- Integers and booleans are compared exactly, floats within ONNX's own bounds.
local RELATIVE, ABSOLUTE = 1e-3, 1e-7

local function is_float(dtype) return dtype:match "^float" ~= nil end

--- Nil when `got` is what is expected, else what is wrong.
function M.difference(expected, got)
  if got.dtype ~= expected.dtype then return ("type %s, expected %s"):format(got.dtype, expected.dtype) end
  if table.concat(got.shape, "x") ~= table.concat(expected.shape, "x") then
    return ("shape [%s], expected [%s]"):format(table.concat(got.shape, "x"), table.concat(expected.shape, "x"))
  end
  local a, b = expected:reshape({ -1 }):totable(), got:reshape({ -1 }):totable()
  local exact = not is_float(expected.dtype)
  for i = 1, #a do
    local x, y = a[i], b[i]
    local same = x == y or x ~= x and y ~= y
    if not same and not exact then same = math.abs(x - y) <= ABSOLUTE + RELATIVE * math.abs(x) end
    if not same then return ("element %d is %s, expected %s"):format(i - 1, y, x) end
  end
end

local function run_set(graph, folder)
  local inputs, message = tensors(folder, "input")
  if not inputs then return message end
  local expected
  expected, message = tensors(folder, "output")
  if not expected then return message end
  local outputs
  outputs, message = core.evaluate(graph, inputs)
  if not outputs then return message end
  for i, e in ipairs(expected) do
    local difference = M.difference(e, outputs[i])
    if difference then return ("output %d: %s"):format(i, difference) end
  end
end

--- The inputs of a case's first set.
function M.inputs(case) return tensors(case.path .. "/test_data_set_0", "input") end

--- Runs all sets of a case: nil when every output is right, else what is wrong.
function M.run(case)
  local graph, message = onnx.load(case.path .. "/model.onnx")
  if not graph then return message end
  local k = 0
  while exists(("%s/test_data_set_%d/output_0.pb"):format(case.path, k)) do
    local problem = run_set(graph, ("%s/test_data_set_%d"):format(case.path, k))
    if problem then return problem end
    k = k + 1
  end
  if k == 0 then return "no test data" end
end

M.SUITES = { "node", "pytorch-converted", "pytorch-operator", "simple" }

local rows

-- Whether every operator of the case has a row here; a Constant becomes a tensor when a model is read.
local function in_scope(case)
  if not rows then
    rows = { Constant = true }
    for _, op in ipairs(core.ops()) do rows[op.name] = op.domain == "" or rows[op.name] end
  end
  for op in pairs(M.operators(case)) do
    if not rows[op] then return false end
  end
  return true
end

--- Runs every case of a suite that is in scope: {passed =, total =, others =, problems = {{case, problem}, ...}};
--- `others` counts the cases of other operators.
function M.run_suite(suite)
  local result = { passed = 0, total = 0, others = 0, problems = {} }
  for _, case in ipairs(M.cases(suite)) do
    if in_scope(case) then
      local problem = M.run(case)
      result.total = result.total + 1
      if problem then result.problems[#result.problems + 1] = { case, problem }
      else result.passed = result.passed + 1 end
    else
      result.others = result.others + 1
    end
  end
  return result
end

return M
