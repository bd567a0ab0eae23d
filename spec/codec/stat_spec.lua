-- Files of statistics: the same bytes each time, and a message for whatever is wrong with them.
local core = require "espquant.core"
local json = require "espquant.json"
local stat = require "espquant.codec.stat"

local function statistics()
  return {
    kind = "calibration", tool = "espquant 1", isa = "avx2", model = ("a"):rep(64), options = { bits = "int8" },
    images = 100, shards = 3, complete = true, parts = { [2] = ("h"):rep(64), [1] = "" },
    states = { range = "bytes\0\xFF", histogram = "" }, encoded = "onnx",
  }
end

local function sealed(bytes)
  return bytes .. core.sha256(bytes):gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
end

local function file(...)
  local out = { "ESPQSTAT" .. ("<I4"):pack(1) }
  for _, section in ipairs { ... } do out[#out + 1] = ("<s4s8"):pack(section[1], section[2]) end
  return sealed(table.concat(out))
end

local function header(change)
  local h = { kind = "calibration", tool = "t", isa = "i", model = "m", options = json.object {}, images = 9, shards = 2,
    complete = true }
  for key, value in pairs(change or {}) do h[key] = value ~= json.null and value or nil end
  return { "header", json.encode(json.object(h)) }
end

local REFUSALS = {
  ["x: no file of statistics"] = "hello",
  ["x: a section is cut off"] = sealed("ESPQSTAT" .. ("<I4"):pack(1) .. ("<I4"):pack(1 << 31) .. "header"),
  ["x: its format is version 2, expected 1"] = sealed("ESPQSTAT" .. ("<I4"):pack(2)),
  ["x: it has no header"] = file { "state range", "" },
  ["x: header: images is '0'"] = file(header { images = 0 }),
  ["x: header: shards is '1000001'"] = file(header { shards = 1000001 }),
  ["x: header: kind is 'else'"] = file(header { kind = "else" }),
  ["x: header: options is '7'"] = file(header { options = 7 }),
  ["x: header: complete is 'nil'"] = file(header { complete = json.null }),
  ["x: header: sums is"] = file(header { kind = "evaluation", sums = json.object { images = "9" } }),
  ["x: header: sums are those"] = file(header { kind = "evaluation" }),
  ["x: header: of is"] = file(header { of = json.object { table = 7 } }),
  ["x: part '3' of 2 shards, 32 bytes"] = file(header(), { "part 3", ("h"):rep(32) }),
  ["x: part '1' of 2 shards, 33 bytes"] = file(header(), { "part 1", ("h"):rep(33) }),
  ["x: section 'model' comes twice"] = file(header(), { "model", "" }, { "model", "" }),
}

describe("a file of statistics", function()
  it("gives back what was written, as the same bytes", function()
    local bytes = stat.encode(statistics())
    local got = assert(stat.decode(bytes, "x"))
    assert.equal(bytes, stat.encode(got))
    got.name = nil
    assert.same(statistics(), got)
  end)

  for message, bytes in pairs(REFUSALS) do
    it("is refused: " .. message, function()
      local got, why, code = stat.decode(bytes, "x")
      assert.is_nil(got)
      assert.equal(message, why:sub(1, #message))
      assert.is_true(code == "format" or code == "unsupported")
    end)
  end

  it("is refused wherever a byte is changed or it is cut", function()
    local bytes = stat.encode(statistics())
    for at = 1, #bytes do
      local changed = bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1) .. bytes:sub(at + 1)
      assert.is_nil((stat.decode(changed, "x")))
      assert.is_nil((stat.decode(bytes:sub(1, at - 1), "x")))
    end
  end)
end)

describe("the states of observations", function()
  local graph = core.graph { name = "g", opset = 13 }
  local x = graph:add_input("x", "float32", { "N", 4 })
  local y = graph:add_node { op_type = "Relu", inputs = { x }, outputs = { "y" } }:output(1)
  graph:add_output(y)

  local function observed(kind, values)
    local exec <close> = assert(core.executor(graph))
    local o = assert(core["observe_" .. (kind == "histogram" and "range" or kind)](graph, { "x", "y" }))
    assert(exec:run(core.tensor_from(values, "float32", { #values // 4, 4 }), o))
    if kind ~= "histogram" then return o end
    local h = assert(core.observe_histogram(o))
    assert(exec:run(core.tensor_from(values, "float32", { #values // 4, 4 }), h))
    return h
  end

  for _, kind in ipairs { "range", "histogram", "percentile" } do
    it(("(%s) are read back, and refused where a word is wrong or missing"):format(kind), function()
      local state = observed(kind, { 1, -2, 3, 0.5, 7, -8, 0, 1e-30 }):state()
      assert.equal(state, core.merge_states { state })
      for at = 0, #state - 1, 8 do
        assert.is_nil((core.merge_states { state:sub(1, at) }))
        core.merge_states { state:sub(1, at) .. ("\xFF"):rep(8) .. state:sub(at + 9) } -- no crash
        core.merge_states { state:sub(1, at) .. ("\xFF"):rep(7) .. "\x7F" .. state:sub(at + 9), state }
      end
      assert.is_nil((core.merge_states { state .. ("\0"):rep(8) }))
    end)
  end

  it("of other kinds, numbers of tensors or ranges are not added", function()
    local range, wide = observed("range", { 1, 2, 3, 4 }), observed("histogram", { 1, 2, 3, 4 })
    local _, message = range:add_state(wide:state())
    assert.equal("statistics are histograms of v1 of 2 tensors, expected ranges of 2", message)
    _, message = wide:add_state(observed("histogram", { 1, 2, 3, 5 }):state())
    assert.equal("histograms are over other ranges than expected", message)
  end)

  it("of means are exact sums, in whatever order", function()
    local values, list = { 1e30, 1, -1e30, 3e-39, 0x1p-149, 7, -0x1p127, 0x1p127 }, {}
    for i, v in ipairs(values) do list[i] = observed("percentile", { v, v, v, v }):state() end
    local forth = core.merge_states(list)
    local back = {}
    for i = 1, #list do back[i] = list[#list + 1 - i] end
    assert.equal(forth, core.merge_states(back))
    local o = core.observe_percentile(graph, { "x", "y" })
    assert(o:add_state(forth))
    assert.same({ 1, 1, false, 8 }, { o:range(1) })
  end)
end)
