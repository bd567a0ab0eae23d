--- Before: LSTM(x, w, r, b, lengths, zeros, zeros)    After: LSTM(x, w, r, b, lengths)
--- Also GRU and RNN; zeros are a constant or computed: ConstantOfShape of 0, and what is expanded, cut, joined or
--- reshaped of zeros. That is the state that an absent one means.
local pass = require "espquant.pass"

local RECURRENT = { GRU = true, LSTM = true, RNN = true }
-- Elements of the result are elements of the first input.
local CARRIES = {
  Cast = true, Expand = true, Flatten = true, Gather = true, Identity = true, Reshape = true, Slice = true,
  Squeeze = true, Tile = true, Transpose = true, Unsqueeze = true,
}
local FIRST, LAST = 6, 7 -- initial_h, initial_c
local MOST = 64 -- nodes between constants and their reader

local function is_zeros(tensor) return tensor.dtype:match "^float" ~= nil and tensor:maxabs() == 0 end

-- The values whose elements are those of the node's result; nil where others are.
local function sources(node)
  if node.domain ~= "" then return nil end
  if node.op_type == "Concat" then return node.inputs end
  return CARRIES[node.op_type] and { node:input(1) } or nil
end

local function makes_zeros(node)
  local fill = node.op_type == "ConstantOfShape" and node.domain == "" and (node:attr "value" or true)
  return fill == true or (fill and is_zeros(fill))
end

local function is_zero(value, left)
  if not value or left == 0 then return false end
  if value.constant then return is_zeros(value.constant) end
  local node = value.producer
  if not node or makes_zeros(node) then return node ~= nil end
  local list = sources(node) or {}
  for _, source in ipairs(#list <= left and list or {}) do
    if not is_zero(source, left // #list - 1) then return false end
  end
  return #list > 0 and #list <= left
end

local function drop(graph, node, i)
  local value = node:input(i)
  assert(node:set_input(i, false))
  if value.producer then pass.release(graph, value.producer)
  elseif value:use_count() == 0 then graph:remove_value(value) end
end

return pass {
  name = "eliminate_zero_initial_state",
  run = function(graph)
    local count = 0
    for _, node in ipairs(graph:node_list()) do
      for i = FIRST, node.alive and RECURRENT[node.op_type] and node.domain == "" and LAST or 0 do
        if is_zero(node:input(i), MOST) then
          drop(graph, node, i)
          count = count + 1
        end
      end
    end
    return count
  end,
}
