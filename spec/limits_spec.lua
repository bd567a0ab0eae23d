-- A model larger than a limit is refused by the scan: exit code 5 and a message with the limit, its option and what was
-- found; a limit that is raised lets it pass.
local core = require "espquant.core"
local espquant = require "espquant"
local process = require "spec.support.process"
local w = require "spec.support.wire"

local folder
setup(function() folder = process.folder() end)
teardown(function() process.remove(folder) end)

local function list(n, f)
  local t = {}
  for i = 1, n do t[i] = f(i) end
  return t
end

local X, Y = { w.port("x", 1, { 1, 4 }) }, { w.port "y" }

local function graph_inside(depth)
  local branch = w.graph { outputs = { w.port "x" } }
  for _ = 2, depth do
    branch = w.graph { outputs = { w.port "x" }, nodes = { w.node("If", { "x" }, { "z" },
      { attributes = { w.attribute("then_branch", { g = branch }) } }) } }
  end
  return w.node("If", { "x" }, { "z" }, { attributes = { w.attribute("then_branch", { g = branch }) } })
end

local relu = w.node("Relu", { "x" }, { "y" })

-- limit, what the message says of it, the model's parts; all of them are within the usual limits.
local CASES = {
  { "bytes", "bytes, the limit is 20 %(%-%-limit%-bytes%)", 20, { nodes = { relu } } },
  { "nodes", "graph%.node%[3%]: 4 nodes or more, the limit is 3 %(%-%-limit%-nodes%)", 3,
    { nodes = list(4, function(i) return w.node("Relu", { "x" }, { i == 1 and "y" or "z" .. i }) end) } },
  { "nodes", "functions%[0%]%.node%[1%]: 3 nodes or more, the limit is 2 ", 2,
    { nodes = { relu }, functions = { w.fn { name = "f", inputs = { "a" }, outputs = { "c" },
      nodes = { w.node("Relu", { "a" }, { "b" }), w.node("Relu", { "b" }, { "c" }) } } } } },
  { "nodes", "5 nodes or more once functions and bodies are put in place, the limit is 4 ", 4,
    { nodes = { w.node("f", { "x" }, { "y" }, { domain = "local" }),
      w.node("f", { "y" }, { "z" }, { domain = "local" }) },
      functions = { w.fn { name = "f", inputs = { "a" }, outputs = { "c" },
        nodes = { w.node("Neg", { "a" }, { "b" }), w.node("Neg", { "b" }, { "c" }) } } } } },
  { "inputs", "node%[0%]%.input%[2%]: 3 of them or more, the limit is 2 %(%-%-limit%-inputs%)", 2,
    { nodes = { w.node("Concat", { "x", "x", "x" }, { "y" }, { attributes = { w.attribute("axis", 1) } }) } } },
  { "elements", "initializer%[0%]: 12 elements or more, the limit is 11 %(%-%-limit%-elements%)", 11,
    { nodes = { relu }, initializers = { w.tensor("c", 2, { 3, 4 }, ("x"):rep(12)) } } },
  { "elements", "values: 12 elements or more, the limit is 11 ", 11,
    { nodes = { relu }, sparse = { w.field(1, w.tensor("s", 2, { 12 }, ("x"):rep(12))) .. w.field(2, w.tensor("", 7,
      { 12 }, ("\0"):rep(96))) .. w.field(3, 1000) } } },
  { "rank", "initializer%[0%]%.dims%[2%]: 3 dimensions or more, the limit is 2 %(%-%-limit%-rank%)", 2,
    { nodes = { relu }, initializers = { w.tensor("c", 2, { 1, 1, 1 }, "x") } } },
  { "depth", "9 messages inside messages or more, the limit is 8 %(%-%-limit%-depth%)", 8,
    { nodes = { relu, graph_inside(4) } } },
}

describe("a limit of", function()
  for i, case in ipairs(CASES) do
    local name, text, most, parts = table.unpack(case)
    it(name .. ", case " .. i, function()
      parts.inputs, parts.outputs = X, Y
      local path = process.write_file(("%s/%d.onnx"):format(folder, i), w.model(parts))
      local model, message, code = espquant.onnx.read(path, { limits = { [name] = most } })
      assert.same({ nil, "limit" }, { model, code })
      assert.matches(text, message)
      assert.matches(path, message, 1, true)
      local usual, why = core.onnx_read(path)
      assert.truthy(usual, why)
      local r = process.run { process.espquant, "info", path, "--limit-" .. name, most }
      assert.equal(5, r.status, r.stderr)
      assert.matches(text, r.stderr)
    end)
  end

  it("elements is told with the product, even if it wraps", function()
    local bytes = w.model { inputs = X, outputs = Y, nodes = { relu },
      initializers = { w.tensor("c", 2, { 1 << 62, 4 }, "") } }
    local _, message, code = core.onnx_decode(bytes)
    assert.equal("limit", code)
    assert.matches("18446744073709551615 elements or more, the limit is 2147483648 (--limit-elements)", message, 1,
      true)
  end)

  it("more than usual lets larger models pass", function()
    local bytes = w.model { inputs = X, outputs = Y, nodes = { w.node("Concat", list(70000, function() return "x" end),
      { "y" }, { attributes = { w.attribute("axis", 0) } }) } }
    local _, _, code = core.onnx_decode(bytes)
    assert.equal("limit", code)
    assert.truthy(core.onnx_decode(bytes, nil, { limits = { inputs = 70000 } }))
  end)
end)

-- A model that makes `n` tensors of 512 floats from x, all of them outputs.
local function fans_out(n)
  local shape = w.tensor("s", 7, { 2 }, ("<i8i8"):pack(128, 4))
  local parts = { inputs = X, outputs = {}, nodes = {}, initializers = { shape } }
  for i = 1, n do
    parts.nodes[i] = w.node(i == 1 and "Expand" or "Neg", i == 1 and { "x", "s" } or { "t" .. i - 1 }, { "t" .. i })
    parts.outputs[i] = w.port("t" .. i)
  end
  return w.model(parts)
end

describe("the limit of bytes of a run", function()
  local x = core.tensor({ 1, 4 }, "float32")
  local function graph(bytes)
    local g = assert(core.onnx_decode(fans_out(3), nil, { limits = { bytes = bytes } }))
    assert(g:infer_shapes())
    return g
  end

  it("is what all tensors of an executor take", function()
    assert(assert(core.executor(graph(3 * 2048 + 1024))):run(x))
    local exec, message, code = core.executor(graph(2 * 2048 + 1024))
    assert.same({ nil, "limit" }, { exec, code })
    assert.equal("the model's tensors need 6144 bytes, the limit is 5120 (--limit-bytes); the largest has 2048 bytes, "
      .. "made by Expand -> 't1'", message)
  end)

  it("is what all tensors of an evaluation take", function()
    assert(core.evaluate(graph(3 * 2048), x))
    local outputs, message, code = core.evaluate(graph(2 * 2048 + 1024), x)
    assert.same({ nil, "limit" }, { outputs, code })
    assert.equal("Neg -> 't3': it needs 2048 bytes, 1024 are left of the limit of 5120 (--limit-bytes)", message)
  end)

  it("is what the outputs of all images take", function()
    local bytes = w.model { inputs = { w.port("x", 1, { 1, 256 }) }, outputs = Y, nodes = { relu } }
    local exec = assert(core.executor(assert(core.onnx_decode(bytes, nil, { limits = { bytes = 4096 } }))))
    assert(exec:run(core.tensor({ 4, 256 }, "float32")))
    local outputs, message, code = exec:run(core.tensor({ 5, 256 }, "float32"))
    assert.same({ nil, "limit" }, { outputs, code })
    assert.equal("the outputs of 5 images need 5120 bytes, the limit is 4096 (--limit-bytes): run fewer images at a "
      .. "time", message)
  end)

  it("and that of elements bound what a node computes; copies of a model keep them", function()
    for _, case in ipairs {
      { { bytes = 2000 }, "Expand -> 't1': it needs 2064 bytes, the limit is 2000 (--limit-bytes)" },
      { { elements = 511 }, "Expand -> 't1': output 't1': 512 elements, the limit is 511 (--limit-elements)" },
    } do
      local g = assert(core.onnx_decode(fans_out(1), nil, { limits = case[1] })):clone()
      local ok, message, code = g:infer_shapes()
      assert.same({ nil, "limit" }, { ok, code })
      assert.equal(case[2], message)
    end
  end)
end)

describe("limits", function()
  it("are listed, and every command that reads a model has their options", function()
    local names = {}
    for i, limit in ipairs(core.onnx_limits()) do names[i] = limit.name end
    assert.same({ "bytes", "nodes", "inputs", "elements", "depth", "rank" }, names)
    for _, command in ipairs { "info", "check", "optimize", "calibrate", "run", "evaluate", "export", "codegen" } do
      local text = process.run { process.espquant, command, "--help" }.stdout
      for _, name in ipairs(names) do assert.matches("--limit-" .. name, text, 1, true) end
    end
  end)

  it("of the wrong kind are refused", function()
    for _, case in ipairs {
      { { nodes = 0 }, "limits.nodes: a positive integer expected" }, { { nodes = "x" }, "limits.nodes" },
      { { rank = 9 }, "limits.rank: at most 8" }, { { depth = 1 << 40 }, "limits.depth: at most 1000" },
      { { node = 3 }, "node" },
    } do
      assert.error_matches(function() core.onnx_decode("x", nil, { limits = case[1] }) end, case[2], 1, true)
    end
    local r = process.run { process.espquant, "info", "examples/mnist.onnx", "--limit-nodes", "-3" }
    assert.equal(2, r.status)
  end)
end)
