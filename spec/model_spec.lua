-- Methods of a model that are written in Lua: run and check.

local net = require "spec.support.net"
local process = require "spec.support.process"
require "espquant.model"

local MODEL = "input x N,2\n const w 2,3\n Gemm x w -> y\n Relu y -> z\n output z"

describe("model:run", function()
  it("returns outputs and names, of any tensor that is asked for", function()
    local g, x = net.model(MODEL), net.tensor({ 5, 2 }, 1)
    local outputs, names = g:run(x)
    assert.same({ "z" }, names)
    assert.same({ 5, 3 }, outputs[1].shape)
    local all, both = g:run(x, { outputs = { "y", "z" }, threads = 2 })
    assert.same({ "y", "z" }, both)
    assert.is_true(all[1]:maximum(0):equal(outputs[1]))
    assert.is_true(all[2]:equal(outputs[1]))
  end)

  it("sees that the model was edited", function()
    local g, x = net.model(MODEL), net.tensor({ 5, 2 }, 1)
    local y = g:run(x, { outputs = { "y" } })[1]
    assert.is_false(g:run(x)[1]:equal(y))
    local relu = g:node "Relu_z"
    g:replace(relu, g:value "y")
    relu:remove()
    assert.is_true(g:run(x)[1]:equal(y))
  end)

  it("is there for every graph, whatever was required before", function()
    local script = 'io.write(type(require "espquant".graph {}.run))'
    assert.same({ status = 0, stdout = "function", stderr = "" }, process.run { process.espquant, "-e", script })
  end)

  it("does not let executors of single runs pile up", function()
    local g, x, seen = net.model(MODEL), net.tensor({ 5, 2 }, 1), 0
    local function threads()
      for line in io.lines "/proc/self/status" do
        local n = line:match "^Threads:%s+(%d+)"
        if n then return math.tointeger(n) end
      end
    end
    local before = threads()
    collectgarbage "stop"
    for _ = 1, 20 do
      g:run(x, { outputs = { "y" }, threads = 2 })
      seen = math.max(seen, threads())
    end
    collectgarbage "restart"
    assert.is_true(seen <= before + 1, ("%d threads, %d before"):format(seen, before))
  end)

  it("does not keep models alive", function()
    local seen = setmetatable({}, { __mode = "k" })
    for _ = 1, 20 do
      local g = net.model(MODEL)
      g:run(net.tensor({ 1, 2 }, 1))
      seen[g] = true
    end
    collectgarbage()
    collectgarbage()
    local left = 0
    for _ in pairs(seen) do left = left + 1 end
    assert.is_true(left <= 1)
  end)

  it("returns what is wrong with the images or the model", function()
    local g = net.model(MODEL)
    local outputs, message, code = g:run(net.tensor({ 5, 3 }, 1))
    assert.same({ nil, "format" }, { outputs, code })
    assert.matches("x", message, 1, true)
  end)

  it("raises for options that there are not, and tensors that the model has not", function()
    local g, x = net.model(MODEL), net.tensor({ 5, 2 }, 1)
    assert.error_matches(function() g:run(x, { outputs = { "nothing" } }) end, "no tensor 'nothing'")
    assert.error_matches(function() g:run(x, { thread = 1 }) end, "thread")
    assert.error_matches(function() g:run("images") end, "tensor")
    assert.error_matches(function() g:run(x, "y") end, "run: options expected, got string")
  end)
end)

describe("model:check", function()
  it("verifies without options, and tells what cannot be quantized with them", function()
    local g = net.model "input x N,2\n Identity x -> y\n Sigmoid y -> z\n output z"
    assert.is_true(g:check())
    local ok, _, code, problems = g:check {}
    assert.same({ nil, "unsupported", 1, "Sigmoid" }, { ok, code, #problems, problems[1].op })
    _, _, _, problems = g:check { mode = "original", role = "evaluator" }
    assert.same({ "Identity", "Sigmoid" }, { problems[1].op, problems[2].op })
    assert.is_true(net.model(MODEL):check { mode = "chip" })
  end)

  it("refuses options that there are not", function()
    local g = net.model(MODEL)
    assert.has_error(function() g:check { mode = "chips" } end, 'supported mode: `chip` or `original`, got "chips"')
    assert.error_matches(function() g:check { modes = "chip" } end, "unknown option 'modes'")
    assert.error_matches(function() g:check { role = "nobody" } end, "supported role")
    assert.error_matches(function() g:check "chip" end, "options expected, got string")
  end)
end)
