-- Bit for bit against the original toolkit's own outputs, all 30 recorded cases in 5 configurations, "original" mode:
-- tables in every exponent, int8 outputs and tensors between in every element, int16 in 99.9 % of them (the original
-- sums in float32, we sum exactly), refusals in their words. Then the integer kernels against the rewrite, on every
-- tensor above which both define the same arithmetic. Prints how much was compared.
local core = require "espquant.core"
local deviation = require "spec.support.deviation"
local fixtures = require "spec.support.fixtures"
local espquant = require "espquant"
local v1 = require "espquant.quant.v1"

local INT16_EQUAL = 0.999
-- Of every tensor between, by integer kernels: the rewrite's sums are rounded to float32, and layers pass that on.
local INT16_EQUAL_ON_CHIP = 0.995
local IMAGES_BETWEEN = 2 -- of which tensors between were recorded

-- Averages are fractions in the original, products and differences have no scale: the float32 order of the sums below
-- them can move an element over a floor.
local INEXACT = { AveragePool = true, GlobalAveragePool = true, Mul = true, Sub = true }
local INEXACT_PER_ELEMENT = 1e-5

-- What the chip computes otherwise.
local DIFFERS_ON_CHIP = {
  AveragePool = true, GlobalAveragePool = true, Mul = true, Sub = true, Max = true, Min = true, LeakyRelu = true,
  PRelu = true,
}

local ASAN_CASES = { conv_attrs_108 = true, prelu_net_113 = true, max_min_111 = true }

-- configuration -> what was compared in it
local totals = {}
for _, config in ipairs(fixtures.CONFIGURATIONS) do
  totals[config.name] = {
    tables = 0, entries = 0, refusals = 0, moved_tables = 0,
    outputs = { tensors = 0, elements = 0, unequal = 0, inexact = 0, moved = 0 },
    between = { tensors = 0, elements = 0, unequal = 0, inexact = 0, moved = 0 },
    chip = { tensors = 0, elements = 0, unequal = 0 },
  }
end

local function exponents_of(recorded)
  local list = {}
  for i, e in ipairs(recorded) do list[i] = e == "-inf" and -math.huge or math.tointeger(e) end
  return list
end

local function calibrate(case, config, mode)
  local calib = espquant.Calibrator {
    bits = config[1], granularity = config[2], method = config[3], mode = mode, log = function() end,
  }
  local model = assert(core.onnx_decode(case.bytes "model.onnx"))
  return model, calib:measure_table(model, case.tensor "calib.npy")
end

local function first_difference(recorded, t)
  for i, name in ipairs(recorded.order) do
    if not t.entries[i] or t.entries[i].name ~= name then return "the order of entries" end
    local ok, message = pcall(assert.same, exponents_of(recorded.exponents[name]), t.entries[i].exponents)
    if not ok then return ("%s: %s"):format(name, message) end
  end
  return #t.entries ~= #recorded.order and "the number of entries" or nil
end

-- Equal in every entry. Where not, the difference must come from a figure within float error of a boundary: the table
-- with the recorded exponent there, which is returned then, is equal.
local function check_table(case, config, model, t)
  local recorded, label = case.json(config.name .. "/table.json"), case.name .. " " .. config.name
  local difference = first_difference(recorded, t)
  if difference then
    local options = { bits = t.facts.bits, granularity = config[2], method = config[3], mode = "original" }
    t = assert(v1.build(model, options,
      deviation.measure_again(label, model, case.tensor "calib.npy", config, recorded.exponents)))
    assert.is_nil(first_difference(recorded, t), ("%s: %s"):format(label, difference))
  end
  local total = totals[config.name]
  total.tables, total.entries = total.tables + 1, total.entries + #recorded.order
  total.moved_tables = total.moved_tables + (difference and 1 or 0)
  return t
end

local function evaluator(config, mode, model, t, outputs)
  local eva = espquant.Evaluator { bits = config[1], granularity = config[2], mode = mode, outputs = outputs }
  eva:generate_quantized_model(model, t)
  return eva
end

-- The names of the tensors that have one of these operators above them.
local function below(model, operators)
  local set = {}
  for node in model:nodes() do
    local is_below = operators[node.op_type]
    for _, input in ipairs(node.inputs) do is_below = is_below or (input and set[input.name]) end
    for _, output in ipairs(node.outputs) do set[output.name] = is_below or nil end
  end
  return set
end

-- int8: equal, or below an inexact operator each difference is 1, printed, and counted.
local function check_int8(total, label, name, recorded, got, run)
  local inexact = run.inexact[name:gsub("/QACC_shift1:0$", "")]
  if inexact then total.inexact = total.inexact + recorded.count end
  if recorded:equal(got) then return end
  assert.is_truthy(inexact, label .. " differs")
  for _, d in ipairs(deviation.list(recorded, got, run.eva.graph, name, run.images)) do
    print(("%s[%d]: %g, recorded %g, before the floor %s"):format(label, d.index, d.got, d.want, d.before))
    assert.equal(1, math.abs(d.got - d.want), label)
    total.moved = total.moved + 1
  end
end

local function check_tensor(total, label, name, recorded, got, run)
  assert.same(recorded.shape, got.shape, label)
  total.tensors, total.elements = total.tensors + 1, total.elements + recorded.count
  if run.config[1] == "int8" then return check_int8(total, label, name, recorded, got, run) end
  local _, _, unequal = recorded:equal(got)
  total.unequal = total.unequal + (unequal or 0)
end

local function check_outputs(case, run)
  local folder = run.config.name
  local outputs, names = run.eva:evaluate_quantized_model(run.images)
  assert.same(case.json(folder .. "/output_names.json"), names)
  for i, name in ipairs(names) do
    check_tensor(totals[folder].outputs, ("%s %s '%s'"):format(case.name, folder, name), name,
      case.tensor(("%s/output_%d.npy"):format(folder, i - 1)), outputs[i], run)
  end
end

-- Every node's output, for the first images.
local function check_between(case, run)
  local folder = run.config.name .. "/intermediate/"
  if not case.has(folder .. "names.json") then return end
  local names = case.json(folder .. "names.json")
  local images = run.images:slice(1, IMAGES_BETWEEN)
  local eva = evaluator(run.config, "original", run.model, run.table, names)
  local outputs = eva:evaluate_quantized_model(images)
  local first = { config = run.config, inexact = run.inexact, eva = eva, images = images }
  for i, name in ipairs(names) do
    check_tensor(totals[run.config.name].between, ("%s %s '%s'"):format(case.name, folder, name), name,
      case.tensor(("%s%d.npy"):format(folder, i - 1)), outputs[i], first)
  end
end

-- True where the original refuses, and we do in its words.
local function check_refusal(case, config, model, t, message)
  local path = config.name .. "/error.json"
  if not case.has(path) then return false end
  local recorded = case.json(path)
  if recorded.stage == "generate_quantization_table" then
    assert.is_nil(t)
  else
    assert(t, message)
    check_table(case, config, model, t)
    local ok, raised = pcall(evaluator, config, "original", model, t)
    assert.is_false(ok)
    message = raised.message
  end
  assert.equal(recorded.message, message)
  totals[config.name].refusals = totals[config.name].refusals + 1
  return true
end

describe("the original's recorded cases", function()
  for _, name in ipairs(fixtures.CASES) do
    local case
    for _, config in ipairs(fixtures.CONFIGURATIONS) do
      it(name .. " " .. config.name .. (ASAN_CASES[name] and "" or " #unit"), function()
        case = case or fixtures.open(name)
        local model, t, message = calibrate(case, config, "original")
        if check_refusal(case, config, model, t, message) then return end
        assert(t, message)
        t = check_table(case, config, model, t)
        local run = {
          config = config, model = model, table = t, inexact = below(model, INEXACT), images = case.tensor "input.npy",
          eva = evaluator(config, "original", model, t),
        }
        check_outputs(case, run)
        check_between(case, run)
      end)
    end
  end

  local function describe_part(part)
    return ("%d tensors with %d elements, %d of them not equal (%d of %d below averages, Mul, Sub moved by 1)"):format(
      part.tensors, part.elements, part.unequal + part.moved, part.moved, part.inexact)
  end

  it("were many, and agree #unit", function()
    local sum = { tables = 0, entries = 0, refusals = 0 }
    for _, config in ipairs(fixtures.CONFIGURATIONS) do
      local t = totals[config.name]
      print(("\n%s: %d tables with %d entries equal (%d but for float error), %d refusals\n  outputs: %s\n"
        .. "  between: %s"):format(config.name,
        t.tables, t.entries, t.moved_tables, t.refusals, describe_part(t.outputs), describe_part(t.between)))
      for _, part in ipairs { t.outputs, t.between } do
        assert.is_true(part.unequal <= (1 - INT16_EQUAL) * part.elements)
        assert.is_true(part.moved <= INEXACT_PER_ELEMENT * part.inexact)
      end
      for key in pairs(sum) do sum[key] = sum[key] + t[key] end
    end
    -- Six searches find no threshold; add_shared has a table, but no evaluator takes it.
    assert.same({ tables = 144, entries = 3505, refusals = 11 }, sum)
  end)

  -- Two thresholds of this search have nearly the same divergence: the last bits of the data choose.
  it("tell a threshold within float error of another #unit", function()
    local case = fixtures.open "dense_118"
    local model = assert(core.onnx_decode(case.bytes "model.onnx"))
    local exec <close> = assert(core.executor(model, { outputs = { "AveragePool_0_out" } }))
    local tensor = assert(exec:run(case.tensor "calib.npy"))[1]
    local reachable = deviation.reachable(tensor, 8, "entropy")
    assert.is_truthy(reachable[-3] and reachable[-4])
    assert.is_nil(deviation.reachable(tensor, 8, "minmax")[-4])
  end)

  it("show what was before a floor", function()
    local case = fixtures.open "prelu_net_113"
    local config, images = fixtures.CONFIGURATIONS[1], case.tensor "input.npy"
    local model, t = calibrate(case, config, "original")
    for node in model:nodes() do
      if node.op_type == "PRelu" then
        local name = node:output(1).name
        local eva = evaluator(config, "original", model, t, { name })
        local before = assert(deviation.before_floor(eva.graph, name, images))
        local want, got = before:reshape({ -1 }):totable(), eva:evaluate_quantized_model(images)[1]:reshape({ -1 })
        for i, x in ipairs(want) do want[i] = math.max(-128, math.min(127, math.floor(x))) end
        assert.is_true(core.tensor_from(want, "float32"):equal(got))
      end
    end
  end)
end)

describe("the integer kernels and the rewrite, given one table", function()
  for _, name in ipairs(fixtures.CASES) do
    it("compute the same: " .. name .. (ASAN_CASES[name] and "" or " #unit"), function()
      local case = fixtures.open(name)
      for _, config in ipairs(fixtures.CONFIGURATIONS) do
        local model, t = calibrate(case, config, "chip")
        local different, names, images = below(model, DIFFERS_ON_CHIP), {}, case.tensor "input.npy"
        for node in model:nodes() do
          local output = node:output(1).name
          if not different[output] then names[#names + 1] = output end
        end
        local total, label = totals[config.name].chip, name .. " " .. config.name
        local ok, rewrite = pcall(evaluator, config, "original", model, t, names)
        if not ok then
          assert.equal("add_shared_190", name, tostring(rewrite))
          return
        end
        local wanted = rewrite:evaluate_quantized_model(images)
        for i, got in ipairs((evaluator(config, "chip", model, t, names):evaluate_quantized_model(images))) do
          local equal, _, unequal = wanted[i]:equal(got:astype "float32")
          assert.is_true(equal or config[1] == "int16", ("%s '%s'"):format(label, names[i]))
          total.tensors, total.elements = total.tensors + 1, total.elements + got.count
          total.unequal = total.unequal + (unequal or 0)
        end
      end
    end)
  end

  it("were many tensors #unit", function()
    for _, config in ipairs(fixtures.CONFIGURATIONS) do
      local t = totals[config.name].chip
      print(("\n%s: %d tensors with %d elements by the integer kernels, %d not equal"):format(config.name, t.tensors,
        t.elements, t.unequal))
      assert.is_true(t.tensors > 250 and t.unequal <= (1 - INT16_EQUAL_ON_CHIP) * t.elements)
    end
  end)
end)
