--- The per-layer table: how far every layer of the integer model is from the float model.
---
---     print(eva:layer_report(images))
---
--- Both models run side by side, piece by piece; what is kept are sums, so memory does not grow with the data, and the
--- figures depend on neither threads nor timing. A layer is compared with the float tensor of its name, whatever either
--- model has become.

local columns = require "espquant.columns"
local core = require "espquant.core"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local progress = require "espquant.progress"

local Report = { __name = "espquant.layer_report" }
Report.__index = Report

local ELEMENTS = 1 << 18 -- of all compared tensors, at once and of each model (a single batch of the model may be more)

-- A row for every float tensor that a node makes and the integer model has, in graph order.
local function rows_of(eva, simulation)
  local rows = {}
  for node in eva.model:nodes() do
    for _, value in ipairs(node.outputs) do
      local is_computed = value and not value.constant and eva.graph:value(value.name)
      local form = is_computed and value.dtype ~= "int64" and simulation.form(eva, value.name)
      if form then
        rows[#rows + 1] = {
          layer = node.name, op = node.op_type, output = value.name, shape = value.shape,
          exponent = form.exponent, bits = form.bits, elements = 0, signal = 0, noise = 0, saturated = 0,
          max_error = 0,
        }
      end
    end
  end
  return rows
end

-- Images in a piece: as many as keep the tensors below ELEMENTS, and a multiple of the model's own batch.
local function step_of(model, rows)
  local own = model.inputs[1].shape and model.inputs[1].shape[1]
  if math.type(own) ~= "integer" or own < 1 then own = 1 end
  local elements = 1
  for _, row in ipairs(rows) do
    local count = 1
    for axis, d in ipairs(row.shape or {}) do
      if axis > 1 and math.type(d) == "integer" then count = count * d end
    end
    elements = elements + count
  end
  return own * math.max(1, ELEMENTS // (elements * own))
end

-- Calls f(piece) for the rows of a batch, `step` at a time.
local function each_piece(batch, step, f)
  local tensors = type(batch) == "table" and batch or { batch }
  for first = 1, #tensors[1], step do
    local piece = {}
    for k, tensor in ipairs(tensors) do piece[k] = tensor:slice(first, math.min(first + step - 1, #tensor)) end
    f(#piece == 1 and piece[1] or piece)
  end
end

-- Elements at an end of the range; a float tensor (no bits) has none. A value of "original" mode may have a fraction:
-- only the last number itself counts.
local function count_saturated(ints, bits)
  if not bits then return 0 end
  local hi, next_to = 2.0 ^ (bits - 1) - 1, 2.0 ^ (bits - 25) -- the float32 beside hi, and beside lo, is so far away
  local x = ints:astype "float32"
  local _, _, count = x:equal(x:minimum(hi - next_to):maximum(-hi - 1 + next_to))
  return count or 0
end

local function add(row, want, ints, got)
  local difference = got - want
  row.elements = row.elements + want.count
  row.signal = row.signal + (want * want):sum()
  row.noise = row.noise + (difference * difference):sum()
  row.max_error = math.max(row.max_error, difference:maxabs())
  row.saturated = row.saturated + count_saturated(ints, row.bits)
end

-- From sums to figures. Without any error the ratio is infinite.
local function finish(row)
  local snr = row.noise == 0 and math.huge or 10 * math.log(row.signal / row.noise, 10)
  row.snr, row.saturated = snr, row.elements > 0 and row.saturated / row.elements or 0
  row.elements, row.signal, row.noise, row.shape, row.bits = nil, nil, nil, nil, nil
end

local function executor(graph, eva, names)
  return errors.check(core.executor(graph, { threads = eva.threads, isa = eva.isa, outputs = names }))
end

--- One line for each layer.
function Report:__tostring()
  local lines = { { "layer", "op", "output", "exponent", "SNR dB", "saturated", "max error" } }
  for _, row in ipairs(self) do
    lines[#lines + 1] = { row.layer, row.op, row.output, ("%s"):format(row.exponent or "-"), ("%.1f"):format(row.snr),
      ("%.2f %%"):format(100 * row.saturated), ("%.3g"):format(row.max_error) }
  end
  return columns(lines, { false, false, false, true, true, true, true })
end

-- One pass over the data, through both models.
local function measure(eva, data, rows, simulation)
  local names = {}
  for i, row in ipairs(rows) do names[i] = row.output end
  local float <close> = executor(eva.model, eva, names)
  local integer <close> = executor(eva.graph, eva, names)
  local bar <close> = progress.new { title = "layers", total = data:count() }
  local step, images = step_of(eva.model, rows), 0
  for batch in data:batches() do
    each_piece(batch, step, function(piece)
      local want, ints = errors.check(float:run(piece)), errors.check(integer:run(piece))
      for i, row in ipairs(rows) do add(row, want[i], ints[i], simulation.to_float(eva, ints[i], row.output)) end
      images = images + (type(piece) == "table" and #piece[1] or #piece)
      bar:update(images)
    end)
  end
end

--- The report of an Evaluator that has a model, over a dataset; the simulation (espquant.evaluation.v1) knows how
--- tensors are stored. Raises an error object.
return function(eva, source, simulation)
  local rows = rows_of(eva, simulation)
  measure(eva, errors.check(dataset.of(source, eva.model)), rows, simulation)
  for _, row in ipairs(rows) do finish(row) end
  return setmetatable(rows, Report)
end
