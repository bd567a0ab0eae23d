--- Step S3 of the policy (quant/v1): activations pass their exponent up to the tensors that share it.

local roles = require "espquant.quant.roles"

local M = {}

-- Calls visit(value) upwards from value; a value in `walked` has been passed, and all above it.
local function lift(policy, value, walked, visit)
  while not walked[value.name] do
    walked[value.name] = true
    visit(value)
    local producer = value.producer
    if not producer or not (policy:passes(producer) or roles.is_activation(producer)) then return end
    value = producer:input(1)
  end
end

-- Calls visit(value) for every tensor that takes the exponent of this activation.
local function pass_up(policy, node, walked, visit)
  local input = node:input(1)
  local producer = input.producer
  visit(input)
  if not producer then return end
  if roles.rule(producer).lifts and policy:passes(producer) then lift(policy, producer:input(1), walked, visit) end
  if producer.op_type == "Concat" then
    for _, value in ipairs(producer.inputs) do
      if value and not value.constant then lift(policy, value, walked, visit) end
    end
  end
end

-- The activations in graph order; and the exponent of each one's output, of those skipped in S1 that of the activation
-- they feed.
local function activations(policy)
  local list, exponent = {}, {}
  for node in policy.graph:nodes() do
    if roles.is_activation(node) then list[#list + 1] = node end
  end
  for i = #list, 1, -1 do
    local out, act = list[i]:output(1), roles.single_act(list[i])
    exponent[i] = policy:get(out) or act and exponent[act:output(1).name]
    exponent[out.name] = exponent[i]
  end
  return list, exponent
end

--- Each activation in turn writes its exponent upwards, over what earlier ones wrote. Chains would make that quadratic,
-- so the entries are made in this order, and then the writing is done from the last activation to the first: what is
-- there stays, and what lies above it is there, too.
function M.share(policy)
  local list, exponent = activations(policy)
  local walked, done = {}, {}
  for i, node in ipairs(list) do
    pass_up(policy, node, walked, function(value) if not policy:get(value) then policy:set(value, exponent[i]) end end)
  end
  walked = {}
  for i = #list, 1, -1 do
    pass_up(policy, list[i], walked, function(value)
      if not done[value.name] then policy:set(value, exponent[i]) end
      done[value.name] = true
    end)
  end
end

return M
