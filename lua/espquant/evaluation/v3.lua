--- What the Evaluator does for ESP-DL v3: checks of models and tables, the integer graph.
---
---     v3.check(eva, model)           -- true, or nil, message, code, problems
---     v3.graph(eva, model, table)    -- the graph to run and the names of its outputs; raises an error object
---     v3.form(eva, name)             -- { scale =, exponent =, bits = } of a tensor, nil for others
---     v3.to_float(eva, tensor, name)

local errors = require "espquant.errors"
local v3 = require "espquant.quant.v3"

local M = {}

--- Whether the model can be simulated, in the widths that the table has for layers, where it is given.
function M.check(eva, model, t)
  return v3.check(model, { bits = eva.bits, target = eva.chip, layers = t and t.facts.layers })
end

--- Notes about operators: none.
function M.notes() return {} end

--- What the integers are, in a few words.
function M.describe(eva)
  return ("int%d, v3 on %s%s"):format(eva.bits, eva.chip,
    eva.accumulator == "lanes" and ", saturating lanes" or "")
end

local function check_facts(eva, t)
  local facts = t.facts
  if facts.runtime ~= "v3" then
    errors.raise("format", ("the table is for runtime %s, the evaluator for v3"):format(facts.runtime or "v1"))
  end
  if facts.bits and facts.bits ~= eva.bits then
    errors.raise("format", ("the table is for int%d, the evaluator for int%d"):format(facts.bits, eva.bits))
  end
  local made = facts.target and v3.target.of(facts.target)
  if made and made.group ~= v3.target.of(eva.chip).group then
    errors.raise("format", ("the table is for %s, which computes otherwise than the evaluator's %s; calibrate for that "
      .. "chip"):format(facts.target, eva.chip))
  end
end

--- The graph that is run and the names of its outputs; raises what the table has wrong.
function M.graph(eva, model, t)
  check_facts(eva, t)
  local graph, names = errors.check(v3.apply(model, t, eva)), {}
  for i, value in ipairs(graph.outputs) do names[i] = value.name end
  return graph, names
end

--- How a tensor of the integer graph is stored, with scale 1 and no bits where it is float32; nil for others.
function M.form(eva, name)
  local value = eva.graph:value(name)
  local quant_of = value and value.quant
  if quant_of then
    local e = quant_of.exponents[1]
    return { scale = 2.0 ^ e, exponent = e, bits = quant_of.bits }
  end
  return value and value.dtype == "float32" and { scale = 1.0 } or nil
end

--- Integers times the scale of their tensor.
function M.to_float(eva, tensor, name)
  local form = M.form(eva, name)
  return form and form.exponent and errors.check(tensor:dequantize(form.exponent)) or tensor
end

return M
