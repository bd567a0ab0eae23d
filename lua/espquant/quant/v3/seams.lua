--- Nodes on edges of an integer graph, where a tensor is read in another form than it is made: esp.RequantizeLinear
--- between two forms of integers, esp.QuantizeLinear behind a float tensor, esp.DequantizeLinear before a float node.
--- One node for each edge, also on the graph's inputs.

local M = {}

local function free_name(graph, base)
  local name, number = base, 1
  while graph:value(name) or graph:node(name) do
    number = number + 1
    name = ("%s_%d"):format(base, number)
  end
  return name
end

local SUFFIX = { QuantizeLinear = "quantized", DequantizeLinear = "dequantized", RequantizeLinear = "requantized" }

--- Puts the node between the tensor and input i of `reader`; form: { bits, exponents } of its result, nil: float.
function M.put(graph, op_type, reader, i, form)
  local value = reader:input(i)
  local name = free_name(graph, ("%s_%s_for_%s"):format(value.name, SUFFIX[op_type], reader.name))
  local made = assert(graph:add_node { op_type = op_type, domain = "esp", name = name, inputs = { value },
    outputs = { name }, before = reader })
  made.column = "v3"
  if form then made:output(1):set_quant(form.bits, form.exponents) end
  assert(reader:set_input(i, made:output(1)))
end

local function differs(a, b)
  return a.bits ~= b.bits or a.exponents[1] ~= b.exponents[1]
end

--- Puts what a node needs on its edges. `plan`: graph, widths, forms, slots (quant/v3/slots.lua).
function M.insert(plan, node)
  local slots = plan.slots[node] or {}
  for i, value in ipairs(node.inputs) do
    local made, read = value and plan.forms[value], slots[i]
    if value and not value.constant then
      if read and not made then M.put(plan.graph, "QuantizeLinear", node, i, read)
      elseif read and differs(made, read) then M.put(plan.graph, "RequantizeLinear", node, i, read)
      elseif made and not read then M.put(plan.graph, "DequantizeLinear", node, i) end
    end
  end
end

--- Lets the result of `made` take the readers and the name of that of `node`, which goes.
function M.take_over(graph, node, made)
  local old, new = node:output(1), made:output(1)
  local name = old.name
  assert(graph:replace(old, new))
  node:remove()
  if new.name ~= name then assert(new:rename(name)) end
end

return M
