-- Tables of ESP-DL v3 that are wrong: missing and extra entries, exponents, widths and kinds that do not fit the model.
-- Each ends in an error object with every problem, or in integers; never in an error of Lua.
local cjson = require "cjson"
local core = require "espquant.core"
local espquant = require "espquant"
local fixtures = require "spec.support.fixtures"

local case = fixtures.open("residual_add", "v3")
local model, data = assert(core.onnx_decode(case.bytes "model.onnx")), case.tensor "calib.npy":slice(1, 1)
local text = assert(espquant.Calibrator { bits = "int8", runtime = "v3", target = "esp32p4", layers = {
  conv_7 = "int16", add_21 = "float",
} }:measure_table(model, data)):to_json()

-- "ran", or the error object's text, for the table that `change` makes of the good one.
local function outcome(change)
  local doc, path = cjson.decode(text), os.tmpname() .. ".json"
  change(doc)
  local file <close> = assert(io.open(path, "wb"))
  file:write((cjson.encode(doc)))
  file:close()
  local ok, err = pcall(function()
    local eva = espquant.Evaluator { bits = "int8", runtime = "v3", chip = "esp32p4" }
    eva:generate_quantized_model(model, path)
    eva:evaluate_quantized_model(data)
  end)
  os.remove(path)
  assert.is_true(ok or espquant.errors.is(err), tostring(err))
  assert.is_true(ok or err.code == "format", tostring(err))
  return ok and "ran" or tostring(err)
end

local function remove(doc, name)
  doc.tensors[name] = nil
  for i = #doc.order, 1, -1 do
    if doc.order[i] == name then table.remove(doc.order, i) end
  end
end

-- Changes of an entry, and whether they must be refused.
local CHANGES = {
  { "an exponent of 1000", true, function(e) e.exponents = { 1000 } end },
  { "an exponent of -60", true, function(e) e.exponents = { -60 } end },
  { "two exponents", true, function(e) e.exponents = { -3, -3 } end },
  { "20 bits", false, function(e) e.bits = 20 end },
  { "64 bits", false, function(e) e.bits = 64 end },
  { "no bits", false, function(e) e.bits = nil end },
  { "seams", false, function(e) e.seams = { ["8"] = -3, ["16"] = 5 } end },
  { "seams beyond", false, function(e) e.seams = { ["8"] = -1000, ["16"] = 1000 } end },
  { "kind float", false, function(e) e.kind, e.exponents = "float", nil end },
}

describe("a table of ESP-DL v3 with", function()
  local names = {}
  for name in pairs(cjson.decode(text).tensors) do names[#names + 1] = name end
  table.sort(names)

  for _, change in ipairs(CHANGES) do
    it(change[1] .. " is refused or runs", function()
      for _, name in ipairs(names) do
        local result = outcome(function(doc) change[3](doc.tensors[name]) end)
        local told = change[2] and cjson.decode(text).tensors[name].kind ~= "float"
        assert.is_true(result ~= "ran" or not told, name)
      end
    end)
  end

  it("nothing changed runs", function() assert.equal("ran", outcome(function() end)) end)

  it("a missing entry is refused", function()
    for _, name in ipairs { "conv_7_out", "conv_w5", "input", "relu_13_out" } do
      assert.matches(name, outcome(function(doc) remove(doc, name) end), 1, true)
    end
  end)

  it("an entry of no tensor is refused", function()
    assert.matches("the table has 'extra', which is no tensor of the model", outcome(function(doc)
      doc.tensors.extra = { bits = 8, exponents = { -3 }, kind = "activation" }
      doc.order[#doc.order + 1] = "extra"
    end))
  end)

  it("other layers, another chip or runtime are refused", function()
    for pattern, change in pairs {
      ["is called 'nothere'"] = function(doc) doc.layers.nothere = "int16" end,
      ["as int16, the model as int8"] = function(doc) doc.layers.conv_7 = nil end,
      ["as int8, the model as int16"] = function(doc) doc.layers.conv_3 = "int16" end,
      ["has no float Conv"] = function(doc) doc.layers.conv_3 = "float" end,
      ["the table is for esp32s3"] = function(doc) doc.target = "esp32s3" end,
      ["the table is for runtime v1"] = function(doc) doc.runtime = "v1" end,
      ["the table is for int16"] = function(doc) doc.bits = 16 end,
    } do
      assert.matches(pattern, outcome(change), 1, true)
    end
  end)
end)
