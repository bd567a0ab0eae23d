-- The search for the cheapest configuration: by made-up figures, and its parts.
local core = require "espquant.core"
local errors = require "espquant.errors"
local goal = require "espquant.auto.goal"
local net = require "spec.support.net"
local search = require "espquant.auto.search"
local state = require "espquant.auto.state"
local units = require "espquant.auto.units"

-- Layers of a made-up network: the noise that each adds at int8, and what int16 costs.
local LAYERS = {
  { name = "a", noise = 1e-6, work = 100 }, { name = "b", noise = 4e-3, work = 10 },
  { name = "c", noise = 1e-5, work = 1000 }, { name = "d", noise = 2e-3, work = 500 },
  { name = "e", noise = 3e-4, work = 1 },
}
local FACTOR = { kl = 1, minmax = 1.5, percentile = 3, mse = 0.9 } -- of the noise, by observer
local OPTIONS = { observers = { "kl", "minmax", "percentile", "mse" }, weight_observers = { "minmax", "mse" } }

local MORE = table.move(LAYERS, 1, #LAYERS, 1, {})
for _, name in ipairs { "f", "g", "h" } do MORE[#MORE + 1] = { name = name, noise = 1e-9, work = 50 } end

-- Searches for an SNR in the made-up network. Returns the row found, all rows, and how many were tried.
local function find(least, layers)
  layers = layers or LAYERS
  local tried = 0
  local options = { least = least, observers = OPTIONS.observers, weight_observers = OPTIONS.weight_observers }
  local best, rows = search(layers, options, function(config)
    tried = tried + 1
    local wide, noise = {}, 1e-8
    for _, i in ipairs(config.wide) do wide[i] = true end
    for i, layer in ipairs(layers) do
      noise = noise + (wide[i] and layer.noise / 65536 or layer.noise) * FACTOR[config.observer]
    end
    local snr = -10 * math.log(noise, 10)
    return { score = snr, snr = snr }
  end)
  return best, rows, tried
end

local function names(row)
  local list = {}
  for i, unit in ipairs(row.config.wide) do list[i] = MORE[unit].name end
  return table.concat(list, " ")
end

describe("a search", function()
  it("ends with the first observer that is good enough", function()
    local best, rows, tried = find(20)
    assert.same({ "kl", "", 1, 1 }, { best.config.observer, names(best), #rows, tried })
    best = find(22.2)
    assert.same({ "mse", "" }, { best.config.observer, names(best) })
  end)

  it("gives int16 to the fewest layers that it takes", function()
    for least, expected in pairs { [24] = "b", [30] = "b d", [38] = "b d e", [55] = "b c d e", [65] = "a b c d e" } do
      for _, layers in ipairs { LAYERS, MORE } do -- few, of which all subsets are tried, and more
        local best, _, tried = find(least, layers)
        assert.is_true(best.score >= least)
        assert.equal(expected, names(best), least)
        assert.equal("mse", best.config.observer)
        assert.is_true(tried < 40)
      end
    end
    assert.is_true(find(24).cost < 0.01)
  end)

  it("says what is best where nothing is good enough", function()
    local best = find(1000)
    assert.is_true(best.score < 1000)
    assert.equal("a b c d e", names(best))
  end)
end)

describe("a goal", function()
  local function figures(text, want, got, labels)
    local g = assert(goal.parse(text))
    local sums = goal.start(g, labels)
    for i = 1, #want do
      sums:add({ core.tensor_from({ want[i] }, "float32") }, { core.tensor_from({ got[i] }, "float32") }, 1)
    end
    return sums:result(), g
  end
  local WANT, GOT = { { 1, 2 }, { 3, 1 } }, { { 1.5, 2 }, { 1, 1.5 } }

  it("is agreement, accuracy, a ratio in dB or a function", function()
    assert.equal(0.5, figures("agreement >= 0.9", WANT, GOT).score)
    assert.equal(0.0, figures("accuracy >= 90 %", WANT, GOT, core.tensor_from({ 0, 0 }, "int64")).score)
    local result, g = figures("snr >= 30", WANT, GOT)
    assert.near(10 * math.log(15 / 4.5, 10), result.score, 1e-6)
    assert.equal(30, g.least)
    assert.equal(goal.NO_NOISE, figures("snr >= 3", WANT, WANT).score)
    assert.equal(0.97, goal.parse("accuracy >= 97 %").least)
    local path = os.tmpname() .. ".lua"
    local file <close> = assert(io.open(path, "wb"))
    file:write "return function(want, got, images) return (want[1] - got[1]):maxabs() + images end"
    file:close()
    assert.equal(2.25, figures(path .. ">= 1", WANT, GOT).score)
    os.remove(path)
  end)

  it("is refused in words", function()
    for text, reason in pairs {
      ["agreement"] = "is no goal such as", ["agreement >= much"] = "is no goal",
      ["speed >= 3"] = "there are agreement",
      ["/nowhere/x.lua >= 1"] = "cannot open", ["agreement > 0.5"] = "is no goal",
    } do
      local g, message = goal.parse(text)
      assert.is_nil(g)
      assert.matches(reason, message)
    end
  end)
end)

describe("units", function()
  it("are layers with fused activations and what moves their numbers on", function()
    local g = net.model [[
      input x 1,4,8,8
      const w 4,4,3,3
      const v 256,5
      Conv x w -> c pads=1,1,1,1
      Relu c -> r
      Flatten r -> f
      Gemm f v -> y
      Softmax y -> s
      Log s -> l
      output l
    ]]
    local list = units.of(g)
    assert.same({ "Conv_c", "Relu_r", "Flatten_f" }, list[1].nodes)
    assert.same({ { "Conv_c", 4 * 64 * 36 + 256 }, { "Gemm_y", 256 * 5 + 5 }, { "Softmax_s", 5 } },
      { { list[1].name, list[1].work }, { list[2].name, list[2].work }, { list[3].name, list[3].work } })
    assert.equal(3, #list)
  end)
end)

describe("the state of a search", function()
  local FACTS = { model = "m", data = "d", goal = "g", target = "esp32s3", tool = "t" }

  it("is kept in a file, for the same search only", function()
    local path = os.tmpname()
    os.remove(path)
    local s = state.open(path, FACTS)
    assert.is_nil(s:get "k")
    s:put("k", { score = 0.5, snr = 12.25 })
    assert.same({ score = 0.5, snr = 12.25 }, state.open(path, FACTS):get "k")
    local ok, err = pcall(state.open, path, { model = "other", data = "d", goal = "g", target = "esp32s3", tool = "t" })
    assert.is_false(ok)
    assert.is_true(errors.is(err))
    assert.matches("with another model; remove it, or choose another name with %-%-state", tostring(err))
    for _, text in ipairs { "{", "[]", '{"format": "espquant-auto", "version": 1, "trials": {"k": 3}}', "\0" } do
      core.write_file(path, text)
      assert.is_false(pcall(state.open, path, FACTS))
    end
    os.remove(path)
  end)
end)

describe("espquant.auto", function()
  local espquant = require "espquant"
  local MODEL = "input x 1,4,8,8\nconst w 4,4,3,3\nConv x w -> c\nRelu c -> r\nFlatten r -> f\nconst v 144,5\n"
    .. "Gemm f v -> y\noutput y"
  local DATA = net.tensor({ 9, 4, 8, 8 }, 3, 2)

  it("takes a function for its goal, and other data to test with", function()
    local images = 0
    local found = espquant.auto(net.model(MODEL), DATA, {
      goal = { least = -0.005, score = function(want, got, n)
        images = images + n
        return -(want[1] - got[1]):maxabs()
      end },
      target = "c", test = DATA:slice(1, 4), observers = { "kl", "mse" }, weight_observers = {},
    })
    assert.is_true(found.reached)
    assert.is_true(found.score >= -0.005)
    assert.equal(0, images % 4)
    assert.equal("v3", found.table.facts.runtime)
    local again = espquant.Calibrator(found.config):measure_table(net.model(MODEL), DATA)
    assert.same(found.table.entries, again.entries)
  end)

  it("raises wrong options", function()
    local function refused(text, options)
      local ok, message = pcall(espquant.auto, net.model(MODEL), DATA, options)
      assert.is_false(ok)
      assert.matches(text, tostring(message), 1, true)
    end
    refused("is no goal such as", { goal = "much" })
    refused("supported target", { goal = "snr >= 3", target = "esp8266" })
    refused("needs labels", { goal = "accuracy >= 0.5" })
    refused("a number expected, got nil", { goal = { least = 1, score = function() end } })
  end)
end)
