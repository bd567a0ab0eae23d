--- How often the optimizer repeats its list, and its proof on random input.

local errors = require "espquant.errors"
local harness = require "spec.support.pass_harness"
local optimizer = require "espquant.optimizer"

-- The error object that f(...) raises.
local function raised(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.is_true(errors.is(err), tostring(err))
  return err
end

local function conv_bn()
  local b = harness.builder()
  local conv = b.node("Conv", { b.input("x", { 1, 3, 4, 4 }), b.random("w", { 4, 3, 1, 1 }) }, { name = "conv" })
  local x = b.node("Identity", { b.batch_norm(conv, 4, { name = "bn" }) }, { name = "same" })
  b.output(b.node("Relu", { x }, { out = "y" }))
  return b.graph
end

describe("optimize, once more", function()
  it("repeats the list on request until nothing changes", function()
    local b = harness.builder()
    local x = b.node("Identity", { b.node("Relu", { b.input("x", { 2, 3 }) }) })
    b.output(b.node("Transpose", { b.node("Transpose", { x }) }, { out = "y" }))
    local list = { "eliminate_nop_transpose", "fuse_consecutive_transposes" }
    assert.equal("Relu Identity Transpose", harness.ops((optimizer.optimize(b.graph, list))))
    local graph, counts = optimizer.optimize(b.graph, list, { fixed_point = true })
    assert.equal("Relu Identity", harness.ops(graph))
    assert.same({ eliminate_nop_transpose = 1, fuse_consecutive_transposes = 1 }, counts)
    assert.error_matches(function() optimizer.optimize(b.graph, list, { fixpoint = true }) end, "option 'fixpoint'")
  end)

  it("proves on random input that nothing changed", function()
    local _, _, facts = optimizer.optimize(conv_bn(), nil, { verify = true })
    assert.same({ "y", 1, {} }, { facts.output, facts.compared, facts.skipped })
    assert.is_true(facts.difference < 1e-5)
    assert.is_nil((select(3, optimizer.optimize(conv_bn()))))
  end)

  it("without a list ends also where passes undo each other's work", function()
    local passes = require "espquant.passes"
    local one, other = passes.get "eliminate_nop_cast", passes.get "eliminate_nop_pad"
    local own, calls = { one.run, other.run }, 0
    local function rename(to)
      return function(graph)
        calls = calls + 1
        local node = graph:node_list()[1]
        if node.name == to then return 0 end
        node.name = to
        return 1
      end
    end
    one.run, other.run = rename "a", rename "b"
    local ok, graph = pcall(optimizer.optimize, conv_bn())
    local _, always = pcall(optimizer.optimize, conv_bn(), { "eliminate_nop_cast", "eliminate_nop_pad" },
      { fixed_point = true })
    one.run, other.run = own[1], own[2]
    assert.is_true(ok, tostring(graph))
    assert.is_true(calls > 4)
    assert.matches("do not come to an end", tostring(always), 1, true)
  end)

  it("says why nothing can be proved", function()
    local b = harness.builder()
    b.output(b.node("Unheard", { b.input("x", { 1, 3 }) }, { name = "odd" }))
    local _, _, facts = optimizer.optimize(b.graph, nil, { verify = true })
    assert.matches("Unheard 'odd'", facts.unknown, 1, true)
  end)

  -- The error that a pass raises which is nothing but this function.
  local function raised_by(run)
    local nop = require "espquant.passes".get "nop"
    local own, done = nop.run, 0
    nop.run = function(graph)
      done = done + 1
      if done == 1 then run(graph) end
      return done == 1 and 1 or 0
    end
    local err = raised(optimizer.optimize, conv_bn(), { "nop" }, { verify = true })
    nop.run = own
    return err
  end

  it("refuses what changes a result", function()
    local err = raised_by(function(graph)
      local w = graph:value "w"
      w:set_constant(w.constant + 100)
    end)
    assert.equal("bug", err.code)
    assert.matches("output 'y' differs by", err.message, 1, true)
  end)

  it("refuses what no longer runs", function()
    local err = raised_by(function(graph)
      graph:add_output(graph:add_node { op_type = "Unheard", inputs = { graph:value "y" } }:output(1), 1)
    end)
    assert.equal("bug", err.code)
    assert.matches("the optimized model does not run: .*Unheard", err.message)
  end)
end)
