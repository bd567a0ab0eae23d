local core = require "espquant.core"
local defaults = require "espquant.defaults"
local errors = require "espquant.errors"
local fixtures = require "spec.support.fixtures"
local harness = require "spec.support.pass_harness"
local optimizer = require "espquant.optimizer"
local process = require "spec.support.process"

local folder

local function files()
  local list = {}
  local pipe <close> = assert(io.popen("ls -A '" .. folder .. "'"))
  for name in pipe:lines() do list[#list + 1] = name end
  return list
end

local function copy(from, name)
  return process.write_file(folder .. "/" .. name, assert(core.read_file(from)))
end

local function write(graph, name)
  local path = folder .. "/" .. name
  assert(core.onnx_write(graph, path))
  return path
end

-- The error object that f(...) raises.
local function raised(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.is_true(errors.is(err), tostring(err))
  return err
end

local function shapes_of(list)
  local shapes = {}
  for i, value in ipairs(list) do shapes[i] = value.shape end
  return shapes
end

before_each(function() folder = process.folder() end)
after_each(function() process.remove(folder) end)

-- --- against the original -----------------------------------------------------------------------------------------

local function names_of(list)
  local names = {}
  for i, value in ipairs(list) do names[i] = value and value.name end
  return names
end

local function node_facts(node)
  return {
    op = node.op_type, domain = node.domain, name = node.name, attrs = node:attrs(), outputs = names_of(node.outputs),
    inputs = names_of(node.inputs),
  }
end

local function assert_same_model(expected, got)
  local a, b = expected:node_list(), got:node_list()
  assert.equal(#a, #b)
  local constants = 0
  for i, node in ipairs(a) do
    assert.same(node_facts(node), node_facts(b[i]))
    for k, value in ipairs(node.inputs) do
      if value and value.constant then
        constants = constants + 1
        assert.is_true((value.constant:equal(b[i]:input(k).constant)), node:label() .. " input " .. k)
      end
    end
  end
  for _, list in ipairs { "inputs", "outputs" } do
    assert.same(names_of(expected[list]), names_of(got[list]))
    assert.same(shapes_of(expected[list]), shapes_of(got[list]))
  end
  assert.same(expected:opsets(), got:opsets())
  return constants
end

describe("optimize_fp_model", function()
  for _, name in ipairs { "mobilenet_bn_101", "mobilenet_bn_skew_152" } do
    it("gives what the original gave, to the bit: " .. name, function()
      local case = fixtures.open(name)
      local path = optimizer.optimize_fp_model(process.write_file(folder .. "/m.onnx", case.bytes "model_raw.onnx"))
      local expected, got = assert(core.onnx_decode(case.bytes "model.onnx")), assert(core.onnx_read(path))
      assert(expected:infer_shapes())
      defaults.complete(expected) -- the original leaves out what is ONNX's default
      assert.equal(16, assert_same_model(expected, got))
      assert.equal("Conv_0_out", got:node "Conv_0":output(1).name)
    end)
  end

  -- Two of three Convs have a BatchNormalization. 10 constants, 5 nodes and an input make 18 the first number, which is
  -- taken.
  it("numbers only what a BatchNormalization is folded into, past names that the model has", function()
    local b = harness.builder()
    local w = b.random("w", { 3, 3, 1, 1 })
    local x = b.node("Conv", { b.input("x", { "N", 3, 4, 4 }), w }, { name = "a" })
    x = b.node("Conv", { b.batch_norm(x, 3, {}, "first"), w }, { name = "b" })
    x = b.node("Conv", { x, w, b.random("18", { 3 }) }, { name = "c" })
    b.output(b.batch_norm(x, 3, { out = "y" }, "second"))
    local path = folder .. "/m.onnx"
    assert(core.onnx_write(b.graph, path))
    local got = assert(core.onnx_read((optimizer.optimize_fp_model(path))))
    assert.same({ "x", "24", "26" }, { "x", table.unpack(names_of(got:node "c".inputs), 2) })
    assert.same({ "w" }, { table.unpack(names_of(got:node "b".inputs), 2) })
    assert.same({ "20", "22" }, { table.unpack(names_of(got:node "a".inputs), 2) })
    assert(b.graph:infer_shapes())
    assert.is_true(harness.difference(harness.run(b.graph)[1], harness.run(got)[1]) <= 1e-5)
  end)

  it("folds the whole of the MNIST example, whose file loads and computes the same", function()
    local model = assert(core.onnx_read "examples/mnist.onnx")
    local path, notes = optimizer.optimize_fp_model(copy("examples/mnist.onnx", "mnist.onnx"))
    assert.same({}, notes)
    local optimized, count = assert(core.onnx_read(path)), 0
    for node in optimized:nodes() do
      assert.not_equal("BatchNormalization", node.op_type)
      if node.op_type == "Conv" then
        count = count + 1
        assert.equal(3, #node.inputs, node:label())
      end
    end
    assert.equal(5, count)
    assert(model:infer_shapes())
    local before, after = harness.run(model), harness.run(optimized)
    assert.is_true(harness.difference(before[1], after[1]) <= 1e-5)
  end)

  -- x -> MatMul + bias -> Gemm (nameless) -> BatchNormalization -> Conv-less end
  local function dense()
    local b = harness.builder()
    local x = b.node("MatMul", { b.input("x", { 1, 3 }), b.random("w1", { 3, 4 }) }, { name = "matmul" })
    x = b.node("Add", { x, b.random("bias", { 4 }) }, { name = "add", out = "sum" })
    x = b.node("Gemm", { x, b.random("w2", { 4, 5 }) }, { out = "gemm_out" })
    b.output(b.node("Relu", { b.batch_norm(x, 5, { out = "bn_out" }) }, { out = "y" }))
    return b.graph
  end

  it("names Gemms, then folds into them, as the original does", function()
    local graph = assert(core.onnx_read((optimizer.optimize_fp_model(write(dense(), "dense.onnx")))))
    assert.equal("Gemm Gemm Relu", harness.ops(graph))
    local first, second = table.unpack(graph:node_list())
    assert.same({ "fused_gemm_0", "sum" }, { first.name, first:output(1).name })
    assert.same({ "fused_gemm_1", "bn_out" }, { second.name, second:output(1).name })
    assert.equal("fused_gemm_1_bias", second:input(3).name)
  end)

  it("names the batch of all inputs, and keeps the opset's number", function()
    local b = harness.builder()
    b.graph.opset = 17
    b.output(b.node("Add", { b.input("x", { 1, 3 }), b.input("y", { 1, 3 }) }))
    local graph = assert(core.onnx_read((optimizer.optimize_fp_model(write(b.graph, "m.onnx")))))
    assert.same({ { "N", 3 }, { "N", 3 } }, shapes_of(graph.inputs))
    assert.same({ { "N", 3 } }, shapes_of(graph.outputs))
    assert.equal(17, graph.opset)
  end)

  it("takes the first input as float32 and says so", function()
    local b = harness.builder()
    b.output(b.node("Neg", { b.input("x", { 1, 3 }, "float64") }, { out = "y" }))
    local path, notes = optimizer.optimize_fp_model(write(b.graph, "m.onnx"))
    local graph = assert(core.onnx_read(path))
    assert.equal("float32", graph.inputs[1].dtype)
    assert.equal("float32", graph.outputs[1].dtype)
    assert.matches("input 'x' is taken as float32, it was float64", table.concat(notes, "\n"), 1, true)
  end)

  it("leaves a batch fixed that cannot become dynamic, and says why", function()
    local b = harness.builder()
    local x = b.node("Reshape", { b.input("x", { 2, 8 }), b.integers("shape", { 4, 4 }) }, { name = "mix" })
    b.output(b.node("Relu", { x }))
    local path, notes = optimizer.optimize_fp_model(write(b.graph, "m.onnx"))
    assert.same({ { 2, 8 } }, shapes_of(assert(core.onnx_read(path)).inputs))
    assert.matches("the batch stays fixed: Reshape 'mix'", table.concat(notes, "\n"), 1, true)
  end)

  it("writes beside the input and never over it", function()
    local bytes = assert(core.onnx_encode(dense()))
    for name, target in pairs { ["a.b.onnx"] = "a.b_optimized.onnx", ["C.ONNX"] = "C_optimized.onnx",
      ["x_optimized.onnx"] = "x_optimized_optimized.onnx" } do
      local path = process.write_file(folder .. "/" .. name, bytes)
      assert.equal(folder .. "/" .. target, (optimizer.optimize_fp_model(path)))
      assert.equal(bytes, core.read_file(path))
    end
    assert.equal("./m_optimized.onnx", optimizer.optimized_path "./m.onnx")
  end)

  it("writes where it is told, but not over the input", function()
    local path = write(dense(), "m.onnx")
    local bytes = assert(core.read_file(path))
    assert.equal(folder .. "/other.bin", (optimizer.optimize_fp_model(path, folder .. "/other.bin")))
    assert.equal("Gemm Gemm Relu", harness.ops(assert(core.onnx_read(folder .. "/other.bin"))))
    for _, alias in ipairs { path, folder .. "/./m.onnx", folder .. "//m.onnx" } do
      assert.error_matches(function() optimizer.optimize_fp_model(path, alias) end, "the result would overwrite")
    end
    assert.equal(bytes, core.read_file(path))
  end)

  it("gives the same bytes twice", function()
    local path = write(dense(), "m.onnx")
    local first = assert(core.read_file((optimizer.optimize_fp_model(path))))
    assert.equal(first, assert(core.read_file((optimizer.optimize_fp_model(path)))))
  end)

  it("refuses what is not called .onnx", function()
    for _, path in ipairs { "model.pb", "onnx", "model.onnx.gz", "" } do
      local err = raised(optimizer.optimize_fp_model, path)
      assert.equal("format", err.code)
      assert.matches(path .. " is an unknown file format", err.message, 1, true)
    end
    assert.equal("format", raised(optimizer.optimize_fp_model, nil).code)
  end)

  it("refuses a file that is missing, damaged or no model, and leaves nothing behind", function()
    local missing = raised(optimizer.optimize_fp_model, folder .. "/missing.onnx")
    assert.equal("io", missing.code)
    assert.matches("missing.onnx", missing.message, 1, true)
    local bytes = assert(core.onnx_encode(dense()))
    for name, text in pairs { cut = bytes:sub(1, #bytes // 2), empty = "", text = "this is no model" } do
      local path = process.write_file(folder .. "/" .. name .. ".onnx", text)
      local err = raised(optimizer.optimize_fp_model, path)
      assert.equal("format", err.code)
      assert.matches(name .. ".onnx", err.message, 1, true)
    end
    assert.same({ "cut.onnx", "empty.onnx", "text.onnx" }, files())
  end)

  it("refuses shapes that do not fit, naming the file and the node", function()
    local b = harness.builder()
    b.output(b.node("Conv", { b.input("x", { 1, 3, 4, 4 }), b.random("w", { 2, 5, 1, 1 }) }, { name = "odd" }))
    local err = raised(optimizer.optimize_fp_model, write(b.graph, "odd.onnx"))
    assert.equal("format", err.code)
    assert.matches("odd.onnx: Conv 'odd'", err.message, 1, true)
    assert.same({ "odd.onnx" }, files())
  end)

  it("says that it cannot write, and leaves nothing half written", function()
    local path = write(dense(), "m.onnx")
    assert(os.execute("mkdir '" .. folder .. "/m_optimized.onnx'"))
    local err = raised(optimizer.optimize_fp_model, path)
    assert.equal("io", err.code)
    assert.matches("m_optimized.onnx", err.message, 1, true)
    assert.same({ "m.onnx", "m_optimized.onnx" }, files())
    assert.equal("io", raised(optimizer.optimize_fp_model, path, folder .. "/no/such/folder.onnx").code)
  end)
end)

-- --- optimize -----------------------------------------------------------------------------------------------------

describe("optimize", function()
  local function conv_bn()
    local b = harness.builder()
    local conv = b.node("Conv", { b.input("x", { 1, 3, 4, 4 }), b.random("w", { 4, 3, 1, 1 }) }, { name = "conv" })
    local x = b.node("Identity", { b.batch_norm(conv, 4, { name = "bn" }) }, { name = "same" })
    b.output(b.node("Relu", { x }, { out = "y" }))
    return b.graph
  end

  it("gives a copy, and leaves the model alone", function()
    local model = conv_bn()
    local before = tostring(model)
    local graph, counts = optimizer.optimize(model)
    assert.equal(before, tostring(model))
    assert.equal("Conv Relu", harness.ops(graph))
    assert.equal(1, counts.fuse_bn_into_conv)
    assert.equal(1, counts.eliminate_identity)
    assert.equal(0, counts.fuse_pad_into_conv)
  end)

  it("applies the passes that are named, in their order, and tells the trace", function()
    local told = {}
    local graph, counts = optimizer.optimize(conv_bn(), { "eliminate_identity" }, function(...)
      told[#told + 1] = table.concat({ ... }, ": ")
    end)
    assert.equal("Conv BatchNormalization Relu", harness.ops(graph))
    assert.same({ eliminate_identity = 1 }, counts)
    assert.same({ "eliminate_identity: Identity 'same'" }, told)
  end)

  it("finds nothing more to do in its own result", function()
    local _, counts = optimizer.optimize((optimizer.optimize(conv_bn())))
    for name, n in pairs(counts) do assert.equal(0, n, name) end
  end)

  it("refuses an unknown pass and an empty list, which is a mistake", function()
    assert.error_matches(function() optimizer.optimize(conv_bn(), { "fuse_all" }) end,
      "unknown pass 'fuse_all'; known are: extract_constant")
    assert.has_error(function() optimizer.optimize(conv_bn(), {}) end, "the list of passes is empty")
  end)

  it("refuses subgraphs, which read tensors where no pass can see it", function()
    for _, op in ipairs { "If", "Loop", "Scan", "SequenceMap" } do
      local b = harness.builder()
      b.output(b.node(op, { b.input("c", {}, "bool") }, { name = "choice" }))
      local err = raised(optimizer.optimize, b.graph)
      assert.equal("unsupported", err.code)
      assert.matches(op .. " 'choice'", err.message, 1, true)
    end
  end)

  it("leaves operators alone that it does not know", function()
    local b = harness.builder()
    local x = b.node("Unheard", { b.node("Identity", { b.node("Relu", { b.input("x", { 1, 3 }) }) }) })
    b.output(b.node("Identity", { x }))
    assert.equal("Relu Unheard", harness.ops((optimizer.optimize(b.graph))))
  end)

  it("raises for shapes that do not fit", function()
    local b = harness.builder()
    b.output(b.node("MatMul", { b.input("x", { 1, 3 }), b.random("w", { 4, 2 }) }, { name = "odd" }))
    local err = raised(optimizer.optimize, b.graph)
    assert.equal("format", err.code)
    assert.matches("MatMul 'odd'", err.message, 1, true)
  end)

  it("leaves out what would undo a pass on request", function()
    local names = optimizer.with_passes({ "split_clip" }, { "eliminate_identity", "fuse_clips" })
    assert.same({ "split_clip", "eliminate_identity" }, names)
    assert.same({ "fuse_clips" }, optimizer.with_passes(nil, { "fuse_clips" }))
  end)

  it("lists its passes, in a list of its own", function()
    local list, on_request = optimizer.get_available_passes()
    assert.equal("adjust_add cut_final_softmax equalize_weights nop raise_opset rename_input_output replace_matmul_with_gemm "
      .. "set_unique_name_for_nodes split_clip split_reduce", table.concat(on_request, " "))
    assert.equal("extract_constant_to_initializer", list[1])
    list[1] = nil
    assert.equal("extract_constant_to_initializer", optimizer.get_available_passes()[1])
  end)

  it("knows the original's passes, and the Before and After of every pass", function()
    assert.same({
      "fuse_bn_into_conv", "fuse_add_bias_into_conv", "fuse_pad_into_conv", "fuse_matmul_add_bias_into_gemm",
      "fuse_transpose_into_gemm", "eliminate_nop_flatten", "eliminate_nop_pad", "eliminate_nop_transpose",
      "eliminate_unused_initializer", "eliminate_duplicate_initializer", "name_fused_gemms", "fuse_bn_into_gemm",
    }, optimizer.FP_MODEL_PASSES)
    for _, entry in ipairs(optimizer.passes()) do
      if not entry.refused then
        assert.matches("^Before: .*After: ", entry.text, 1, false)
        assert.is_boolean(entry.default)
        assert.is_truthy(io.open("spec/passes/" .. entry.name .. "_spec.lua"), "no spec of " .. entry.name)
      end
    end
  end)
end)
