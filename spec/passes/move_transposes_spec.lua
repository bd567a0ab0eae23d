local harness = require "spec.support.pass_harness"
local core = require "espquant.core"

local TO_LAST, TO_FIRST = { 0, 2, 3, 1 }, { 0, 3, 1, 2 } -- NCHW to NHWC, and back

local function turn(b, x, perm) return b.node("Transpose", { x }, { attrs = { perm = perm } }) end

-- x (NCHW) -> Transpose to NHWC -> body(b, nhwc) -> Transpose to NCHW -> Relu -> y
local function between(body, options)
  return function(b)
    b.graph.opset = options and options.opset or 13
    local nhwc = turn(b, b.input("x", { 2, 3, 4, 5 }), TO_LAST)
    b.output(b.node("Relu", { turn(b, body(b, nhwc), TO_FIRST) }, { out = "y" }))
  end
end

local function op(name, attrs) return function(b, x) return b.node(name, { x }, { attrs = attrs }) end end

local function axes_of(axes)
  return function(graph)
    for node in graph:nodes() do
      if node.op_type:match "^Reduce" then assert.same(axes, node:attr "axes") end
    end
  end
end

local cases = {
  { "cancels two that meet", build = between(function(_, x) return x end), changes = 1, exact = true, ops = "Relu" },
  { "goes through a chain of functions", changes = 3, exact = true, ops = "Sigmoid Clip Relu",
    build = between(function(b, x)
      return b.node("Clip", { b.node("Sigmoid", { x }), b.constant(nil, core.tensor_from({ 0.2 }, "float32", {})) })
    end) },
  { "puts constants in the other order", changes = 3, exact = true, ops = "Mul Add Relu",
    build = between(function(b, x)
      return b.node("Add", { b.random("k", { 4, 5, 3 }), b.node("Mul", { x, b.random("c", { 3 }) }) })
    end) },
  { "joins two branches of one order", changes = 3, exact = true, ops = "Sigmoid Mul Relu",
    build = between(function(b, x) return b.node("Mul", { x, b.node("Sigmoid", { x }) }) end) },
  { "moves the axis of a Concat", changes = 3, exact = true, ops = "Neg Concat Relu",
    build = between(function(b, x)
      return b.node("Concat", { x, b.node("Neg", { x }), b.random("k", { 2, 4, 5, 2 }) }, { attrs = { axis = -1 } })
    end) },
  { "moves pads", changes = 2, exact = true, ops = "Pad Relu",
    build = between(function(b, x) return b.node("Pad", { x, b.integers("pads", { 0, 1, 2, 0, 0, 3, 4, 1 }) }) end) },
  { "moves the axis of a Softmax", changes = 2, ops = "Softmax Relu", build = between(op("Softmax", { axis = -1 })) },
  { "moves the axes of a reduction that keeps them", changes = 2, ops = "ReduceMean Relu",
    build = between(op("ReduceMean", { axes = { 1, 2 } })), check = axes_of { 2, 3 } },
  {
    "vanishes in front of a reduction to the channels", changes = 1, ops = "ReduceMean", check = axes_of { 2, 3 },
    build = function(b)
      local x = turn(b, b.input("x", { 2, 3, 4, 5 }), TO_LAST)
      b.output(b.node("ReduceMean", { x }, { out = "y", attrs = { axes = { 1, 2 }, keepdims = 0 } }))
    end,
  },
  {
    "leaves no Transpose around the convolutions of a channels-last network", changes = 3,
    ops = "Transpose Conv Relu Conv",
    build = function(b)
      local x = turn(b, b.input("x", { 2, 4, 5, 3 }), TO_FIRST)
      local first = turn(b, b.node("Conv", { x, b.random("w", { 4, 3, 1, 1 }) }), TO_LAST)
      local second = turn(b, b.node("Relu", { first }), TO_FIRST)
      local conv = b.node("Conv", { second, b.random("v", { 4, 4, 1, 1 }) })
      b.output(turn(b, turn(b, conv, TO_LAST), TO_FIRST))
    end,
  },
  {
    "keeps one that would only move", changes = 0, exact = true,
    build = function(b) b.output(b.node("Relu", { turn(b, b.input("x", { 2, 3, 4, 5 }), TO_LAST) })) end,
  },
  { "keeps a Softmax of old, which flattens the axes behind", changes = 0, run = false,
    build = between(op("Softmax", { axis = 3 }), { opset = 11 }) },
  { "keeps what works on places", changes = 0, exact = true,
    build = between(function(b, x) return b.node("MatMul", { x, b.random("w", { 3, 3 }) }) end) },
  { "keeps two operands of different order", changes = 0, exact = true,
    build = function(b)
      local x = b.input("x", { 2, 3, 3, 3 })
      b.output(b.node("Add", { turn(b, x, TO_LAST), turn(b, x, TO_FIRST) }))
    end },
  { "keeps a permutation that is none", changes = 0, run = false,
    build = function(b) b.output(b.node("Relu", { turn(b, b.input("x", { 2, 2 }), { 0, 0 }) })) end },
  { "keeps pads that are computed", changes = 0, run = false,
    build = between(function(b, x) return b.node("Pad", { x, b.input("pads", { 8 }, "int64") }) end) },
  { "keeps axes out of range", changes = 0, run = false, build = between(op("ReduceMax", { axes = { 4 } })) },
}

harness.describe("move_transposes", cases)
