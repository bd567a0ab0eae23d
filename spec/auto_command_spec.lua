-- espquant auto on a recorded model: it searches with the integer simulation, goes on where it was interrupted, and
-- what it writes gives the table again.
local cjson = require "cjson"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"
local json = require "espquant.json"
local process = require "spec.support.process"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

describe("espquant auto", function()
  local folder

  local function run(...)
    return process.run({ process.espquant, ... }, { cwd = folder })
  end

  local function auto(goal, ...)
    return run("auto", "m.onnx", "-d", "d.npy", "--goal", goal, "--target", "esp32p4", ...)
  end

  before_each(function()
    folder = process.folder()
    local case = fixtures.open("conv_bn_relu_cnn", "v3")
    process.write_file(folder .. "/m.onnx", case.bytes "model.onnx")
    process.write_file(folder .. "/d.npy", case.bytes "calib.npy")
  end)
  after_each(function() process.remove(folder) end)

  it("finds layers for int16, whose configuration gives the table again", function()
    local r = auto("snr >= 33", "-t", "t.json", "--json")
    assert.equal(0, r.status, r.stderr)
    local facts = cjson.decode(r.stdout)
    assert.is_true(facts.reached and facts.score >= 33 and facts.work < 1)
    assert.is_true(next(facts.config.layers) ~= nil)
    local again = run("calibrate", "m.onnx", "-d", "d.npy", "--config", "m_auto.json", "-o", "u.json")
    assert.equal(0, again.status, again.stderr)
    local t, u = assert(espquant.qtable.load(folder .. "/t.json")), assert(espquant.qtable.load(folder .. "/u.json"))
    assert.same(t.entries, u.entries)
    assert.same(t.facts.layers, u.facts.layers)
    assert.equal("esp32p4", u.facts.target)
    local text = auto "snr >= 33".stdout
    assert.matches("configuration +observers +int16 +work +snr +SNR dB", text)
    assert.matches("reached: snr >= 33, with %d+%.%d+ dB; int16: ", text)
  end)

  it("goes on where it was interrupted, with the same result", function()
    local first = auto "snr >= 33"
    local state = cjson.decode(read(folder .. "/m_auto_state.json"))
    local kept, count = {}, 0
    for key, figures in pairs(state.trials) do -- in any order
      count = count + 1
      if count % 2 == 0 then kept[key] = figures end
    end
    assert.is_true(count > 4)
    state.trials = kept
    process.write_file(folder .. "/m_auto_state.json", json.encode(state)) -- every digit
    local second = auto "snr >= 33"
    assert.equal(first.stdout, second.stdout)
    local other = auto "snr >= 34"
    assert.equal(3, other.status)
    assert.matches("is the state of a search with another goal; remove it", other.stderr)
  end)

  it("says when nothing is good enough, and refuses wrong options", function()
    local r = auto "snr >= 150"
    assert.equal(1, r.status)
    assert.matches("NOT reached: snr >= 150", r.stdout)
    for text, options in pairs {
      ["is no goal such as"] = { "snr" },
      ["auto is for runtime v3"] = { "snr >= 3", "--runtime", "v1" },
      ["needs --labels"] = { "accuracy >= 90 %" },
      ["'d.npy' is an input"] = { "snr >= 3", "-o", "d.npy" },
      ["does not end in .json"] = { "snr >= 3", "-t", "t.pickle" },
    } do
      local wrong = auto(table.unpack(options))
      assert.equal(2, wrong.status, text)
      assert.matches(text, wrong.stderr, 1, true)
    end
  end)
end)
