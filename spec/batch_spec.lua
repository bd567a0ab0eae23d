--- exec.batch.pure is a promise: images run together give what they give one by one. Held against every model of ONNX's
--- backend tests that it is given for, and against nodes that only seem to keep their images apart.

local backend = require "spec.support.onnx_backend"
local core = require "espquant.core"
local exceptions = require "spec.support.onnx_exceptions"
local onnx = require "espquant.onnx"
local run = require "spec.support.run"

-- Other images: the elements of t, turned by k places.
local function turned(t, k)
  local from, to = t:reshape({ -1 }):totable(), {}
  for i = 1, #from do to[i] = from[(i + k - 1) % #from + 1] end
  return core.tensor_from(to, t.dtype):reshape(t.shape)
end

-- Three times the images that belong to a model, each time others. A scalar is the same for all.
local function images_of(inputs)
  local list = {}
  for i, t in ipairs(inputs) do
    list[i] = t.rank == 0 and t or core.concat { t, turned(t, 1), turned(t, 3) }
  end
  return list
end

local function same(a, b)
  local x, y = a:reshape({ -1 }):totable(), b:reshape({ -1 }):totable()
  if a.dtype ~= b.dtype or #x ~= #y then return false end
  for i = 1, #x do
    if x[i] ~= y[i] and not (x[i] ~= x[i] and y[i] ~= y[i]) then return false end
  end
  return true
end

-- Runs all images at once and one by one: nil, or what is wrong; and whether the executor says it may be done.
local function problem_of(graph, inputs)
  local one, message = core.executor(graph, { micro_batch = 1, threads = 1 })
  if not one then return nil, false, message end
  if not one.batch.pure or inputs[1].rank == 0 then return nil, false end
  local expected
  expected, message = one:run(inputs)
  if not expected then return message, true end
  local got
  got, message = assert(core.executor(graph, { micro_batch = 1 << 10, threads = 1 })):run(inputs)
  if not got then return message, true end
  for i, t in ipairs(expected) do
    if not same(t, got[i]) then return ("output %d of all images is not that of each"):format(i), true end
  end
  return nil, true
end

describe("images that the executor calls independent", function()
  it("are so in ONNX's backend tests #unit", function()
    local wrong, pure = {}, 0
    for _, suite in ipairs { "node", "pytorch-converted", "pytorch-operator", "simple" } do
      for _, case in ipairs(backend.cases(suite)) do
        local graph = onnx.load(case.path .. "/model.onnx")
        local inputs = graph and #graph.inputs > 0 and backend.inputs(case)
        if inputs and #inputs == #graph.inputs and not exceptions[suite .. "/" .. case.name] then
          local problem, promised = problem_of(graph, images_of(inputs))
          if promised then pure = pure + 1 end
          if promised and problem then wrong[#wrong + 1] = ("%s: %s"):format(case.name, problem) end
        end
      end
    end
    print(("  %d models of independent images"):format(pure))
    assert.is_true(pure > 0)
    assert.equal("", table.concat(wrong, "\n"))
  end)

  -- Each only seems to keep its images apart, at some numbers of images or with some attributes.
  local x4, x2 = { "N", 2, 4, 4 }, { "N", 4 }
  for name, case in pairs {
    ["indices of a pooling count from the first image"] = {
      x4, { "MaxPool", { "x" }, "y", { kernel_shape = { 2, 2 } } }, outputs = { "y", "at" } },
    ["every image takes a row of its own from a table"] = {
      { "N", 2 }, { "GatherElements", { run.numbers { 200, 4 }, "x" }, "y", { axis = 1 } }, dtype = "int64" },
    ["a scale too small to add an image"] = {
      { "N", 2, 3, 3 }, { "Resize", { "x", false, core.tensor_from { 1.02, 1, 1, 1 } }, "y", { mode = "linear" } } },
    ["a part that ends after some images"] = {
      x2, { "Slice", { "x", run.ints { 0 }, run.ints { 20 }, run.ints { 0 } }, "y" } },
    ["a softmax over the images"] = { x2, { "Softmax", { "x" }, "y", { axis = 0 } } },
    ["a log softmax over the images"] = { x2, { "LogSoftmax", { "x" }, "y", { axis = -2 } } },
    ["a norm over the images"] = { x2, { "LpNormalization", { "x" }, "y", { axis = 0 } } },
    ["padding with other images"] = {
      x2, { "Pad", { "x", run.ints { -1, 0, 1, 0 } }, "y", { mode = "reflect" } } },
    ["images in reverse order"] = {
      x2, { "Slice", { "x", run.ints { -1 }, run.ints { -1000 }, run.ints { 0 }, run.ints { -1 } }, "y" } },
  } do
    it("are so: " .. name, function()
      local g = core.graph { name = "spec", opset = 18 }
      local x, list = g:add_input("x", case.dtype or "float32", case[1]), {}
      for i, input in ipairs(case[2][2]) do
        list[i] = input == "x" and x or input and g:add_constant(nil, input)
      end
      local node = g:add_node { op_type = case[2][1], inputs = list, outputs = case.outputs or { "y" },
        attrs = case[2][4] }
      for i = 1, #(case.outputs or { "y" }) do g:add_output(node:output(i)) end
      local shape = table.move(case[1], 2, #case[1], 2, { 60 })
      local images = run.numbers(shape, 7)
      if case.dtype then images = images:abs():astype(case.dtype) end
      assert.is_nil((problem_of(g, { images })))
    end)
  end
end)
