-- Every kernel of ESP-DL v3 against plain Lua (spec/support/naive_v3.lua), on one-operator models of two widths and
-- three chips: node by node, every element.
local cases = require "spec.support.v3_cases"
local core = require "espquant.core"
local espquant = require "espquant"
local naive = require "spec.support.naive_v3"

local FLOATS = 1e-6 -- of outputs that are floats: the last bits depend on the math library

-- A tensor as naive_v3 wants it.
local function plain(value, tensor)
  local quant = value.quant
  local e = quant and (#quant.exponents > 1 and quant.exponents or quant.exponents[1])
  local list = tensor:reshape { -1 }:astype(tensor.dtype == "bool" and "int8" or tensor.dtype):totable()
  return { shape = tensor.shape, list = list, e = e, bits = quant and quant.bits, float = not quant }
end

local function compare(where, want, got, tolerance)
  assert.equal(#want, #got, where)
  for i, x in ipairs(want) do
    local off = math.abs(x - got[i])
    if off > tolerance or off ~= off then
      error(("%s: element %d is %s, expected %s"):format(where, i, tostring(got[i]), tostring(x)), 0)
    end
  end
end

-- Compares every node of the integer graph; counts elements by operator.
local function check(graph, data, counts, missing)
  local names, number = {}, {}
  for node in graph:nodes() do
    for _, value in ipairs(node.outputs) do
      if value then
        names[#names + 1] = value.name
        number[value.name] = #names
      end
    end
  end
  local exec <close> = assert(core.executor(graph, { threads = 1, outputs = names }))
  local got, tensors = assert(exec:run(data)), {}
  for i, input in ipairs(graph.inputs) do tensors[input.name] = type(data) == "table" and data[i] or data end
  for name, i in pairs(number) do tensors[name] = got[i] end
  local rounding = graph.arithmetic:match "^v3%-(.*)$"
  for node in graph:nodes() do
    local inputs = {}
    for i, value in ipairs(node.inputs) do
      inputs[i] = value and plain(value, value.constant or tensors[value.name]) or false
    end
    for k, value in ipairs(node.outputs) do
      local out = value and plain(value, tensors[value.name])
      local want, tolerance = nil, nil
      if out and node.column == "v3" then want, tolerance = naive.output(node, k, inputs, out, rounding) end
      if want then
        compare(node.op_type, want, out.list, out.float and value.dtype == "float32" and FLOATS or tolerance)
        counts[node.op_type] = (counts[node.op_type] or 0) + #want
      elseif out and node.column == "v3" then
        missing[node.op_type] = true
      end
    end
  end
end

local function quantized(graph, data, t, target)
  local list = {}
  for i, value in ipairs(graph.inputs) do
    local tensor = type(data) == "table" and data[i] or data
    local e = t:exponent(value.name)
    local rounding = target == "esp32p4" and "half-even" or "half-up"
    list[i] = e and tensor:quantize({ e }, t.facts.bits, nil, rounding) or tensor
  end
  return #list == 1 and list[1] or list
end

describe("kernels of ESP-DL v3", function()
  local counts, missing = {}, {}

  for k, case in ipairs(cases.LIST) do
    for _, bits in ipairs { "int8", "int16" } do
      for _, target in ipairs { "esp32s3", "esp32p4", "c" } do
        if not case.bits or case.bits == bits then
          it(("%s (%d), %s, %s"):format(case[1], k, bits, target), function()
            local graph = cases.model(case)
            local data, by_name = cases.data(graph)
            local calib = espquant.Calibrator { bits = bits, runtime = "v3", target = target, log = function() end }
            local t = assert(calib:measure_table(graph, by_name or data))
            local eva = espquant.Evaluator { bits = bits, runtime = "v3", chip = target }
            eva:generate_quantized_model(graph, t)
            check(eva.graph, quantized(graph, data, t, target), counts, missing)
          end)
        end
      end
    end
  end

  it("are all compared", function()
    local list, elements = {}, 0
    for name, n in pairs(counts) do
      list[#list + 1] = name
      elements = elements + n
    end
    print(("  %d operators, %d elements equal to plain Lua"):format(#list, elements))
    assert.same({}, missing)
    assert.is_true(#list >= 50)
  end)
end)
