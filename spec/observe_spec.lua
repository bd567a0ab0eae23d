-- Observers (csrc/run/observe.h): what they hold must be what the tensors hold, in every layout and on any number of
-- threads.
local core = require "espquant.core"
local support = require "spec.support.run"

local build, network, numbers, run, ALL = support.build, support.network, support.numbers, support.run, support.ALL

describe("an observation holds", function()
  -- Executors hold threads; the leak checker stumbles over hundreds of them.
  after_each(function() collectgarbage() collectgarbage() end)

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
    for i, options in ipairs { { threads = 1, micro_batch = 1 }, { threads = 3, micro_batch = 4 }, { threads = 2,
      outputs = {} } } do
      local _, exec, o = ranges(g, ALL, images, options)
      local h = assert(core.observe_histogram(o))
      assert(exec:run(images, h, false))
      thresholds[i] = {}
      for k = 1, #ALL do thresholds[i][k] = assert(h:threshold(k)) end
      assert.same(thresholds[i], h:thresholds(i)) -- on one thread, two, three
    end
    assert.has_error(function() core.observe_range(g, ALL):thresholds(-1) end)
    assert.is_nil(core.observe_range(g, ALL):thresholds())
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
    local whole, parts, other = core.observe_range(g, { "c" }), core.observe_range(g, { "c" }), core.observe_range(g,
      { "g", "a" })
    assert(exec:run(images, whole))
    assert(exec:run(images:slice(1, 5), parts))
    assert(exec:run(images, other))
    assert(exec:run(images:slice(6, 6), parts))
    assert.same({ whole:range(1) }, { parts:range(1) })
    assert.equal(6 * 31 * 16, select(4, other:range(1)))
    assert(exec:run(images, core.observe_range(g, {})))
  end)

  it("float tensors only", function()
    local q = support.quantized(support.integer_network(), numbers { 5, 3, 8, 8 })
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
