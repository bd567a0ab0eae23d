--- Before: ConvTranspose(x, w, b)
--- After:  Conv(InsertZeros(x), w', b) with the kernel turned round and input and output channels exchanged
--- InsertZeros puts stride - 1 zeros between the elements and output_padding behind them; without either the Conv
--- reads x. Kept where a padding would be negative.
local axes, pass = require "espquant.axes", require "espquant.pass"
local core = require "espquant.core"

local function filled(n, x)
  local list = {}
  for i = 1, n do list[i] = x end
  return list
end

-- The tensor with the order along an axis (0-based) reversed.
local function flip(t, axis)
  local perm, order = { axis }, {}
  for i = 0, t.rank - 1 do
    if i ~= axis then perm[#perm + 1] = i end
  end
  for i = t.shape[axis + 1], 1, -1 do order[#order + 1] = i end
  local back = {}
  for i, a in ipairs(perm) do back[a + 1] = i - 1 end
  return t:transpose(perm):take_rows(order):transpose(back)
end

-- Weights [in, out / group, ...] as those of a Conv: [out, in / group, ...].
local function conv_weights(w, group)
  local rows, perm, parts = w.shape[1] // group, { 1, 0 }, {}
  for i = 2, w.rank - 1 do
    perm[#perm + 1] = i
    w = flip(w, i)
  end
  for g = 1, group do parts[g] = w:slice((g - 1) * rows + 1, g * rows):transpose(perm) end
  return group == 1 and parts[1] or assert(core.concat(parts, 0))
end

-- The pads of the ConvTranspose where it is told how large the output is.
local function pads_of(node, t)
  local mode, wanted = node:attr "auto_pad", node:has_attr "output_shape"
  if mode == "VALID" and not wanted then return filled(2 * t.n, 0) end
  if mode == "NOTSET" and not wanted then return axes.attribute(node, "pads") or filled(2 * t.n, 0) end
  local x, y, pads = node:input(1).shape, node:output(1).shape, {}
  for i = 1, t.n do
    local size, out = x and x[i + 2], y and y[i + 2]
    if math.type(size) ~= "integer" or math.type(out) ~= "integer" then return nil end
    local total = t.strides[i] * (size - 1) + t.extra[i] + (t.kernel[i] - 1) * t.dilations[i] + 1 - out
    local small = total // 2
    pads[i], pads[t.n + i] = small, total - small
    if mode == "SAME_LOWER" then pads[i], pads[t.n + i] = total - small, small end
  end
  return pads
end

local function conv_pads(node, t)
  local pads = pads_of(node, t)
  if not pads or #pads ~= 2 * t.n then return nil end
  for i, p in ipairs(pads) do
    local axis = (i - 1) % t.n + 1
    pads[i] = t.dilations[axis] * (t.kernel[axis] - 1) - p
    if pads[i] < 0 or p < 0 then return nil end
  end
  return pads
end

local function attributes(node, w)
  local n = w.rank - 2
  return {
    n = n, kernel = { table.unpack(w.shape, 3) }, strides = axes.attribute(node, "strides") or filled(n, 1),
    dilations = axes.attribute(node, "dilations") or filled(n, 1),
    extra = axes.attribute(node, "output_padding") or filled(n, 0),
  }
end

local function is_plain(t)
  return axes.equal(t.strides, filled(t.n, 1)) and axes.equal(t.extra, filled(t.n, 0))
end

local function zeros(graph, node, t)
  local attrs = { stride = t.strides, output_padding = t.extra }
  local made = { op_type = "InsertZeros", domain = "esp", name = node.name ~= "" and node.name .. "_zeros" or nil,
    inputs = { node:input(1) }, attrs = attrs, before = node }
  return assert(graph:add_node(made)):output(1)
end

local function rewrite(graph, node)
  local w = node:input(2) and node:input(2).constant
  if not w or w.dtype ~= "float32" or w.rank < 3 or w.rank > 4 or w.count == 0 then return false end
  local t, group = attributes(node, w), pass.attr(node, "group", "integer")
  if not group or group < 1 or w.shape[1] % group ~= 0 then return false end
  if #t.strides ~= t.n or #t.dilations ~= t.n or #t.extra ~= t.n then return false end
  local pads = conv_pads(node, t)
  if not pads then return false end
  local x = is_plain(t) and node:input(1) or zeros(graph, node, t)
  local conv = assert(graph:add_node { op_type = "Conv", name = node.name, inputs = { x, node:input(2), node:input(3) },
    attrs = { kernel_shape = t.kernel, strides = filled(t.n, 1), dilations = t.dilations, pads = pads, group = group },
    before = node })
  pass.set_constant(graph, conv, 2, conv_weights(w, group), "weight")
  return pass.supersede(graph, node, conv)
end

return pass {
  name = "deconv",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      if node.op_type == "ConvTranspose" and node.domain == "" and rewrite(graph, node) then count = count + 1 end
    end
    return count
  end,
}
