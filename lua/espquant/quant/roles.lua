--- What the operators of a graph are to the policy of ESP-DL v1: facts of their rows.

local core = require "espquant.core"

local M = {}

--- The v1 facts of the node's row: a set of flags (csrc/ops/op.h).
function M.rule(node)
  local op = core.op(node.op_type, node.domain)
  return op and op.v1 or {}
end

--- Whether the node is Relu, LeakyRelu or PRelu.
function M.is_activation(node) return M.rule(node).activation end

--- The only consumer of the node's output, if it is an activation.
function M.single_act(node)
  local users = node:output(1):users()
  if #users == 1 and M.is_activation(users[1]) then return users[1] end
end

return M
