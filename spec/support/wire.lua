--- ONNX messages from the wire upwards, for what our own writer never writes.
---
---     local w = require "spec.support.wire"
---     w.model { nodes = { w.node("Relu", { "x" }, { "y" }) }, inputs = { w.port("x", 1, { 2 }) },
---       outputs = { w.port "y" } }

local M = {}

local function varint(n)
  local bytes = {}
  repeat
    local low = n & 0x7f
    n = n >> 7
    bytes[#bytes + 1] = string.char(n ~= 0 and low | 0x80 or low)
  until n == 0
  return table.concat(bytes)
end

--- One field: an integer as a varint, a string (or message) with its length.
function M.field(number, value)
  if math.type(value) == "integer" then return varint(number << 3) .. varint(value) end
  return varint(number << 3 | 2) .. varint(#value) .. value
end

local function all(number, list)
  local parts = {}
  for i, value in ipairs(list or {}) do parts[i] = M.field(number, value) end
  return table.concat(parts)
end

--- A tensor's head and raw data.
function M.tensor(name, dtype, dims, raw)
  return all(1, dims) .. M.field(2, dtype) .. M.field(8, name) .. M.field(9, raw)
end

--- Attributes: an integer, a float (as a table {f = }), a tensor ({t = }), a subgraph ({g = }), or a reference
--- ({ref = }).
function M.attribute(name, value)
  local head = M.field(1, name)
  if math.type(value) == "integer" then return head .. M.field(3, value) .. M.field(20, 2) end
  if value.f then return head .. varint(2 << 3 | 5) .. string.pack("<f", value.f) .. M.field(20, 1) end
  if value.t then return head .. M.field(5, value.t) .. M.field(20, 4) end
  if value.g then return head .. M.field(6, value.g) .. M.field(20, 5) end
  return head .. M.field(20, value.type) .. M.field(21, value.ref)
end

--- options: name, domain, attributes (a list).
function M.node(op, inputs, outputs, options)
  options = options or {}
  return all(1, inputs) .. all(2, outputs) .. M.field(3, options.name or "") .. M.field(4, op)
    .. all(5, options.attributes) .. (options.domain and M.field(7, options.domain) or "")
end

--- A tensor port: element type (default float) and dimensions.
function M.port(name, dtype, dims)
  local shape = {}
  for i, d in ipairs(dims or {}) do shape[i] = M.field(1, M.field(1, d)) end
  local tensor = M.field(1, dtype or 1) .. (dims and M.field(2, table.concat(shape)) or "")
  return M.field(1, name) .. M.field(2, M.field(1, tensor))
end

--- parts: nodes, inputs, outputs, initializers, sparse.
function M.graph(parts)
  return all(1, parts.nodes) .. M.field(2, "g") .. all(5, parts.initializers) .. all(11, parts.inputs)
    .. all(12, parts.outputs) .. all(15, parts.sparse)
end

--- parts: name, domain, inputs, outputs (names), attributes (names), nodes, defaults (attributes), opset.
function M.fn(parts)
  return M.field(1, parts.name) .. all(4, parts.inputs) .. all(5, parts.outputs) .. all(6, parts.attributes)
    .. all(7, parts.nodes) .. M.field(9, M.field(2, parts.opset or 18)) .. M.field(10, parts.domain or "local")
    .. all(11, parts.defaults)
end

--- A model of opset 18 and domain "local": the parts of a graph, functions, `ir`, and `about` (fields of the model's
--- own).
function M.model(parts)
  return M.field(1, parts.ir or 8) .. (parts.about or "") .. M.field(7, M.graph(parts))
    .. M.field(8, M.field(2, parts.opset or 18)) .. M.field(8, M.field(1, "local") .. M.field(2, 1))
    .. all(25, parts.functions)
end

return M
