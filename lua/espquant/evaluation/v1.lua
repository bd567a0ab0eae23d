--- What the Evaluator does for ESP-DL v1: checks of models and tables, the integer graph or the original's rewrite.
---
---     v1.check(eva, model)           -- true, or nil, message, code, problems
---     v1.graph(eva, model, table)    -- the graph to run and the names of its outputs; raises an error object
---     v1.form(eva, name)             -- { scale =, exponent = or nil, bits = } of a tensor, nil for others
---     v1.to_float(eva, tensor, name)

local core = require "espquant.core"
local errors = require "espquant.errors"
local quant = require "espquant.quant"

local M = {}

--- Whether the model can be simulated.
function M.check(eva, model) return quant.check(model, eva.mode, "evaluator") end

--- Notes about operators that no chip was measured for.
function M.notes(eva, model) return quant.notes(model, eva.mode) end

--- What the integers are, in a few words.
function M.describe(eva)
  return ("int%d %s on %s, %s mode%s"):format(eva.bits, eva.granularity, eva.chip, eva.mode,
    eva.accumulator == "lanes" and ", saturating lanes" or "")
end

-- --- the table ----------------------------------------------------------------------------------------------------

local function is_float(value)
  return value and not (value.constant and value.dtype ~= "float32")
end

-- Calls need(value, node) for the tensors that the original wants an entry for: what arithmetic and activations read
-- and make, and the constants of Max and Min, which would be floats among integers.
local function each_needed(model, need)
  for node in model:nodes() do
    local v1 = core.op(node.op_type, node.domain).v1
    if v1.arithmetic or v1.activation then
      for _, input in ipairs(node.inputs) do
        if is_float(input) then need(input, node) end
      end
      need(node:output(1), node)
    elseif v1.aligns then
      for _, input in ipairs(node.inputs) do
        if input and input.constant then need(input, node) end
      end
    end
  end
end

-- What is missing of a tensor's entry, in the original's words; nil: nothing.
local function missing_entry(t, name)
  local entry = t:get(name)
  if not entry then return ("the quantization parameter for %s is not provided"):format(name) end
  local is_empty = entry.exponents and #entry.exponents == 0 and entry.kind ~= "shape"
  return is_empty and ("the provided quantization parameter for %s is empty"):format(name) or nil
end

-- "original" mode: all missing entries, each with the original's line and the node that wants it.
local function check_complete(model, t)
  local missing, seen = { exception = "ValueError" }, {}
  each_needed(model, function(value, node)
    local line = not seen[value.name] and missing_entry(t, value.name)
    seen[value.name] = true
    if not line then return end
    local is_operand = value.constant and core.op(node.op_type, node.domain).v1.aligns
    local remedy = is_operand and 'only mode "chip" quantizes constant operands' or "calibrate this model"
    missing[#missing + 1] = quant.problem(node, line .. "; " .. remedy)
  end)
  if #missing > 0 then errors.raise("format", "the provided quantization table is not complete", missing) end
end

local function coarsest(exponents)
  local e = exponents[1]
  for _, other in ipairs(exponents) do e = math.max(e, other) end
  return e
end

-- Width of a table that does not tell it: the exponents of its weights follow from their values, and tell. nil: they do
-- not. Original mode does not ask, since the original takes any table.
local function width_of(model, t)
  local votes = { [8] = 0, [16] = 0 }
  for node in model:nodes() do
    local op = core.op(node.op_type, node.domain)
    local weight = op.weight >= 0 and node:input(op.weight + 1)
    local entry = weight and t:get(weight.name)
    local e = entry and entry.exponents and coarsest(entry.exponents)
    for bits in pairs(votes) do
      if e and e == core.exponent_of_absmax(weight.constant:maxabs(), bits) then votes[bits] = votes[bits] + 1 end
    end
  end
  if (votes[8] == 0) == (votes[16] == 0) then return nil end
  return votes[8] > 0 and 8 or 16
end

local function check_facts(self, model, t)
  local facts = t.facts
  if #t.entries == 0 and self.mode == "original" then
    errors.raise("format", "the provided quantization table is empty", { exception = "ValueError" })
  end
  if (facts.runtime or self.runtime) ~= self.runtime then
    errors.raise("format", ("the table is for runtime %s, the evaluator for %s"):format(facts.runtime, self.runtime))
  end
  local bits = facts.bits or self.mode == "chip" and width_of(model, t) or self.bits
  if bits ~= self.bits then
    errors.raise("format", ("the table is for int%d, the evaluator for int%d"):format(bits, self.bits))
  end
  if self.accumulator == "lanes" and (facts.target or self.chip) ~= self.chip then
    errors.raise("format", ("the table is for %s; only the %s has the accumulator `lanes`"):format(facts.target,
      self.chip))
  end
  if (facts.granularity or self.granularity) ~= self.granularity then
    errors.raise("format", ("the table is %s, the evaluator %s"):format(facts.granularity, self.granularity))
  end
end

--- The graph that is run and the names of its outputs; raises what the table has wrong.
function M.graph(eva, model, t)
  check_facts(eva, model, t)
  if eva.mode == "original" then check_complete(model, t) end
  local rewrite = eva.mode == "original" and quant.original or quant.apply
  return errors.check(rewrite(model, t, eva))
end

--- How a tensor of the table is stored; nil for others.
function M.form(eva, name)
  local scales = eva.table:scales(name)
  return scales and { scale = scales[1], exponent = core.exponent_of_scale(scales[1]), bits = eva.bits }
end

--- Integers times the scale of their tensor; the original's extra outputs have that of the tensor that they become.
function M.to_float(eva, tensor, name)
  local key = name:gsub("/QACC_shift1:0$", "")
  local scales = eva.table:scales(key)
  if not scales then return tensor end
  if tensor.dtype == "float32" then return errors.check(tensor * scales[1]) end
  return errors.check(tensor:dequantize(eva.table:exponent(key)))
end

return M
