--- Windows of ONNX (Conv, pools) as the arguments of ESP-DL v1's layers.
---
---     local w = window.of(node, { 3, 3 }, dims, out)     -- lengths of the input's and output's axes, channels first
---     window.arguments(w)                                -- "dl::PADDING_NOT_SET, {1, 1, 1, 1}, 2, 2"

local M = {}

local function at(list, i, otherwise)
  return list and list[i] or otherwise
end

-- Pads of one axis: begin, end; from the lengths where auto_pad says so.
local function pads_of(auto, pads, axes, i, window)
  if auto == "VALID" then return 0, 0 end
  if auto == "NOTSET" then return at(pads, i, 0), at(pads, axes + i, 0) end
  local reach = (window.kernel - 1) * window.dilation + 1
  local total = math.max((window.out - 1) * window.stride + reach - window.size, 0)
  local small = total // 2
  if auto == "SAME_LOWER" then return total - small, small end
  return small, total - small
end

--- {kernel, strides, pads (top, bottom, left, right), dilations} of two axes; a row gets an axis of length 1.
function M.of(node, kernel, dims, out)
  local w = { kernel = { 1, 1 }, strides = { 1, 1 }, pads = { 0, 0, 0, 0 }, dilations = { 1, 1 } }
  local axes, auto = #dims - 1, node:attr("auto_pad", "NOTSET")
  local strides, dilations, pads = node:attr "strides", node:attr "dilations", node:attr "pads"
  for i = 1, axes do
    local k = i + 2 - axes
    local one = {
      kernel = kernel[i], stride = at(strides, i, 1), dilation = at(dilations, i, 1), size = dims[i + 1],
      out = out[i + 1],
    }
    local first, last = pads_of(auto, pads, axes, i, one)
    w.kernel[k], w.strides[k], w.dilations[k] = one.kernel, one.stride, one.dilation
    local reach = (one.kernel - 1) * one.dilation + 1
    if (one.size + first + last - reach) // one.stride + 1 < one.out then -- ceil_mode: one window more, partly outside
      last = (one.out - 1) * one.stride + reach - one.size - first
    end
    w.pads[2 * k - 1], w.pads[2 * k] = first, last
  end
  return w
end

--- The arguments of a layer from the padding on.
function M.arguments(w)
  local pads = "{" .. table.concat(w.pads, ", ") .. "}"
  local none = pads == "{0, 0, 0, 0}"
  return ("%s, %s, %d, %d"):format(none and "dl::PADDING_VALID" or "dl::PADDING_NOT_SET", none and "{}" or pads,
    w.strides[1], w.strides[2])
end

return M
