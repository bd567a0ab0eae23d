-- Attributes that the original toolkit never looks at: every form of an operator either works on the chip, within one
-- quantum of float, or is refused by name with cause and remedy; none crashes or silently differs. Prints how many.
local core = require "espquant.core"
local espquant = require "espquant"
local forms = require "spec.support.forms"
local net = require "spec.support.net"
local quant = require "espquant.quant"
local refusal = require "spec.support.refusal"
require "espquant.model" -- model:run

local IMAGES = 3
local CONFIGURATIONS = { { "int8", "per-tensor" }, { "int8", "per-channel" }, { "int16", "per-tensor" } }
local QUANTUM = 1.01 -- one floor; inputs and constants below are exact, so there is nothing else

local counts = { works = 0, runs = 0, worst = 0, refused = 0 }

local function quiet() end

-- Multiples of `unit` in [-limit, limit], always the same.
local function grid(shape, seed, unit, limit)
  local n, list, state = 1, {}, seed
  for _, d in ipairs(shape) do n = n * d end
  for i = 1, n do
    state = (state * 1103515245 + 12345) % 2147483648
    list[i] = (state // 65536 % (2 * limit // unit + 1) - limit // unit) * unit
  end
  return core.tensor_from(list, "float32", shape)
end

local function sizes(text)
  local list = {}
  for word in text:gmatch "[^,]+" do list[#list + 1] = math.tointeger(tonumber(word)) or IMAGES end
  return list
end

-- The model of a group with one form, as read from a file, and its data: a tensor for each input.
local function build(group, form)
  local opset, nodes = form:match "^(%d+): (.*)$"
  local text = (group[1] .. ";" .. (nodes or form) .. "; output y"):gsub("%s*;%s*", "\n")
  local constants, data = {}, {}
  -- What begins with b is a bias, rounded to the output's exponent: coarse, so that it is exact, too.
  for name, shape in text:gmatch "const (%w+) ?([%d,]*)" do
    constants[name] = grid(sizes(shape), #name + name:byte() * 77, name:find "^b" and 1 / 4 or 1 / 64, 1)
  end
  for name, tensor in pairs(group.given or {}) do constants[name] = tensor end
  local graph = net.graph(text, constants, tonumber(opset))
  local model = assert(core.onnx_decode((assert(core.onnx_encode(graph)))))
  for name, shape in text:gmatch "input (%w+) ([%w,]+)" do
    local used = model:value(name) and model:value(name).is_input
    if used then data[name] = grid(sizes(shape), name:byte(), 1 / 128, 127 / 128) end
  end
  return model, data
end

-- Inputs that the form does not read would have to be fed all the same.
local function drop_unread(model)
  for _, input in ipairs(model.inputs) do
    if input:use_count() == 0 and not input.is_output then model:remove_input(input) end
  end
end

local function columns(model, data)
  local list = {}
  for i, input in ipairs(model.inputs) do list[i] = data[input.name] end
  return list
end

-- The largest deviation from float, in quanta of the output; float beyond the range of the output counts as its end.
local function deviation(model, data, bits, granularity)
  local list, named = columns(model, data), {}
  for i, input in ipairs(model.inputs) do named[input.name] = list[i] end
  local source = #list == 1 and list[1] or named
  local calib = espquant.Calibrator { bits = bits, granularity = granularity, log = quiet }
  local t = assert(calib:measure_table(model, source))
  local eva = espquant.Evaluator { bits = bits, granularity = granularity }
  eva:generate_quantized_model(model, t)
  local got = eva:evaluate_quantized_model(source)[1]
  local want = assert(model:run(#list == 1 and list[1] or list))[1]
  assert.same(want.shape, got.shape)
  local e, half = t:exponent "y", 2.0 ^ (eva.bits - 1)
  return ((want / 2.0 ^ e):maximum(-half):minimum(half - 1) - got:astype "float32"):maxabs()
end

local function check_works(model, data)
  assert(model:infer_shapes())
  assert(quant.check(model, "chip", "table"))
  for _, config in ipairs(CONFIGURATIONS) do
    local worst = deviation(model, data, config[1], config[2])
    assert.is_true(worst <= QUANTUM, ("%s %s: %.3f quanta"):format(config[1], config[2], worst))
    counts.runs, counts.worst = counts.runs + 1, math.max(counts.worst, worst)
  end
end

local function measure(model, data)
  local list, named = columns(model, data), {}
  for i, input in ipairs(model.inputs) do named[input.name] = list[i] end
  return espquant.Calibrator { bits = "int8", log = quiet }:measure_table(model, #list == 1 and list[1] or named)
end

local function check_refused(model, data, said)
  local ok, message, code, problems = quant.check(model, "chip", "calibrator")
  assert.is_nil(ok, "is accepted")
  assert.is_true(code == "format" or code == "unsupported", message)
  local found
  for _, p in ipairs(problems) do
    for _, part in ipairs { p.op, p.node, p.shapes, p.cause, p.remedy } do assert.matches(part, p.message, 1, true) end
    assert.is_string(p.remedy, p.message)
    found = found or p.message:find(said, 1, true)
  end
  assert.is_truthy(found, problems[1].message)
  refusal.check(code, { said }, measure, model, data)
end

describe("of the forms of operators,", function()
  for _, group in ipairs(forms) do
    for _, form in ipairs(group.works) do
      it("works on " .. group[1]:match "^[^;]*" .. ": " .. form, function()
        local model, data = build(group, form)
        drop_unread(model)
        check_works(model, data)
        counts.works = counts.works + 1
      end)
    end
    for _, case in ipairs(group.refused) do
      it("refuses on " .. group[1]:match "^[^;]*" .. ": " .. case[1] .. ": " .. case[2], function()
        local model, data = build(group, case[1])
        drop_unread(model)
        if case.late then refusal.check("format", { case[2], model:node_list()[1].name }, measure, model, data)
        else check_refused(model, data, case[2]) end
        assert.is_true((pcall(quant.check, model, "original", "table")))
        counts.refused = counts.refused + 1
      end)
    end
  end

  it("there are many", function()
    print(("\n%d forms work in %d configurations (%d runs, at most %.3f quanta from float), %d are refused by name")
      :format(counts.works, #CONFIGURATIONS, counts.runs, counts.worst, counts.refused))
    assert.is_true(counts.works > 150 and counts.refused > 100)
  end)
end)
