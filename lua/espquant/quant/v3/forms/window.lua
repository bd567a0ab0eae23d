--- Before: Conv, MaxPool, AveragePool with auto_pad, ceil_mode, or without some of their attributes
--- After:  the same with kernel_shape, strides, pads, and a Conv with dilations and group
--- A pool whose last window does not fit gets more padding at the end, where padding cannot win (MaxPool).
local axes, pass = require "espquant.axes", require "espquant.pass"

local WINDOWS = { Conv = true, MaxPool = true, AveragePool = true }

local function filled(n, x)
  local list = {}
  for i = 1, n do list[i] = x end
  return list
end

local function spatial(shape) return shape and axes.known { table.unpack(shape, 3) } end

local function kernel_of(node)
  if node.op_type ~= "Conv" then return axes.attribute(node, "kernel_shape") end
  local w = node:input(2)
  return w and spatial(w.shape)
end

-- What the windows of an axis reach beyond the input and its pads.
local function missing(w, input, output, i)
  local reach = (output[i] - 1) * w.strides[i] + (w.kernel[i] - 1) * w.dilations[i] + 1
  return reach - input[i] - w.pads[i] - w.pads[#w.kernel + i]
end

-- Pads of auto_pad; nil where sizes are not known.
local function automatic(w, node, mode)
  local input, output = spatial(node:input(1).shape), spatial(node:output(1).shape)
  local n = #w.kernel
  if mode == "VALID" then return true end
  if not input or not output then return nil end
  for i = 1, n do
    local total = math.max(0, missing(w, input, output, i))
    local small = total // 2
    w.pads[i], w.pads[n + i] = small, total - small
    if mode == "SAME_LOWER" then w.pads[i], w.pads[n + i] = total - small, small end
  end
  return true
end

-- Makes the end that ceil_mode adds explicit; false where it cannot be.
local function explicit_end(w, node)
  local input, output = spatial(node:input(1).shape), spatial(node:output(1).shape)
  if not input or not output then return false end
  local n, more = #w.kernel, {}
  for i = 1, n do
    more[i] = math.max(0, missing(w, input, output, i))
    if more[i] > 0 and (node.op_type ~= "MaxPool" or w.pads[n + i] + more[i] >= w.kernel[i]) then return false end
  end
  for i = 1, n do w.pads[n + i] = w.pads[n + i] + more[i] end
  return true
end

local function set(node, name, value)
  local old = node:attr(name)
  local same = node:has_attr(name) and (old == value or type(old) == "table" and axes.equal(old, value))
  if not same then node:set_attr(name, value, type(value) == "table" and "ints" or "int") end
  return not same
end

local function drop(node, name)
  local had = node:has_attr(name)
  if had then node:set_attr(name, nil) end
  return had
end

local function complete(node)
  local kernel = kernel_of(node)
  if not kernel then return false end
  local n = #kernel
  local w = {
    kernel = kernel, strides = axes.attribute(node, "strides") or filled(n, 1),
    dilations = axes.attribute(node, "dilations") or filled(n, 1),
    pads = axes.attribute(node, "pads") or filled(2 * n, 0),
  }
  if #w.strides ~= n or #w.dilations ~= n or #w.pads ~= 2 * n then return false end
  local mode = node:attr "auto_pad"
  if mode ~= "NOTSET" then
    w.pads = filled(2 * n, 0)
    if not automatic(w, node, mode) then return false end
  end
  local changed = drop(node, "auto_pad")
  if node.op_type ~= "Conv" and node:attr("ceil_mode", 0) ~= 0 and explicit_end(w, node) then
    changed = drop(node, "ceil_mode") or changed
  end
  changed = set(node, "kernel_shape", kernel) or changed
  changed = set(node, "strides", w.strides) or changed
  changed = set(node, "pads", w.pads) or changed
  if node.op_type == "Conv" then
    changed = set(node, "dilations", w.dilations) or changed
    changed = set(node, "group", node:attr("group", 1)) or changed
  end
  return changed
end

return pass {
  name = "window",
  run = function(graph)
    local count = 0
    for node in graph:nodes() do
      if WINDOWS[node.op_type] and node.domain == "" and complete(node) then count = count + 1 end
    end
    return count
  end,
}
