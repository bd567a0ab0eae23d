--- Layers whose sums can leave the lanes of the ESP32-S3, which saturate at every step: docs/accumulator.md.
---
---     for _, layer in ipairs(lanes.of(integer_graph)) do print(layer.layer, layer.saturating, layer.channels) end
---     print(lanes.text(lanes.foreseen(model, { bits = 8, granularity = "per-channel" })))
---
--- A layer is { layer =, op =, output =, saturating =, channels = }: of `channels` output channels there are inputs
--- that take the sums of `saturating` beyond the lane.

local core = require "espquant.core"
local v1 = require "espquant.quant.v1"

local M = {}

--- The layers of an integer graph, in its order.
function M.of(graph)
  local list = {}
  for node in graph:nodes() do
    local saturating, channels = node:saturating()
    if saturating and saturating > 0 then
      local output = node:output(1).name
      list[#list + 1] = {
        layer = node.name ~= "" and node.name or output, op = node.op_type, output = output,
        saturating = saturating, channels = channels,
      }
    end
  end
  return list
end

--- The layers of a float model before it is calibrated for ESP-DL v1. `settings`: bits, granularity.
function M.foreseen(model, settings)
  local copy = assert(model:clone())
  local per_channel = settings.granularity == "per-channel"
  for node in copy:nodes() do
    local op = core.op(node.op_type, node.domain)
    local weight = op and op.weight >= 0 and node:input(op.weight + 1)
    if weight and weight.constant and weight.constant.dtype == "float32" then
      local exponents = v1.weight_exponents(node, weight.constant, settings.bits, per_channel)
      local axis = #exponents > 1 and v1.weight_axis(node) or nil
      local tensor = assert(weight.constant:quantize(exponents, settings.bits, axis))
      node:set_input(op.weight + 1, copy:add_constant(nil, tensor))
    end
  end
  return M.of(copy)
end

--- What a list says, one line for each layer; nil for an empty one.
function M.text(list)
  if #list == 0 then return nil end
  local lines = {
    ("sums can leave the ESP32-S3's lanes (20 bits beside int8, 40 beside int16), which saturate, in %d layer%s; "
      .. "--accumulator lanes of evaluate and run shows what that does:"):format(#list, #list == 1 and "" or "s"),
  }
  for i, l in ipairs(list) do
    lines[i + 1] = ("%s '%s': %d of %d channels"):format(l.op, l.layer, l.saturating, l.channels)
  end
  return table.concat(lines, "\n")
end

return M
