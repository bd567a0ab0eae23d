-- The policy of ESP-DL v3 against the tables and files that esp-ppq recorded: every exponent of every tensor, and every
-- integer of every weight and bias. Prints how much was compared.
local core = require "espquant.core"
local espdl = require "espquant.codec.espdl"
local observe = require "espquant.quant.v3.observe"
local policy = require "espquant.quant.v3.policy"
local roles = require "espquant.quant.v3.roles"
local target = require "espquant.quant.v3.target"
local v3 = require "spec.support.v3"

-- Biases of which esp-ppq rounded some element in float32, where floor(x + 0.5) is off by one for odd integers from
-- 2^23 on: case -> name -> elements.
local ROUNDED_IN_FLOAT32 = {
  ["softmax_head/esp32s3_16bit"] = { fc_b2 = 1, fc_b6 = 1 },
}

local function build(graph, record, data)
  return assert(policy.build(graph, { bits = record.bits, target = record.target }, function(copy, roots, extra)
    local exec <close> = assert(core.executor(copy, { threads = 1, outputs = {} }))
    return observe.run(copy, roots, extra, function(o) assert(exec:run(data, o, false)) end, 1)
  end))
end

local function integers(list)
  local out = {}
  for i, x in ipairs(list) do out[i] = math.tointeger(x) end
  return out
end

-- The node of the model that makes what the recorded one makes: some have other names.
local function node_of(graph, op) return graph:value(op.outputs[1].name).producer end

-- --- the order of a filter's elements, slowly ------------------------------------------------------------------------

local BLOCK = { c = math.maxinteger, s3 = 128, p4 = 128 } -- bits of a block of channels

-- The elements of w[n][c][k] (n output channels, c input channels, k places) as they lie in the file.
local function filter_order(w, shape, grouped, block)
  local n, c, k = table.unpack(shape)
  local out, blocks = {}, n // block
  local function add(i, j, place) out[#out + 1] = w[((i * c) + j) * k + place + 1] end
  for b = 0, blocks - 1 do
    for place = 0, k - 1 do
      for j = 0, c - 1 do
        for i = 0, block - 1 do add(b * block + i, j, place) end
      end
    end
  end
  local first = blocks * block
  if grouped then
    for place = 0, k - 1 do
      for i = first, n - 1 do add(i, 0, place) end
    end
    return out
  end
  for i = first, n - 1 do
    for place = 0, k - 1 do
      for j = 0, c - 1 do add(i, j, place) end
    end
  end
  return out
end

local function weight_in_order(node, q, record)
  local bits, group = record.bits, target.of(record.target).group
  if node.op_type == "Gemm" and node:attr("transB", 0) == 0 then q = q:transpose() end
  local shape = q.shape
  local places = 1
  for i = 3, #shape do places = places * shape[i] end
  local grouped = node.op_type == "Conv" and node:attr("group", 1) > 1
  return filter_order(q:reshape({ -1 }):totable(), { shape[1], shape[2], places }, grouped, BLOCK[group] // bits)
end

local FORMAT = { [2] = "i1", [3] = "i1", [5] = "<i2", [6] = "<i4", [7] = "<i8" }

-- Elements that differ between a recorded initializer and a list.
local function differing(recorded, list)
  local format = FORMAT[recorded.data_type]
  local size = string.packsize(format)
  assert.is_true(#recorded.raw_data - #list * size < 16 and #recorded.raw_data >= #list * size)
  local count = 0
  for i, x in ipairs(list) do
    if string.unpack(format, recorded.raw_data, (i - 1) * size + 1) ~= x then count = count + 1 end
  end
  return count
end

describe("the policy of ESP-DL v3", function()
  it("gives every recorded exponent, and with it every weight and bias", function()
    local exponents, parameters, rounded, tables = 0, 0, 0, 0
    local function check(label, t, name, want)
      local entry = t:get(name)
      assert.same(integers(want.exponent), entry and entry.exponents, label .. " " .. name)
      assert.equal(want.bits, entry.bits, label .. " " .. name)
      exponents = exponents + 1
    end
    v3.each(function(label, case, record)
      local graph, initializers = v3.model(case), {}
      local t, facts = build(graph, record, case.tensor "calib.npy"), target.of(record.target)
      assert.same({}, t.warnings, label)
      tables = tables + 1
      for name, want in pairs(record.table.variables) do
        if type(want.exponent) == "table" then check(label, t, name, want) end
      end
      local file = assert(espdl.decode(case.bytes(record.folder .. "/model.espdl")))[1].model
      for _, tensor in ipairs(file.graph.initializer) do
        initializers[tensor.name] = tensor
      end
      for _, op in ipairs(record.table.ops) do
        local node = node_of(graph, op)
        for i, want in ipairs(op.inputs) do
          local value, role = node:input(i), roles.of(node, i)
          if want.parameter and role then
            check(label, t, value.name, want)
            local exps, bits = t:get(value.name).exponents, t:get(value.name).bits
            local axis = role == "weight" and roles.weight_axis(node) or 0
            local q = value.constant:quantize(exps, bits, axis, facts.rounding)
            local list = role == "weight" and weight_in_order(node, q, record) or q:reshape({ -1 }):totable()
            if type(list) == "number" then list = { list } end
            local wrong = differing(initializers[want.name], list)
            local known = (ROUNDED_IN_FLOAT32[label] or {})[want.name] or 0
            assert.equal(known, wrong, label .. " " .. want.name)
            parameters, rounded = parameters + 1, rounded + (known > 0 and 1 or 0)
          end
        end
      end
    end)
    print(("  %d tables, %d of %d exponents equal"):format(tables, exponents, exponents))
    print(("  %d of %d parameters equal in every integer; %d differ where esp-ppq rounds in float32"):format(
      parameters - rounded, parameters, rounded))
    assert.equal(52, tables)
  end)
end)
