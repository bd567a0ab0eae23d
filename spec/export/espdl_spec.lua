--- .espdl files that we write, beside those that esp-ppq recorded, from its exponents.

local cjson = require "cjson"
local codec = require "espquant.codec.espdl"
local core = require "espquant.core"
local espdl = require "espquant.export.espdl"
local espquant = require "espquant"
local layout = require "espquant.export.espdl_layout"
local process = require "spec.support.process"
local v3 = require "spec.support.v3"

-- Every recorded case: f(label, ours, recorded), models as the codec has them.
local function each(f)
  v3.each(function(label, case, record)
    local graph = v3.model(case)
    local bytes = assert(espdl.encode(graph, v3.recorded_table(graph, record), {
      target = record.target, bits = record.bits, test_input = case.tensor "input.npy",
      runtime_version = "2.0.0", -- of which no kernel is known to deviate from what esp-ppq simulates
    }))
    local ours = assert(codec.decode(bytes))[1].model
    f(label, ours, assert(codec.decode(case.bytes(record.folder .. "/model.espdl")))[1].model, bytes)
  end)
end

local function key_of(t)
  return ("%s|%s|%s|%s|%s"):format(t.data_type, table.concat(t.dims, "x"), table.concat(t.exponents, ","),
    t.doc_string or "", t.raw_data)
end

local function attribute_text(a)
  return a.name .. "=" .. tostring(a.i or a.f or a.s or a.ints and table.concat(a.ints, ","))
end

-- What we write although the recorded files do not, or the reverse; each for a reason.
local DELIBERATE = {
  ["pads=0,0,0,0"] = true, -- pools: explicit, absent in the recorded files
}

local function is_ignored_table(node, a) -- the runtime looks at tables of 16 bits in LUT and Gelu only
  return a.name == "lut" and (node.op_type == "Clip" or node.op_type == "Relu")
end

local function nodes_of(model)
  local list = {}
  for _, node in ipairs(model.graph.node) do
    local texts, wide = {}, false
    for _, a in ipairs(node.attribute) do wide = wide or a.name == "quant_type" and a.s == "S16" end
    for _, a in ipairs(node.attribute) do
      local text = attribute_text(a):gsub("_lut_%d+$", "_lut")
      local pool = node.op_type:match "Pool$" and DELIBERATE[text]
      if not pool and not (wide and is_ignored_table(node, a)) then texts[#texts + 1] = text end
    end
    list[#list + 1] = node.op_type .. " " .. table.concat(texts, " ")
  end
  table.sort(list)
  return list
end

local function infos_of(list)
  local texts = {}
  for i, info in ipairs(list) do
    local type, dims = info.value_info_type.value, {}
    for k, d in ipairs(type.shape.dim) do dims[k] = d.value.dim_value end
    texts[i] = ("%d %s %s"):format(type.elem_type, table.concat(dims, "x"), table.concat(info.exponents, ","))
  end
  table.sort(texts)
  return texts
end

-- esp-ppq rounds biases of these in float32 (docs/v3.md).
local BIASES = { ["softmax_head/esp32s3_16bit"] = 2 }

describe("an .espdl file", function()
  it("has the parameters, nodes and tests that esp-ppq recorded", function()
    local tensors, equal, nodes, files = 0, 0, 0, 0
    each(function(label, ours, recorded)
      local known, missing = {}, 0
      for _, t in ipairs(recorded.graph.initializer) do known[key_of(t)] = true end
      for _, t in ipairs(ours.graph.initializer) do
        tensors = tensors + 1
        if known[key_of(t)] then equal = equal + 1 else missing = missing + 1 end
      end
      assert.equal(BIASES[label] or 0, missing, label)
      assert.same(nodes_of(recorded), nodes_of(ours), label)
      assert.same(infos_of(recorded.graph.input), infos_of(ours.graph.input), label)
      assert.same(infos_of(recorded.graph.output), infos_of(ours.graph.output), label)
      nodes, files = nodes + #ours.graph.node, files + 1
    end)
    print(("  %d files: %d of %d parameters equal in every byte, %d nodes equal"):format(files, equal, tensors, nodes))
    assert.equal(52, files)
  end)

  it("embeds the integers that esp-ppq recorded", function()
    local compared = 0
    each(function(label, ours, recorded)
      local by_name = {}
      for _, list in ipairs { recorded.graph.test_inputs_value, recorded.graph.test_outputs_value } do
        for _, t in ipairs(list) do by_name[t.name] = t end
      end
      for _, list in ipairs { ours.graph.test_inputs_value, ours.graph.test_outputs_value } do
        for _, t in ipairs(list) do
          local want = by_name[t.name]
          assert.same(want.dims, t.dims, label)
          assert.same(want.exponents, t.exponents, label)
          if t.data_type ~= 1 then assert.is_true(want.raw_data == t.raw_data, label .. " " .. t.name) end
          compared = compared + 1
        end
      end
    end)
    assert.is_true(compared > 104)
  end)

  it("is deterministic, aligned, and read by flatc #unit", function()
    local folder, checked = process.folder(), 0
    each(function(label, ours, _, bytes)
      if not label:match "8bit" then return end
      assert.is_true(bytes == codec.encode(ours), label)
      assert(core.write_file(folder .. "/m.bin", bytes:sub(17)))
      local r = process.run({ "flatc", "--json", "--raw-binary", "--strict-json", "--defaults-json",
        process.root .. "/proto/espdl.fbs", "--", "m.bin" }, { cwd = folder })
      assert.equal(0, r.status, label .. r.stderr)
      local file = assert(io.open(folder .. "/m.json", "rb"))
      local json = cjson.decode(file:read "a")
      file:close()
      assert.equal(#ours.graph.node, #json.graph.node)
      for i, t in ipairs(ours.graph.initializer) do assert.equal(t.name, json.graph.initializer[i].name) end
      checked = checked + 1
    end)
    process.remove(folder)
    assert.equal(36, checked)
  end)

  it("has node names of their own, and every activation in value_info", function()
    each(function(label, ours)
      local names, infos = {}, {}
      for _, info in ipairs(ours.graph.value_info) do infos[info.name] = true end
      for _, node in ipairs(ours.graph.node) do
        assert.is_true(node.name ~= "" and not names[node.name], label)
        names[node.name] = true
        for _, out in ipairs(node.output) do assert.is_true(infos[out], label .. " " .. out) end
      end
      for _, info in ipairs(ours.graph.input) do assert.is_true(infos[info.name]) end
    end)
  end)
end)

-- A graph of integers by a list of nodes { op, inputs, outputs, attrs }, input x.
local function graph_of(shape, nodes, outputs)
  local g, values = core.graph { name = "layout", opset = 18 }, {}
  values.x = g:add_input("x", "int8", shape)
  values.x:set_quant(8, { -4 })
  for i, n in ipairs(nodes) do
    local inputs = {}
    for k, name in ipairs(n[2]) do
      inputs[k] = type(name) == "string" and values[name] or g:add_constant("k" .. i .. "_" .. k, name)
      if type(name) ~= "string" and name.dtype == "int8" then inputs[k]:set_quant(8, { -4 }) end
    end
    local node = g:add_node { op_type = n[1], name = "n" .. i, inputs = inputs, outputs = { n[3] }, attrs = n[4] }
    node.column = "v3"
    node:output(1):set_quant(8, { -4 })
    values[n[3]] = node:output(1)
  end
  for _, name in ipairs(outputs) do g:add_output(values[name]) end
  g.arithmetic = "v3-half-up"
  assert(g:infer_shapes())
  return g
end

local function shapes_of(device)
  local texts = {}
  for i, node in ipairs(device.nodes) do
    local out = node.outputs[1]
    texts[i] = ("%s %s"):format(node.op_type, table.concat(out.shape, "x"))
  end
  return table.concat(texts, ", ")
end

local POOL = { kernel_shape = { 2, 2 }, strides = { 2, 2 } }

describe("the layout on the device", function()
  local CASES = {
    { "gives the input the order of its first reader", "MaxPool 1x2x3x8, Transpose 1x8x2x3, Flatten 1x48",
      { { "MaxPool", { "x" }, "a", POOL }, { "Flatten", { "a" }, "y", { axis = 1 } } } },
    { "keeps ONNX's order where that comes first", "Sigmoid 1x8x4x6, Transpose 1x4x6x8, MaxPool 1x2x3x8",
      { { "Sigmoid", { "x" }, "a" }, { "MaxPool", { "a" }, "y", POOL } } },
    { "lets a Transpose go that leads to the order that is there", "MaxPool 1x2x3x8, Reshape 1x48",
      { { "MaxPool", { "x" }, "a", POOL }, { "Transpose", { "a" }, "b", { perm = { 0, 2, 3, 1 } } },
        { "Reshape", { "b", core.tensor_from({ 1, 48 }, "int64") }, "y" } } },
    { "makes a Transpose that the graph returns", "MaxPool 1x2x3x8, Transpose 1x8x2x3, Transpose 1x2x3x8",
      { { "MaxPool", { "x" }, "a", POOL }, { "Transpose", { "a" }, "y", { perm = { 0, 2, 3, 1 } } } } },
    { "renumbers the axis of a Concat", "MaxPool 1x2x3x8, Concat 1x2x3x16",
      { { "MaxPool", { "x" }, "a", POOL }, { "Concat", { "a", "a" }, "y", { axis = 1 } } } },
    { "joins orders that differ in images' order", "MaxPool 1x4x6x8, Transpose 1x8x4x6, Reshape 1x8x4x6, "
        .. "Transpose 1x4x6x8, Add 1x4x6x8",
      { { "MaxPool", { "x" }, "a", { kernel_shape = { 1, 1 }, strides = { 1, 1 } } },
        { "Reshape", { "a", core.tensor_from({ 1, 8, 4, 6 }, "int64") }, "b" }, { "Add", { "a", "b" }, "y" } } },
  }
  for _, case in ipairs(CASES) do
    it(case[1], function()
      assert.equal(case[2], shapes_of(layout(graph_of({ 1, 8, 4, 6 }, case[3], { "y" }))))
    end)
  end

  it("turns a constant beside images", function()
    local list = {}
    for i = 1, 8 do list[i] = i end
    local slope = core.tensor_from(list, "int8"):reshape { 8, 1, 1 }
    local device = layout(graph_of({ 1, 8, 4, 6 }, { { "MaxPool", { "x" }, "a", POOL },
      { "Mul", { "a", slope }, "y" } }, { "y" }))
    assert.same({ 1, 1, 1, 8 }, device.nodes[2].inputs[2].constant.shape)
  end)

  it("renumbers axes of Slice, and drops reduced ones", function()
    local function ints(...) return core.tensor_from({ ... }, "int64") end
    local device = layout(graph_of({ 1, 8, 4, 6 }, { { "MaxPool", { "x" }, "a", POOL },
      { "Slice", { "a", ints(2), ints(6), ints(1) }, "b" },
      { "ReduceMean", { "b", ints(2, 3) }, "y", { keepdims = 0 } } }, { "y" }))
    assert.equal("MaxPool 1x2x3x8, Slice 1x2x3x4, ReduceMean 1x4", shapes_of(device))
    assert.same({ 3 }, device.nodes[2].inputs[4].constant:totable())
    assert.same({ 1, 2 }, device.nodes[3].inputs[2].constant:totable())
  end)
end)

describe("Calibrator:export_espdl", function()
  local folder
  setup(function() folder = process.folder() end)
  teardown(function() process.remove(folder) end)

  it("writes a model with an open batch, a test, metadata and intermediates", function()
    local model = assert(espquant.onnx.load "examples/mnist.onnx")
    model = espquant.optimizer.optimize(model)
    local images = assert(espquant.dataset("examples/data/mnist/calib-images-idx3-ubyte.gz", { scale = 1 / 256 }))
    local calib = espquant.Calibrator { bits = "int8", runtime = "v3", target = "esp32p4", log = function() end }
    local t = calib:generate_quantization_table(model, images)
    local first = core.tensor { 1, 28, 28 } + 0.25
    calib:export_espdl(model, t, folder .. "/m.espdl", {
      test_input = first, metadata = { author = "us" }, intermediates = { "relu1_out" } })
    local facts = espquant.espdl.facts(assert(espquant.espdl.load(folder .. "/m.espdl"))[1])
    assert.equal(1, #facts.test_inputs)
    assert.same({ "output", "relu1_out" }, { facts.test_outputs[1].name, facts.test_outputs[2].name })
    assert.same({ 1, 28, 28, 1 }, { table.unpack(facts.inputs[1].shape) })
    assert.error_matches(function()
      calib:export_espdl(model, t, folder .. "/m.espdl", { test_input = first, intermediates = { "none" } })
    end, "'none' is no tensor of the written model")
  end)
end)
