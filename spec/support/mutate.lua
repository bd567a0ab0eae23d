--- Damages models on purpose, always in the same way for the same seed.
---
---     local rng = mutate.rng(42)
---     mutate.bytes(rng, bytes)          -- flips, cuts, insertions: any byte
---     mutate.wire(rng, bytes)           -- fields of the protobuf messages; lengths stay right
---     mutate.graph(rng, graph)          -- edits a model through the graph's own methods
---
--- Each returns what it made (the graph is changed in place) and a text that says what was done.

local core = require "espquant.core"

local M = {}

--- A generator of integers: rng(n) is in 1..n.
function M.rng(seed)
  local state = seed
  return function(n)
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) % n + 1
  end
end

local function pick(rng, list)
  return list[rng(#list)]
end

local INTEGERS = { 0, -1, 1, 2, 3, 7, 64, 255, 65536, (1 << 31) - 1, 1 << 31, 1 << 40, 1 << 62, math.mininteger,
  math.maxinteger }
local FLOATS = { 0.0, -1.0, 1e-45, 1e38, -1e38, math.huge, -math.huge, 0 / 0 }
local OPERATORS = {
  "Conv", "Gemm", "MatMul", "BatchNormalization", "Relu", "LeakyRelu", "PRelu", "Add", "Sub", "Mul", "Max", "Min",
  "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Concat", "Reshape", "Flatten", "Squeeze",
  "Unsqueeze", "Transpose", "Pad", "Slice", "Expand", "Identity", "Dropout", "Softmax", "Sigmoid", "Tanh", "Clip",
  "Round", "Floor", "Resize", "Nothing",
}

-- --- bytes --------------------------------------------------------------------------------------------------------

local function splice(bytes, at, removed, new)
  return bytes:sub(1, at - 1) .. new .. bytes:sub(at + removed)
end

local BYTE_EDITS = {
  { "flip a bit", function(rng, bytes, at)
    return splice(bytes, at, 1, string.char(bytes:byte(at) ~ 1 << rng(8) - 1))
  end },
  { "set a byte", function(rng, bytes, at)
    return splice(bytes, at, 1, string.char(pick(rng, { 0, 1, 127, 128, 255 })))
  end },
  { "remove bytes", function(rng, bytes, at) return splice(bytes, at, rng(8), "") end },
  { "repeat bytes", function(rng, bytes, at) return splice(bytes, at, 0, bytes:sub(at, at + rng(16))) end },
  { "insert a varint", function(_, bytes, at) return splice(bytes, at, 1, ("\xff"):rep(9) .. "\1") end },
}

--- One to three edits of bytes anywhere.
function M.bytes(rng, bytes)
  local done = {}
  for i = 1, rng(3) do
    local edit, at = pick(rng, BYTE_EDITS), rng(#bytes)
    -- Structure is dense where the file begins and ends, between lie weights.
    if rng(2) == 1 then at = rng(2) == 1 and rng(math.min(#bytes, 600)) or #bytes + 1 - rng(math.min(#bytes, 600)) end
    bytes, done[i] = edit[2](rng, bytes, at), ("%s at %d"):format(edit[1], at)
  end
  return bytes, table.concat(done, ", ")
end

-- --- fields -------------------------------------------------------------------------------------------------------

-- Which fields are messages: all else with a length is opaque.
local NODE = { name = "node", [5] = { name = "attribute", [5] = { name = "tensor" } } }
local PORT = { name = "port",
  [2] = { name = "type", [1] = { name = "tensor_type", [2] = { name = "shape", [1] = { name = "dim" } } } } }
local MODEL = {
  name = "model", [8] = { name = "opset" },
  [7] = { name = "graph", [1] = NODE, [5] = { name = "tensor" }, [11] = PORT, [12] = PORT, [13] = PORT },
}

local function read_varint(bytes, at)
  local value, shift = 0, 0
  while true do
    local byte = bytes:byte(at)
    value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
    if byte < 128 then return value, at end
  end
end

local function varint(value)
  local out = {}
  repeat
    local byte = value & 127
    value = value >> 7
    out[#out + 1] = string.char(value ~= 0 and byte | 128 or byte)
  until value == 0
  return table.concat(out)
end

local WIDTH = { [1] = 8, [5] = 4 }

local function parse(bytes, schema)
  local fields, at = { name = schema.name }, 1
  while at <= #bytes do
    local tag, value
    tag, at = read_varint(bytes, at)
    local field = { number = tag >> 3, wire = tag & 7 }
    if field.wire == 0 then
      value, at = read_varint(bytes, at)
    else
      local size = WIDTH[field.wire]
      if not size then size, at = read_varint(bytes, at) end
      value, at = bytes:sub(at, at + size - 1), at + size
    end
    local inner = schema[field.number]
    field.value = inner and parse(value, inner) or value
    fields[#fields + 1] = field
  end
  return fields
end

local function serialize(fields)
  local out = {}
  for i, field in ipairs(fields) do
    local value = field.value
    if field.wire == 0 then value = varint(value)
    elseif field.wire == 2 then
      value = type(value) == "table" and serialize(value) or value
      value = varint(#value) .. value
    end
    out[i] = varint(field.number << 3 | field.wire) .. value
  end
  return table.concat(out)
end

-- Every field with the message that it stands in; `names` are the short texts in the model.
local function collect(fields, all, names)
  for i, field in ipairs(fields) do
    all[#all + 1] = { fields, i }
    if type(field.value) == "table" then collect(field.value, all, names)
    elseif field.wire == 2 and #field.value < 40 then names[#names + 1] = field.value end
  end
end

local function change_value(rng, field, message, names)
  if field.wire == 0 then field.value = pick(rng, INTEGERS) return "varint" end
  if field.wire == 5 then field.value = ("<f"):pack(pick(rng, FLOATS)) return "float" end
  if field.wire == 1 then field.value = ("<d"):pack(pick(rng, FLOATS)) return "double" end
  if type(field.value) == "table" then
    field.value = rng(2) == 1 and {} or field.value
    table.remove(field.value, rng(#field.value + 1))
    return "message"
  end
  local choice, text = rng(5), field.value
  if message.name == "node" and field.number == 4 then field.value = pick(rng, OPERATORS) return "op_type" end
  if choice <= 2 then field.value = pick(rng, names) return "text"
  elseif choice == 3 then field.value = text:sub(1, rng(#text + 1) - 1) return "shorter"
  elseif choice == 4 then field.value = text .. text return "twice as long" end
  field.value = #text == 0 and "\0" or splice(text, rng(#text), 1, string.char(rng(256) - 1))
  return "one byte"
end

local function edit_field(rng, fields, i, names)
  local field, choice = fields[i], rng(10)
  if choice == 1 then table.remove(fields, i) return "removed"
  elseif choice == 2 then table.insert(fields, i, field) return "doubled"
  elseif choice == 3 then
    local other = rng(#fields)
    fields[i], fields[other] = fields[other], field
    return "swapped"
  elseif choice == 4 then
    local copy = {}
    for key, value in pairs(field) do copy[key] = value end
    copy.number = pick(rng, { field.number + 1, math.max(1, field.number - 1), 100 })
    fields[i] = copy
    return "renumbered"
  end
  return change_value(rng, field, fields, names)
end

--- One to three edits of fields; half of them in nodes and ports rather than anywhere.
function M.wire(rng, bytes)
  local model, done = parse(bytes, MODEL), {}
  for n = 1, rng(3) do
    local all, names = {}, { "" }
    collect(model, all, names)
    local place
    for _ = 1, 4 do
      place = pick(rng, all)
      if place[1].name ~= "tensor" then break end
    end
    done[n] = ("%s.%d %s"):format(place[1].name, place[1][place[2]].number, edit_field(rng, place[1], place[2], names))
  end
  return serialize(model), table.concat(done, ", ")
end

-- --- graphs -------------------------------------------------------------------------------------------------------

local function constants(graph)
  local list = {}
  for _, value in ipairs(graph:values()) do
    if value.constant then list[#list + 1] = value end
  end
  return list
end

local function keys(map)
  local list = {}
  for key in pairs(map) do list[#list + 1] = key end
  table.sort(list)
  return list
end

local function attribute_names(node)
  local names, op = keys(node:attrs()), core.op(node.op_type, node.domain)
  for _, attr in ipairs(op and op.attrs or {}) do names[#names + 1] = attr.name end
  return names
end

local function new_attribute(rng, old)
  if type(old) == "table" and #old > 0 and math.type(old[1]) == "integer" then
    local x = rng(2) == 1 and rng(5) - 1 or pick(rng, INTEGERS)
    if rng(6) == 1 then table.remove(old) elseif rng(6) == 1 then old[#old + 1] = x else old[rng(#old)] = x end
    return old, "ints"
  end
  local choice = rng(8)
  if choice == 1 then return { pick(rng, INTEGERS), pick(rng, INTEGERS) }, "ints" end
  if choice == 2 then return "SAME_UPPER", "string" end
  if type(old) == "number" and math.type(old) == "float" then return pick(rng, FLOATS), "float" end
  return pick(rng, INTEGERS), "int"
end

local function set_attribute(rng, graph)
  local node = pick(rng, graph:node_list())
  local names = node and attribute_names(node) or {}
  if #names == 0 then return "no attribute" end
  local name = pick(rng, names)
  if rng(8) == 1 then node:set_attr(name, nil) return node:label() .. " loses " .. name end
  local value, kind = new_attribute(rng, node:attr(name))
  node:set_attr(name, value, kind)
  return ("%s.%s = %s"):format(node:label(), name,
    type(value) == "table" and table.concat(value, ",") or tostring(value))
end

local function set_input_shape(rng, graph)
  local input = graph.inputs[1]
  if not input then return "no input" end
  local shape = input.shape or { 1 }
  local choice = rng(6)
  if choice == 1 then table.remove(shape) elseif choice == 2 then shape[#shape + 1] = 2
  else shape[rng(math.max(1, #shape))] = pick(rng, { 0, 1, 2, 5, 28, 1 << 20, 1 << 31, 1 << 50, "M", false }) end
  input:set_shape(shape)
  return "another input shape"
end

local function rewire(rng, graph)
  local node = pick(rng, graph:node_list())
  if not node then return "no node" end
  local i = rng(#node.inputs + 1)
  local to = pick(rng, graph:values())
  if rng(3) == 1 then to = false end
  node:set_input(i, to)
  return ("%s: input %d is %s"):format(node:label(), i, to and to.name or "left out")
end

local function resize_inputs(rng, graph)
  local node = pick(rng, graph:node_list())
  if not node then return "no node" end
  local inputs = node.inputs
  if rng(2) == 1 then table.remove(inputs) else inputs[#inputs + 1] = inputs[1] end
  node:set_inputs(inputs)
  return ("%s has %d inputs"):format(node:label(), #inputs)
end

local function reshape_constant(rng, graph)
  local value = pick(rng, constants(graph))
  if not value then return "no constant" end
  local t, shape = value.constant, value.shape
  local choice = rng(4)
  if choice == 1 then shape = { t.count }
  elseif choice == 2 then table.insert(shape, 1, 1)
  elseif choice == 3 and #shape > 1 then shape[1], shape[#shape] = shape[#shape], shape[1]
  elseif #shape > 0 and shape[1] > 1 then
    value:set_constant(t:slice(1, shape[1] - 1))
    return value.name .. " is shorter"
  end
  if #shape <= 8 then value:set_constant(t:reshape(shape)) end
  return value.name .. " has another shape"
end

local function cast_constant(rng, graph)
  local value = pick(rng, constants(graph))
  if not value then return "no constant" end
  local dtype = pick(rng, { "float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool" })
  local tensor = value.constant:astype(dtype)
  if tensor then value:set_constant(tensor) end
  return value.name .. " is " .. dtype
end

local function fill_constant(rng, graph)
  local value = pick(rng, constants(graph))
  if not value then return "no constant" end
  local tensor, x = value.constant:copy(), pick(rng, FLOATS)
  if tensor.dtype ~= "float32" then
    x = pick(rng, INTEGERS)
    if tensor.dtype ~= "int64" or tensor.count == 0 then return "no float" end
    local list = tensor:reshape({ -1 }):totable()
    list[rng(#list)] = x
    tensor = core.tensor_from(list, "int64"):reshape(tensor.shape)
  elseif rng(2) == 1 or tensor.count == 0 then
    tensor:fill(x)
  else
    tensor:reshape({ -1 })[rng(tensor.count)] = x
  end
  value:set_constant(tensor)
  return ("%s holds %s"):format(value.name, tostring(x))
end

local function change_ports(rng, graph)
  local choice, value = rng(4), pick(rng, graph:values())
  if choice == 1 and graph.inputs[1] then
    graph.inputs[1]:set_dtype(pick(rng, { "int64", "int8", "float64", "bool" }))
    return "another input type"
  elseif choice == 2 and not value.is_output then
    graph:add_output(value)
    return value.name .. " is an output"
  elseif choice == 3 then
    graph:add_input("another", "float32", { "N", 3 })
    return "another input"
  end
  graph.opset = pick(rng, { 7, 9, 10, 11, 12, 13, 18, 22 })
  return "another opset"
end

local function move(rng, graph)
  local nodes = graph:node_list()
  if #nodes < 2 then return "no nodes" end
  local node = pick(rng, nodes)
  node:move_before(pick(rng, nodes))
  return node:label() .. " is moved"
end

local GRAPH_EDITS = {
  set_attribute, set_attribute, set_attribute, set_input_shape, rewire, rewire, resize_inputs, reshape_constant,
  cast_constant,   fill_constant, fill_constant, change_ports, move,
}

--- One to three edits of a graph, in place; returns the text.
function M.graph(rng, graph)
  local done = {}
  for i = 1, rng(3) do done[i] = pick(rng, GRAPH_EDITS)(rng, graph) end
  return table.concat(done, ", ")
end

return M
