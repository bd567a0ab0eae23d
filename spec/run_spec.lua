-- The executor (csrc/run): what comes out must not depend on threads, micro-batches or layouts. What is observed:
-- observe_spec.lua.
local core = require "espquant.core"
local pass = require "espquant.pass"
local process = require "spec.support.process"
local support = require "spec.support.run"

local assert_equal, build, ints, network = support.assert_equal, support.build, support.ints, support.network
local integer_network, quantized, numbers = support.integer_network, support.quantized, support.numbers
local run, ALL = support.run, support.ALL

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

    it("of data that are constant, in whatever layout a kernel wants them", function()
      for _, channels in ipairs { 1, 3, 8, 17 } do
        local data, weight = numbers { 2, channels, 5, 5 }, numbers { 16, channels, 3, 3 }
        local g = build({ { "x", { "N", 3 } } }, { { "Conv", { data, weight }, "conv" },
          { "MaxPool", { data }, "pool", { kernel_shape = { 2, 2 } } }, { "Relu", { "x" }, "y" } },
          { "conv", "pool", "y" })
        local got = assert(core.executor(g)):run(numbers { 2, 3 })
        for i, want in ipairs(core.evaluate(g, numbers { 2, 3 })) do assert_equal(want, got[i]) end
      end
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
      assert.same({ nil, "input 'unread' has 6 images, the inputs before it have 7", "format" }, { none, message,
        code })
      assert.has_error(function() exec:run(a) end, "bad argument #1 to 'run' (1 tensors for a model of 3 inputs)")
    end)

    it("scalar inputs, which serve all images", function()
      local g = build({ { "factor", {} }, { "x", { "N", 4 } } }, { { "Mul", { "x", "factor" }, "y" } }, { "y",
        "factor" })
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

    it("a Dropout that trains", function()
      local function dropout(trains)
        local flag = core.tensor_from({ trains }, "bool"):reshape {}
        local ratio = core.tensor_from({ 0.5 }, "float32"):reshape {}
        return build({ { "x", { 2, 4 } } }, { { "Dropout", { "x", ratio, flag }, "y" } }, { "y" })
      end
      assert(core.executor(dropout(false)))
      local none, message, code = core.executor(dropout(true))
      assert.same({ nil, "unsupported" }, { none, code })
      assert.matches("training mode; export the model for inference", message, 1, true)
    end)

    it("options of a wrong type or value", function()
      local ISA = "portable, avx2, avx512%-vnni or auto expected, got "
      assert.error_matches(function() core.executor(g, { isa = "mmx" }) end, ISA .. "mmx")
      assert.error_matches(function() core.executor(g, { isa = {} }) end, ISA .. "table")
      assert.has_error(function() core.executor(g, { outputs = "y" }) end,
        "bad argument #2 to 'executor' (a list of names of tensors expected)")
      assert.has_error(function() core.executor(g, { threads = "two" }) end,
        "bad argument #2 to 'executor' (option 'threads': an integer of at least 0 expected)")
    end)
  end)

  it("is known to the collector as the load that it is", function()
    local script = [[
      local core = require "espquant.core"
      local g = core.graph {}
      local relu = g:add_node { op_type = "Relu", inputs = { g:add_input("x", "float32", { "N", 8 }) }, outputs = 1 }
      g:add_output(relu:output(1))
      for _ = 1, 100 do assert(core.executor(g, { threads = 2 })) end
      for line in io.lines "/proc/self/status" do
        local threads = line:match "^Threads:%s+(%d+)"
        if threads then io.write(tonumber(threads) < 50 and "few" or threads) end
      end
    ]]
    -- A process of its own, whose heap is small.
    local result = process.run { process.espquant, "-e", script }
    assert.same({ status = 0, stdout = "few", stderr = "" }, result)
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
      local flat = assert(core.executor(build({ { "x", { 4, 4 } } }, { { "Softmax", { "x" }, "y", { axis = 1 } } },
        { "y" })))
      assert.is_true(flat.batch.pure)
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
        { { "Expand", { "x", ints { 1, 4096, 1 } }, "a" }, { "Expand", { "x", ints { 1, 4096, 1 } }, "b" },
          { "Add", { "a", "b" }, "c" }, { "Sigmoid", { "b" }, "d" }, { "Sub", { "d", "a" }, "e" }, { "Add", { "c",
            "e" }, "f" },
          { "Transpose", { "f" }, "t", { perm = { 0, 2, 1 } } },
          { "MaxPool", { "t" }, "y", { kernel_shape = { 4096 }, strides = { 4096 } } } }, { "y" })
      for _, name in ipairs { "a", "b" } do pass.set_constant(g, g:node(name), 2, ints { 1, 4096, 1 << 20 }, "big") end
      local limits = { bytes = 1 << 40, elements = 1 << 40 }
      local large = assert(core.onnx_decode(core.onnx_encode(g), nil, { limits = limits }))
      local none, message, code = assert(core.executor(large)):run(numbers { 1, 1, 1 })
      assert.is_nil(none)
      assert.equal("limit", code)
      assert.matches("the model's tensors need %d+ MB for each of 1 threads, this machine has %d+ MB", message)
    end)
  end)
end)
