local P, pass = require "espquant.pattern", require "espquant.pass"
local core = require "espquant.core"
local harness = require "spec.support.pass_harness"
local optimizer = require "espquant.optimizer"
local passes = require "espquant.passes"

local function chain(op_type, length)
  local b = harness.builder()
  local x = b.input("x", { 1, 4 })
  for i = 1, length do x = b.node(op_type, { x }, { name = "n" .. i }) end
  b.output(b.node("Sigmoid", { x }, { name = "last", out = "y" }))
  return b
end

describe("a pass", function()
  local skip = pass {
    name = "skip", match = P.Relu { P.any "x" }:as "node",
    rewrite = function(graph, m) return pass.replace(graph, m.node, m.x) end,
  }

  it("applies to a fixed point and counts", function()
    local b = chain("Relu", 5)
    assert.equal(5, skip:apply(b.graph))
    assert.equal("Sigmoid", harness.ops(b.graph))
    assert.equal(0, skip:apply(b.graph))
  end)

  it("tells the trace of each rewrite", function()
    local b, told = chain("Relu", 2), {}
    skip:apply(b.graph, function(name, label) told[#told + 1] = name .. ": " .. label end)
    assert.same({ "skip: Relu 'n1'", "skip: Relu 'n2'" }, told)
  end)

  it("takes long chains in its stride", function()
    local b = chain("Relu", 3000)
    assert.equal(3000, skip:apply(b.graph))
    assert(b.graph:verify())
  end)

  it("may be one function of the graph", function()
    local left = 3
    local p = pass { name = "count", run = function() left = left - 1 return left end }
    assert.equal(3, p:apply(chain("Relu", 1).graph))
  end)

  it("is stopped when it never ends", function()
    local restless = pass { name = "restless", match = P.Relu { P.any() }, rewrite = function() return true end }
    assert.error_matches(function() restless:apply(chain("Relu", 1).graph) end, "pass restless does not come to an end")
    local busy = pass { name = "busy", run = function() return 1 end }
    assert.error_matches(function() busy:apply(chain("Relu", 1).graph) end, "pass busy does not come to an end")
  end)

  it("needs a name and something to do", function()
    assert.has_error(function() pass { name = "x" } end)
    assert.has_error(function() pass { match = P.Relu { P.any() }, rewrite = print } end)
  end)
end)

describe("pass.release", function()
  it("removes what only the node needed, constants included, and nothing else", function()
    local b = harness.builder()
    local x, shared, own = b.input("x", { 2 }), b.random("shared", { 2 }), b.random("own", { 2 })
    local inner = b.node("Add", { x, own })
    local outer = b.make("Add", { inner, shared })
    b.output(b.node("Mul", { x, shared }, { out = "y" }))
    pass.release(b.graph, outer)
    assert.equal("Mul", harness.ops(b.graph))
    assert.is_nil(b.graph:value "own")
    assert.is_true(shared.alive)
    assert.is_true(x.alive)
    assert(b.graph:verify())
  end)

  it("passes over inputs that are left out or given twice", function()
    local b = harness.builder()
    local x, c = b.input("x", { 2 }), b.random("c", { 2 })
    local node = b.make("Clip", { b.node("Mul", { c, c }), false, c })
    b.output(b.node("Relu", { x }))
    pass.release(b.graph, node)
    assert.equal("Relu", harness.ops(b.graph))
    assert.is_nil(b.graph:value "c")
    assert(b.graph:verify())
  end)

  it("keeps a node that is read", function()
    local b = chain("Relu", 1)
    pass.release(b.graph, b.graph:node "n1")
    assert.equal(2, #b.graph)
  end)
end)

describe("pass.replace", function()
  it("keeps the name of a graph output", function()
    local b = harness.builder()
    local first = b.node("Relu", { b.input("x", { 2 }) }, { out = "a" })
    local second = b.make("Identity", { first }, { out = "y" })
    b.output(second)
    assert.is_true(pass.replace(b.graph, second, first))
    assert.equal("y", b.graph.outputs[1].name)
    assert.equal("Relu", harness.ops(b.graph))
  end)

  it("changes nothing where a name would be lost", function()
    local b = harness.builder()
    local x = b.input("x", { 2 })
    local node = b.make("Identity", { x }, { out = "y" })
    b.output(node)
    local before = tostring(b.graph)
    assert.is_false(pass.replace(b.graph, node, x))
    assert.equal(before, tostring(b.graph))
  end)
end)

describe("pass.set_constant", function()
  local function conv(b, w, name)
    local node = b.make("Conv", { b.graph:value "x" or b.input("x", { 1, 1, 3, 3 }), w }, { name = name })
    b.output(node)
    return node
  end

  it("changes a constant in place when nobody else reads it", function()
    local b = harness.builder()
    local node = conv(b, b.random("w", { 1, 1, 1, 1 }), "c")
    pass.set_constant(b.graph, node, 2, core.tensor { 1, 1, 1, 1 }, "weight")
    assert.equal("w", node:input(2).name)
    assert.equal(0, node:input(2).constant:maxabs())
  end)

  it("leaves a shared one alone and names the new one after the node", function()
    local b = harness.builder()
    local w = b.random("w", { 1, 1, 1, 1 })
    local before = w.constant:copy()
    local first, second = conv(b, w, "c"), conv(b, w, "c")
    pass.set_constant(b.graph, first, 2, core.tensor { 1, 1, 1, 1 }, "weight")
    assert.equal("c_weight", first:input(2).name)
    assert.equal(w, second:input(2))
    assert.is_true((before:equal(w.constant)))
  end)

  it("adds a missing input, and finds free names", function()
    local b = harness.builder()
    local w = b.random("w", { 1, 1, 1, 1 })
    local names = {}
    for i, name in ipairs { "c", "c", "" } do
      local node = conv(b, w, name)
      pass.set_constant(b.graph, node, 3, core.tensor { 1 }, "bias")
      names[i] = node:input(3).name
    end
    assert.same({ "c_bias", "c_bias_2" }, { names[1], names[2] })
    assert.matches("^value_%d+_bias$", names[3])
    assert(b.graph:verify())
  end)

  it("does not search long where many nodes have one name", function()
    local b, seen = harness.builder(), {}
    local w = b.random("w", { 1, 1, 1, 1 })
    for _ = 1, 150 do
      local node = conv(b, w, "same")
      pass.set_constant(b.graph, node, 3, core.tensor { 1 }, "bias")
      assert.is_nil(seen[node:input(3).name])
      seen[node:input(3).name] = true
    end
  end)
end)

describe("pass.attr", function()
  it("gives a value or default of the right kind, else nil", function()
    local b = harness.builder()
    local x = b.input("x", { 2, 2 })
    local node = b.make("Gemm", { x, x }, { attrs = { transA = 1, alpha = 2.0, transB = "1" } })
    assert.equal(1, pass.attr(node, "transA", "integer"))
    assert.equal(2.0, pass.attr(node, "alpha", "float"))
    assert.equal(1.0, pass.attr(node, "beta", "float"))
    assert.is_nil(pass.attr(node, "transB", "integer"))
    assert.is_nil(pass.attr(node, "alpha", "integer"))
    node:set_attr("list", { 1, 2 })
    node:set_attr("fractions", { 1.0, 2.5 })
    assert.same({ 1, 2 }, pass.attr(node, "list", "integers"))
    assert.is_nil(pass.attr(node, "fractions", "integers"))
    assert.is_nil(pass.attr(node, "alpha", "integers"))
    assert.is_nil(pass.attr(node, "absent", "integers"))
  end)
end)

describe("the list of passes", function()
  it("names every file of the folder, each with its Before and After", function()
    local listed, files = {}, 0
    for _, list in ipairs { passes.order, passes.on_request } do
      for _, name in ipairs(list) do listed[name] = true end
    end
    local pipe <close> = assert(io.popen "ls lua/espquant/passes/*.lua spec/passes/*_spec.lua")
    for path in pipe:lines() do
      local name = path:match "^lua/.*/([%w_]+)%.lua$"
      local spec = path:match "([%w_]+)_spec%.lua$"
      if name and name ~= "init" then
        files = files + 1
        assert.is_true(listed[name], name .. " is not in passes/init.lua")
        assert.equal(name, passes.get(name).name)
        local file <close> = assert(io.open(path))
        local text = file:read "a"
        assert.matches("^%-%-%- Before: ", text)
        assert.matches("After: ", text, 1, true)
      elseif spec then
        listed[spec] = nil
      end
    end
    assert.equal(#passes.order + #passes.on_request, files)
    assert.same({}, listed, "passes without a spec")
  end)

  it("knows every pass of ONNX Optimizer 0.2.6 and 0.4.2, or refuses it with the reason", function()
    local names = [[adjust_add eliminate_nop_cast eliminate_nop_dropout eliminate_nop_flatten
      extract_constant_to_initializer eliminate_consecutive_idempotent_ops eliminate_if_with_const_cond
      eliminate_nop_monotone_argmax eliminate_nop_pad eliminate_nop_concat eliminate_nop_split eliminate_nop_expand
      eliminate_shape_gather eliminate_slice_after_shape eliminate_nop_transpose fuse_add_bias_into_conv
      fuse_bn_into_conv fuse_consecutive_concats fuse_consecutive_log_softmax fuse_consecutive_reduce_unsqueeze
      fuse_consecutive_squeezes fuse_consecutive_transposes fuse_matmul_add_bias_into_gemm fuse_pad_into_conv
      fuse_pad_into_pool fuse_transpose_into_gemm replace_einsum_with_matmul lift_lexical_references
      fuse_concat_into_reshape eliminate_nop_reshape eliminate_nop_with_unit eliminate_common_subexpression
      fuse_consecutive_unsqueezes eliminate_deadend eliminate_identity eliminate_shape_op fuse_consecutive_slices
      eliminate_unused_initializer eliminate_duplicate_initializer rewrite_where rename_input_output
      set_unique_name_for_nodes nop split_init split_predict adjust_slice_and_matmul fuse_qkv rewrite_input_dtype]]
    local known, refused = {}, {}
    for _, entry in ipairs(optimizer.passes()) do
      known[entry.name] = true
      if entry.refused then refused[#refused + 1] = entry.name end
    end
    for name in names:gmatch "%S+" do assert.is_true(known[name], name) end
    assert.equal(7, #refused)
    for _, name in ipairs(refused) do
      assert.error_matches(function() optimizer.optimize(core.graph {}, { name }) end, "pass '" .. name .. "' is not ")
    end
  end)
end)
