--- What the operators of a graph are to the policy of ESP-DL v3, and what each of their inputs is to it.
---
---     roles.rule(node).aligns                   -- a fact of the operator's row
---     for i, value, role in roles.inputs(node) do ... end
---
--- Roles of inputs: "data" (computed, or a constant that is treated like data), "weight" (of Conv, Gemm, ConvTranspose:
--- per channel on some chips), "constant" (an exponent of its own, per tensor), "aligned" (a constant that takes the
--- exponent of the node's output, or of a comparison's coarsest input), "bias", "bound" (a constant that takes the
--- exponent of input 1: Clip, Pad), "hidden" (the initial state of GRU and LSTM, computed or constant, at the exponent
--- of output 1), "cell" (int16 at 2^-9: their bias and cell state). Inputs without a role (shapes, axes, indices,
--- scales of Resize) are not quantized.

local core = require "espquant.core"

local M = {}

--- The exponent of what GRU and LSTM keep at int16.
M.CELL_EXPONENT = -9

-- Facts that only the policy needs: flag -> names.
local FLAGS = {
  no_float = "Conv Gemm ConvTranspose MatMul MaxPool Equal Greater GreaterOrEqual Less LessOrEqual ReverseSequence "
    .. "Resize",
  shifts = "Conv Gemm ConvTranspose MatMul Mul", -- products, to the right
}

local rules = {} -- by row

local function make_rule(op)
  local rule = {}
  for flag in pairs(op.v3) do rule[flag] = true end
  for flag, names in pairs(FLAGS) do
    rule[flag] = (" " .. names .. " "):find(" " .. op.name .. " ", 1, true) ~= nil
  end
  return rule
end

local NOTHING = {}

--- The facts of the node's operator: the v3 flags of its row (csrc/ops/op.h), no_float (the runtime has integers only)
--- and shifts (its products are only ever shifted to the right).
function M.rule(node)
  local op = core.op(node.op_type, node.domain)
  if not op then return NOTHING end
  rules[op] = rules[op] or make_rule(op)
  return rules[op]
end

-- Roles of inputs by operator, where they are not those of what `role_of` says; false: none.
local RECURRENT = { "data", "constant", "constant", "cell", false, "hidden", "cell" }
local ROLES = {
  Conv = { "data", "weight", "bias" },
  ConvTranspose = { "data", "weight", "bias" },
  Gemm = { "data", "weight", "bias" },
  Clip = { "data", "bound", "bound" },
  Pad = { "data", false, "bound" },
  Resize = { "data", false, false, false },
  LayerNormalization = { "data", "constant", "constant" },
  RMSNormalization = { "data", false },
  GRU = RECURRENT,
  LSTM = RECURRENT,
}

local function role_of(node, i, value)
  local own = ROLES[node.op_type]
  local role = "data"
  if own then role = own[i] or false end
  if role ~= "data" or not value.constant then return role end
  local rule = M.rule(node)
  return (rule.aligns or rule.compares or rule.passive) and "aligned" or "constant"
end

--- The role of input i of the node, or nil: see above.
function M.of(node, i)
  local value = node:input(i)
  return value and value.dtype == "float32" and role_of(node, i, value) or nil
end

--- Iterates over index, value and role of the inputs that have a role.
function M.inputs(node)
  local i, list = 0, node.inputs
  return function()
    while i < #list do
      i = i + 1
      local role = M.of(node, i)
      if role then return i, list[i], role end
    end
  end
end

-- Outputs of GRU and LSTM.
local HIDDEN, CELL = 2, 3
local RECURRENT_OPS = { GRU = true, LSTM = true }

--- What output i of a quantized node is: "data" (measured, or linked), "hidden" (it takes the exponent of output 1),
--- "cell", or nil for one that is not quantized.
function M.output(node, i)
  local value = node:output(i)
  if not value or value.dtype ~= "float32" or M.rule(node).float_output then return nil end
  if not RECURRENT_OPS[node.op_type] or i == 1 then return "data" end
  return i == HIDDEN and "hidden" or i == CELL and "cell" or nil
end

--- The axis of a weight along which output channels lie (0-based).
function M.weight_axis(node)
  if node.op_type == "Gemm" then return node:attr("transB", 0) ~= 0 and 0 or 1 end
  return node.op_type == "ConvTranspose" and 1 or 0
end

--- The nodes that read a value, once for each input: a list of { node, index }.
function M.consumers(value)
  local list = {}
  for _, node in ipairs(value:users()) do
    for i, input in ipairs(node.inputs) do
      if input == value then list[#list + 1] = { node, i } end
    end
  end
  return list
end

--- The only consumer of all outputs of a node, or of a graph input: node and index; nil where there are none or more.
--- What the graph returns does not count.
function M.sole_consumer(outputs)
  local found
  for _, value in ipairs(outputs) do
    for _, consumer in ipairs(value and M.consumers(value) or {}) do
      if found then return nil end
      found = consumer
    end
  end
  if found then return found[1], found[2] end
end

return M
