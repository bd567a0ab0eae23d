-- The executor (csrc/run): what comes out must not depend on threads, micro-batches or layouts, and what is observed must
-- be what the tensors hold.
local core = require "espquant.core"
local espquant = require "espquant"

local function numbers(shape, seed)
  local n, x, list = 1, seed or 1, {}
  for _, d in ipairs(shape) do n = n * d end
  for i = 1, n do
    x = (x * 1103515245 + 12345) & 0x7fffffff
    list[i] = (x >> 8) % 2001 / 1000 - 1
  end
  return core.tensor_from(list, "float32"):reshape(shape)
end

-- A graph of nodes {op, inputs, output, attrs}; inputs are names, or tensors for constants.
local function build(inputs, nodes, outputs)
  local g = core.graph { name = "spec", opset = 13 }
  local values = {}
  for _, input in ipairs(inputs) do values[input[1]] = g:add_input(input[1], input[3] or "float32", input[2]) end
  for _, n in ipairs(nodes) do
    local list = {}
    for i, x in ipairs(n[2]) do list[i] = type(x) == "string" and values[x] or g:add_constant(nil, x) end
    local node = g:add_node { op_type = n[1], name = n[3], inputs = list, outputs = { n[3] }, attrs = n[4] }
    values[n[3]] = node:output(1)
  end
  for _, name in ipairs(outputs) do g:add_output(g:value(name)) end
  assert(g:infer_shapes())
  return g
end

local function ints(list) return core.tensor_from(list, "int64") end

-- Convolutions of 3, 17 and 31 channels, an in-place activation, a branch, pools, a fully connected end.
local function network()
  return build({ { "x", { "N", 3, 8, 8 } } }, {
    { "Conv", { "x", numbers({ 17, 3, 3, 3 }, 2), numbers({ 17 }, 3) }, "a", { pads = { 1, 1, 1, 1 } } },
    { "Relu", { "a" }, "b" },
    { "Conv", { "b", numbers({ 17, 1, 3, 3 }, 4) }, "c", { pads = { 1, 1, 1, 1 }, group = 17 } },
    { "Add", { "b", "c" }, "d" },
    { "Sigmoid", { "d" }, "e" },
    { "MaxPool", { "e" }, "f", { kernel_shape = { 2, 2 }, strides = { 2, 2 } } },
    { "Conv", { "f", numbers({ 31, 17, 1, 1 }, 5) }, "g" },
    { "GlobalAveragePool", { "g" }, "h" },
    { "Flatten", { "h" }, "i" },
    { "Gemm", { "i", numbers({ 10, 31 }, 6), numbers({ 10 }, 7) }, "y", { transB = 1 } },
  }, { "y" })
end

local ALL = { "x", "a", "b", "c", "d", "e", "f", "g", "h", "i", "y" }

local function run(graph, images, options)
  local exec = assert(core.executor(graph, options))
  local outputs, names = exec:run(images)
  return assert(outputs, names), names, exec
end

local function assert_equal(expected, got, label)
  assert.same(expected.shape, got.shape, label)
  assert.equal(expected.dtype, got.dtype, label)
  assert.is_true((expected:equal(got)), label)
end

local function quantized(graph, images)
  local t = assert(espquant.Calibrator { bits = "int8", granularity = "per-channel", method = "minmax", log = function() end }
    :measure_table(graph, images))
  return assert(require "espquant.quant".apply(graph, t, { bits = 8, granularity = "per-channel" }))
end

local function integer_network()
  return build({ { "x", { "N", 3, 8, 8 } } }, {
    { "Conv", { "x", numbers({ 17, 3, 3, 3 }, 2), numbers({ 17 }, 3) }, "a", { pads = { 1, 1, 1, 1 } } },
    { "Relu", { "a" }, "b" },
    { "Conv", { "b", numbers({ 17, 1, 3, 3 }, 4) }, "c", { pads = { 1, 1, 1, 1 }, group = 17 } },
    { "Add", { "b", "c" }, "d" },
    { "MaxPool", { "d" }, "f", { kernel_shape = { 2, 2 }, strides = { 2, 2 } } },
    { "Flatten", { "f" }, "i" },
    { "Gemm", { "i", numbers({ 10, 272 }, 6), numbers({ 10 }, 7) }, "y", { transB = 1 } },
  }, { "y" })
end

describe("the executor", function()
  -- Executors hold threads; the leak checker stumbles over hundreds of them.
  after_each(function() collectgarbage() collectgarbage() end)

  describe("on any number of threads and micro-batches", function()
    local function check(graph, names)
      local images = numbers { 13, 3, 8, 8 }
      local expected = run(graph, images, { threads = 1, micro_batch = 1, outputs = names })
      for _, threads in ipairs { 1, 2, 5 } do
        for _, micro_batch in ipairs { 0, 1, 2, 3, 8, 1000 } do
          local got = run(graph, images, { threads = threads, micro_batch = micro_batch, outputs = names })
          for i, name in ipairs(names) do
            assert_equal(expected[i], got[i], ("%s, %d threads, micro-batch %d"):format(name, threads, micro_batch))
          end
        end
      end
      for n = 1, 3 do -- and images alone give what they give in company
        local part = run(graph, images:slice(4, 3 + n), { threads = 2, outputs = names })
        for i, name in ipairs(names) do assert_equal(expected[i]:slice(4, 3 + n), part[i], name .. " " .. n) end
      end
    end

    it("gives the same floats", function() check(network(), ALL) end)

    it("gives the same integers, between the nodes as at the end", function()
      local graph = integer_network()
      local q = quantized(graph, numbers { 5, 3, 8, 8 })
      assert.equal("int8", q:value "c".dtype)
      check(q, { "x", "a", "b", "c", "d", "f", "i", "y" })
    end)
  end)

  describe("returns outputs", function()
    it("by name, in the order asked for, also twice and from the middle", function()
      local g, images = network(), numbers { 3, 3, 8, 8 }
      local all = run(g, images, { outputs = ALL })
      local got, names = run(g, images, { outputs = { "y", "b", "y" } })
      assert.same({ "y", "b", "y" }, names)
      assert_equal(all[11], got[1])
      assert_equal(all[3], got[2])
      assert_equal(all[11], got[3])
      assert_equal(images, all[1])
    end)

    it("that are an input or a constant of the graph", function()
      local g, images = network(), numbers { 3, 3, 8, 8 }
      local k = g:add_constant("k", numbers { 2, 2 })
      g:add_output(k)
      g:add_output(g:value "x")
      local got, names = run(g, images)
      assert.same({ "y", "k", "x" }, names)
      assert_equal(k.constant, got[2])
      assert_equal(images, got[3])
    end)

    it("that no input has a part in, once", function()
      for _, batch in ipairs { "N", 2 } do
        local g = build({ { "x", { batch, 6 } } }, {
          { "Relu", { numbers({ 3 }, 8) }, "fixed" },
          batch == 2 and { "Reshape", { "x", ints { 3, 4 } }, "y" } or { "Relu", { "x" }, "y" },
        }, { "fixed", "y" })
        local images = numbers { 14, 6 }
        local got = run(g, images, { threads = 2, micro_batch = 2 })
        assert_equal(numbers({ 3 }, 8):maximum(0), got[1], tostring(batch))
        assert.same(batch == 2 and { 21, 4 } or { 14, 6 }, got[2].shape)
      end
    end)

    it("none, when none are wanted", function()
      local g = network()
      local exec = assert(core.executor(g, { outputs = {} }))
      local outputs, names = exec:run(numbers { 2, 3, 8, 8 })
      assert.same({}, outputs)
      assert.same({}, names)
      assert.is_true(exec:run(numbers { 2, 3, 8, 8 }, nil, false))
    end)
  end)

  describe("takes", function()
    it("several inputs, one of which nobody reads", function()
      local g = build({ { "a", { "N", 4 } }, { "unread", { "N", 2 } }, { "b", { "N", 4 } } },
        { { "Sub", { "a", "b" }, "y" } }, { "y" })
      local a, b = numbers({ 7, 4 }, 1), numbers({ 7, 4 }, 2)
      assert_equal(a - b, run(g, { a, numbers { 7, 2 }, b }, { threads = 2, micro_batch = 2 })[1])
      local exec = assert(core.executor(g))
      local none, message, code = exec:run { a, numbers { 6, 2 }, b }
      assert.same({ nil, "input 'unread' has 6 images, the inputs before it have 7", "format" }, { none, message, code })
      assert.has_error(function() exec:run(a) end, "bad argument #1 to 'run' (1 tensors for a model of 3 inputs)")
    end)

    it("scalar inputs, which serve all images", function()
      local g = build({ { "factor", {} }, { "x", { "N", 4 } } }, { { "Mul", { "x", "factor" }, "y" } }, { "y", "factor" })
      local x, factor = numbers { 9, 4 }, core.tensor_from({ 3 }, "float32"):reshape {}
      local got = run(g, { factor, x }, { threads = 2, micro_batch = 2 })
      assert_equal(x * 3, got[1])
      assert_equal(factor, got[2])
    end)

    it("float images for a quantized input, and integers as they are", function()
      local q = quantized(integer_network(), numbers { 5, 3, 8, 8 })
      local images = numbers({ 5, 3, 8, 8 }, 9)
      local integers = images:quantize(-7, 8)
      assert_equal(run(q, integers, { threads = 2 })[1], run(q, images, { threads = 2 })[1])
    end)
  end)

  describe("refuses, with what was expected and what came,", function()
    local g, exec
    before_each(function()
      g = network()
      exec = assert(core.executor(g))
    end)

    local function refuses(text, images)
      local none, message, code = exec:run(images)
      assert.is_nil(none)
      assert.equal("format", code)
      assert.matches(text, message, 1, true)
    end

    it("images of another shape", function()
      refuses("input 'x' has shape 2x3x8x9, expected ?x3x8x8 (? is the number of images)", numbers { 2, 3, 8, 9 })
      refuses("input 'x' has shape 3x8x8, expected ?x3x8x8", numbers { 3, 8, 8 })
      refuses("input 'x' has shape scalar, expected", numbers { 1 }:reshape {})
    end)

    it("images of another type", function()
      refuses("input 'x' has type int64, expected float32", core.tensor({ 1, 3, 8, 8 }, "int64"))
    end)

    it("no images", function()
      refuses("input 'x' holds no image: its shape is 0x3x8x8", core.tensor { 0, 3, 8, 8 })
    end)

    it("images without pixels, however many", function()
      local empty = build({ { "x", { "N", 0 } } }, { { "Relu", { "x" }, "y" } }, { "y" })
      exec = assert(core.executor(empty))
      refuses("input 'x' holds no image: its shape is 1073741824x0", core.tensor { 1 << 30, 0 })
    end)

    it("names of tensors that the graph does not have", function()
      assert.has_error(function() core.executor(g, { outputs = { "nothing" } }) end,
        "bad argument #2 to 'executor' (the graph has no tensor 'nothing')")
    end)
  end)

  describe("on a model that mixes the batch", function()
    local function pairs_of_rows()
      return build({ { "x", { 2, 6 } } }, { { "Reshape", { "x", ints { 3, 4 } }, "y" } }, { "y" })
    end

    it("runs whole batches of the model's own size", function()
      local g, x = pairs_of_rows(), numbers { 6, 6 }
      for threads = 1, 3 do
        local got, _, exec = run(g, x, { threads = threads })
        assert_equal(x:reshape { 9, 4 }, got[1])
        assert.same({ false, 2 }, { exec.batch.pure, exec.batch.own })
      end
    end)

    it("refuses others, and names the node", function()
      local none, message, code = assert(core.executor(pairs_of_rows())):run(numbers { 3, 6 })
      assert.is_nil(none)
      assert.equal("format", code)
      assert.matches("input 'x' has 3 images, but the model takes them 2 at a time", message, 1, true)
      assert.matches("Reshape 'y'", message, 1, true)
    end)

    it("gives each input its own number of rows", function()
      local g = build({ { "table", { 4, 3 } }, { "x", { 1, 3 } } },
        { { "Concat", { "table", "x" }, "y", { axis = 0 } } }, { "y" })
      local rows, x = numbers { 8, 3 }, numbers({ 2, 3 }, 5)
      local got = run(g, { rows, x }, { threads = 2 })
      assert_equal(core.concat({ rows:slice(1, 4), x:slice(1, 1), rows:slice(5, 8), x:slice(2, 2) }, 0), got[1])
      local none, message = assert(core.executor(g)):run { rows, numbers { 3, 3 } }
      assert.is_nil(none)
      assert.equal("input 'x' has 3 batches, the inputs before it have 2", message)
    end)

    it("sees what moves images about, although shapes stay", function()
      local moves = {
        { "Slice", { "x", ints { -1 }, ints { -5 }, ints { 0 }, ints { -1 } }, "y" },
        { "Transpose", { "x" }, "y", { perm = { 1, 0 } } },
        { "Softmax", { "x" }, "y", { axis = 0 } },
        { "Gemm", { "x", "x" }, "y", { transA = 1 } },
        { "MatMul", { numbers { 4, 4 }, "x" }, "y" },
      }
      for _, node in ipairs(moves) do
        local exec = assert(core.executor(build({ { "x", { 4, 4 } } }, { node }, { "y" })))
        assert.is_false(exec.batch.pure, node[1])
        assert.matches(node[1], exec.batch.reason, 1, true)
      end
      local flat = assert(core.executor(build({ { "x", { 4, 4 } } }, { { "Softmax", { "x" }, "y", { axis = 1 } } }, { "y" })))
      assert.is_true(flat.batch.pure)
    end)
  end)

  describe("observes", function()
    local function ranges(graph, names, images, options)
      local exec = assert(core.executor(graph, options))
      local o = assert(core.observe_range(graph, names))
      assert(exec:run(images, o, false))
      local list = {}
      for i, name in ipairs(names) do list[name] = { o:range(i) } end
      return list, exec, o
    end

    it("what the tensors hold, in every layout, of real images only", function()
      local g, images = network(), numbers { 11, 3, 8, 8 }
      local tensors = run(g, images, { outputs = ALL })
      for _, options in ipairs { { threads = 1 }, { threads = 3, micro_batch = 4 }, { threads = 2, micro_batch = 1 } } do
        options.outputs = {}
        local found = ranges(g, ALL, images, options)
        for i, name in ipairs(ALL) do
          assert.same({ tensors[i]:min(), tensors[i]:max(), false, tensors[i].count }, found[name], name)
        end
      end
    end)

    it("the same alone as with outputs, and histograms of the same", function()
      local g, images = network(), numbers { 11, 3, 8, 8 }
      local thresholds = {}
      for i, options in ipairs { { threads = 1, micro_batch = 1 }, { threads = 3, micro_batch = 4 }, { threads = 2, outputs = {} } } do
        local _, exec, o = ranges(g, ALL, images, options)
        local h = assert(core.observe_histogram(o))
        assert(exec:run(images, h, false))
        thresholds[i] = {}
        for k = 1, #ALL do thresholds[i][k] = assert(h:threshold(k)) end
      end
      assert.same(thresholds[1], thresholds[2])
      assert.same(thresholds[1], thresholds[3])
    end)

    it("a view of a tensor before an activation overwrites it", function()
      local g = build({ { "x", { "N", 4 } } }, {
        { "Sub", { core.tensor_from({ 0 }, "float32"), "x" }, "a" },
        { "Relu", { "a" }, "b" },
        { "Flatten", { "a" }, "view" },
        { "Relu", { "b" }, "y" },
      }, { "y" })
      local x = numbers { 3, 4 }
      local found = ranges(g, { "a", "view", "b" }, x, { threads = 1 })
      assert.same(found.a, found.view)
      assert.same({ (-x):min(), (-x):max(), false, 12 }, found.view)
      assert.equal(0, found.b[1])
    end)

    it("once what is the same for all images", function()
      local g = build({ { "x", { "N", 4 } } },
        { { "Relu", { numbers({ 3 }, 8) }, "fixed" }, { "Relu", { "x" }, "y" } }, { "y", "fixed" })
      for _, micro_batch in ipairs { 1, 4 } do
        local found = ranges(g, { "fixed", "y" }, numbers { 9, 4 }, { threads = 2, micro_batch = micro_batch })
        assert.equal(3, found.fixed[4])
        assert.equal(36, found.y[4])
      end
    end)

    it("over several runs, and when the values change from one observation to the next", function()
      local g, images = network(), numbers { 6, 3, 8, 8 }
      local exec = assert(core.executor(g, { threads = 2 }))
      local whole, parts, other = core.observe_range(g, { "c" }), core.observe_range(g, { "c" }), core.observe_range(g, { "g", "a" })
      assert(exec:run(images, whole))
      assert(exec:run(images:slice(1, 5), parts))
      assert(exec:run(images, other))
      assert(exec:run(images:slice(6, 6), parts))
      assert.same({ whole:range(1) }, { parts:range(1) })
      assert.equal(6 * 31 * 16, select(4, other:range(1)))
      assert(exec:run(images, core.observe_range(g, {})))
    end)

    it("float tensors only", function()
      local q = quantized(integer_network(), numbers { 5, 3, 8, 8 })
      local none, message, code = assert(core.executor(q)):run(numbers { 2, 3, 8, 8 }, core.observe_range(q, { "c" }))
      assert.is_nil(none)
      assert.equal("unsupported", code)
      assert.equal("tensor 'c' cannot be observed: it is int8, expected float32", message)
    end)

    it("tensors of its own graph only", function()
      local g, other = network(), network()
      local exec = assert(core.executor(g))
      assert.has_error(function() exec:run(numbers { 1, 3, 8, 8 }, core.observe_range(other, { "y" })) end,
        "bad argument #2 to 'run' (the observation is of another graph)")
    end)
  end)

  describe("ends", function()
    it("with an edit of its graph", function()
      local g = network()
      local exec = assert(core.executor(g))
      assert.is_false(exec.stale)
      g:value "y":rename "z"
      assert.is_true(exec.stale)
      assert.has_error(function() exec:run(numbers { 1, 3, 8, 8 }) end,
        "calling 'run' on bad self (the graph was changed after the executor was made)")
      exec:close()
    end)

    it("with its graph, in whatever order they are closed", function()
      for _, last in ipairs { "exec", "graph" } do
        local g = network()
        local exec = assert(core.executor(g, { threads = 2 }))
        assert(exec:run(numbers { 3, 3, 8, 8 }))
        if last == "graph" then exec:close() g:close() else g:close() exec:close() end
        assert.is_true(exec.stale)
        assert.has_error(function() exec:run(numbers { 1, 3, 8, 8 }) end)
      end
    end)

    it("in peace, although inputs were added and removed since", function()
      local g = network()
      local exec = assert(core.executor(g, { threads = 2 }))
      assert(exec:run(numbers { 3, 3, 8, 8 }))
      for i = 1, 40 do g:add_input("more" .. i, "float32", { "N" }) end
      exec:close()
      local second = assert(core.executor(g, { threads = 2, outputs = {} }))
      for i = 1, 40 do g:remove_input(g:value("more" .. i)) end
      second:close()
    end)
  end)

  describe("is not made", function()
    local function refused(text, expected_code, graph, options)
      local none, message, code = core.executor(graph, options)
      assert.is_nil(none)
      assert.matches(text, message, 1, true)
      assert.equal(expected_code, code)
    end

    it("for a graph out of order", function()
      local g = network()
      g:node "b":move_before(nil)
      refused("Conv 'c': input 0 'b' is made by a node that comes later", "format", g)
    end)

    it("for a graph without inputs", function()
      refused("the model has no input", "format", build({}, { { "Relu", { numbers { 3 } }, "y" } }, { "y" }))
    end)

    it("where a size is not known", function()
      local g = build({ { "x", { "N", 3, "height", 8 } } }, { { "Relu", { "x" }, "y" } }, { "y" })
      refused("dimension 2 ('height') of input 'x' is not fixed", "format", g)
    end)

    it("for operators that nothing implements, all of them", function()
      local g = build({ { "x", { "N", 3 } } }, { { "Foo", { "x" }, "a" }, { "Bar", { "a" }, "y" } }, { "y" })
      refused("no implementation for Foo 'a', Bar 'y'", "unsupported", g)
    end)

    it("for tensors beyond all limits", function()
      local g = build({ { "x", { "N", 3 } } }, { { "Relu", { "x" }, "y" } }, { "y" })
      g.inputs[1]:set_shape { "N", 1 << 31, 1 << 31, 1 << 31 }
      refused("input 'x': shape", "limit", g)
    end)

    it("nor run, for tensors beyond the machine's memory", function()
      local g = build({ { "x", { "N", 1, 1 } } },
        { { "Expand", { "x", ints { 1, 1 << 16, 1 << 16 } }, "a" }, { "Expand", { "x", ints { 1, 1 << 16, 1 << 16 } }, "b" },
          { "Add", { "a", "b" }, "c" }, { "Sigmoid", { "b" }, "d" }, { "Sub", { "d", "a" }, "e" }, { "Add", { "c", "e" }, "f" },
          { "MaxPool", { "f" }, "y", { kernel_shape = { 4096 }, strides = { 4096 } } } }, { "y" })
      local exec = assert(core.executor(g))
      local none, message, code = exec:run(numbers { 1, 1, 1 })
      assert.is_nil(none)
      assert.equal("limit", code)
      assert.matches("the model's tensors need %d+ MB for each of 1 threads, this machine has %d+ MB", message)
    end)
  end)
end)
