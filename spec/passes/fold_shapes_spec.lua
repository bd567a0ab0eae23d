local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local function at(b, x, i)
  return b.node("Gather", { b.node("Shape", { x }), b.constant(nil, core.tensor_from(i, "int64", {})) })
end

local function row(b, x) return b.node("Unsqueeze", { x, b.integers(nil, { 0 }) }) end

local function target_of(name, target)
  return function(graph) assert.same(target, graph:node(name):input(2).constant:totable()) end
end

-- x -> Relu -> Reshape to parts(b, x, relu) -> y
local function reshape(shape, parts, options)
  return function(b)
    local x = b.input("x", shape)
    local relu = b.node("Relu", { x })
    local target = b.node("Concat", parts(b, x, relu), { attrs = { axis = 0 } })
    b.graph.opset = 14
    b.output(b.node("Reshape", { relu, target }, { name = "flat", out = "y", attrs = options }))
    b.graph:infer_shapes()
  end
end

-- x.view(x.size(0), -1), as PyTorch writes it
local function view(b, x) return { row(b, at(b, x, 0)), b.integers(nil, { -1 }) } end

local OPEN = { "N", 4, 3, 2 }

-- x -> Relu -> Resize to batch and channels of relu and these numbers -> y, as PyTorch writes F.interpolate
local function interpolate(sizes, attrs, shape)
  return function(b)
    local relu = b.node("Relu", { b.input("x", shape or OPEN) })
    local first = b.node("Slice", { b.node("Shape", { relu }), b.integers(nil, { 0 }), b.integers(nil, { 2 }) })
    local all = b.node("Concat", { first, b.integers(nil, sizes) }, { attrs = { axis = 0 } })
    b.graph.opset = 18
    b.output(b.node("Resize", { relu, false, false, all }, { name = "up", out = "y", attrs = attrs }))
    b.graph:infer_shapes()
  end
end

local function scales(list)
  return function(graph)
    local up = graph:node "up"
    assert.is_nil(up:input(4))
    assert.same(list, up:input(3).constant:totable())
  end
end

harness.describe("fold_shapes", {
  { "gives a view its batch by 0", build = reshape(OPEN, view), changes = 1, exact = true, ops = "Relu Reshape",
    check = target_of("flat", { 0, -1 }) },
  { "makes constants of known dimensions", build = reshape({ 2, 4, 3, 2 }, view), changes = 4, exact = true,
    ops = "Relu Reshape", check = target_of("flat", { 2, -1 }) },
  {
    "multiplies known dimensions, and lets the open one follow", changes = 5, exact = true, ops = "Relu Reshape",
    build = reshape(OPEN, function(b, x)
      local area = b.node("Mul", { at(b, x, 2), at(b, x, -1) })
      return { b.integers(nil, { 4 }), row(b, at(b, x, 0)), row(b, area) }
    end),
    check = target_of("flat", { 4, -1, 6 }), run = false,
  },
  {
    "follows no matrix", changes = 2, exact = true, ops = "Unsqueeze Squeeze Unsqueeze",
    build = function(b)
      local matrix = b.node("Unsqueeze", { at(b, b.input("x", { 2, 3 }), 0), b.integers(nil, { 0, 1 }) })
      local vector = b.node("Squeeze", { matrix, b.integers(nil, { 1 }) })
      b.output(b.node("Unsqueeze", { vector, b.integers(nil, { 1, 2 }) }))
    end,
  },
  {
    "takes slices of a shape, and does not equate dimensions without a name", changes = 1,
    build = reshape({ false, 4, 3, 2 }, function(b, x)
      local tail = b.node("Slice", { b.node("Shape", { x }), b.integers(nil, { 2 }), b.integers(nil, { 99 }),
        b.integers(nil, { 0 }) })
      return { row(b, at(b, x, 0)), b.integers(nil, { -1 }), tail }
    end),
    run = false,
  },
  {
    "folds an Expand to the input's own open dimension", changes = 1, exact = true, ops = "Expand",
    build = function(b)
      local x = b.input("x", { "N", 1, 3 })
      local shape = b.node("Concat", { row(b, at(b, x, 0)), b.integers(nil, { 5, 3 }) }, { attrs = { axis = 0 } })
      b.output(b.node("Expand", { x, shape }, { name = "wide", out = "y" }))
    end,
    check = target_of("wide", { 1, 5, 3 }),
  },
  {
    "keeps an Expand to another's open dimension", changes = 0, exact = true,
    build = function(b)
      local x, z = b.input("x", { "N", 3 }), b.input("z", { 1, 3 })
      b.output(b.node("Expand", { z, b.node("Concat", { b.node("Shape", { x }) }, { attrs = { axis = 0 } }) }))
      b.graph:infer_shapes()
    end,
    run = false,
  },
  { "keeps a target of two open dimensions that are not the input's at their place", changes = 0, run = false,
    build = reshape({ "N", "M", 2 }, function(b, x) return { row(b, at(b, x, 1)), row(b, at(b, x, 0)),
      b.integers(nil, { 2 }) } end) },
  { "keeps a 0 that means zero apart from an open dimension", changes = 0, run = false,
    build = reshape({ "N", 0, 2 }, function(b, x) return { b.integers(nil, { 0 }), row(b, at(b, x, 0)) } end,
      { allowzero = 1 }) },
  {
    "keeps products beyond 32 bits", changes = 2, run = false, ops = "Mul",
    build = function(b)
      local x = b.input("x", { 1 << 27, 1 })
      local far = b.constant("far", core.tensor_from(1 << 40, "int64", {}))
      b.output(b.node("Mul", { at(b, x, 0), far }))
      b.graph:infer_shapes()
    end,
  },
  { "gives a Resize scales, 1 for the batch", build = interpolate({ 6, 5 }, { mode = "linear" }), changes = 1,
    exact = true, ops = "Relu Resize", check = scales { 1.0, 1.0, 2.0, 2.5 } },
  { "keeps sizes that no scale gives exactly", changes = 0, run = false, build = interpolate { 5, 2 } },
  { "keeps sizes that keep the aspect ratio", changes = 0, run = false,
    build = interpolate({ 6, 5 }, { keep_aspect_ratio_policy = "not_larger" }) },
  { "keeps sizes of dimensions that are not known", changes = 0, run = false,
    build = interpolate({ 6, 5 }, nil, { "N", 4, "H", "W" }) },
})
