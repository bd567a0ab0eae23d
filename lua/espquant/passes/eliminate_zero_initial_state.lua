--- Before: LSTM(x, w, r, b, lengths, zeros, zeros)    After: LSTM(x, w, r, b, lengths)
--- Also GRU and RNN; zeros are a constant or computed: ConstantOfShape of 0, and what is expanded, cut or reshaped of
--- zeros. That is the state that an absent one means.
local pass = require "espquant.pass"

local RECURRENT = { GRU = true, LSTM = true, RNN = true }
-- Elements of the result are elements of the first input.
local CARRIES = {
  Cast = true, Expand = true, Flatten = true, Gather = true, Identity = true, Reshape = true, Slice = true,
  Squeeze = true, Tile = true, Transpose = true, Unsqueeze = true,
}
local FIRST, LAST = 6, 7 -- initial_h, initial_c
local MOST = 16 -- nodes between a constant and its reader

local function is_zeros(tensor) return tensor.dtype:match "^float" ~= nil and tensor:maxabs() == 0 end

local function is_zero(value)
  for _ = 1, MOST do
    if not value or value.constant then break end
    local node = value.producer
    if not node or node.domain ~= "" then return false end
    if node.op_type == "ConstantOfShape" then
      local fill = node:attr "value"
      return not fill or is_zeros(fill)
    end
    if not CARRIES[node.op_type] then return false end
    value = node:input(1)
  end
  return value and value.constant and is_zeros(value.constant)
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
        if is_zero(node:input(i)) then
          drop(graph, node, i)
          count = count + 1
        end
      end
    end
    return count
  end,
}
