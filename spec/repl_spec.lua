local complete = require "espquant.complete".complete
local errors = require "espquant.errors"
local help = require "espquant.help"
local repl = require "espquant.repl"

-- Types the lines and returns what the REPL wrote, and the prompts it showed.
local function session(lines, env)
  local written, prompts, next_line = {}, {}, 0
  repl.run {
    read = function(prompt)
      next_line = next_line + 1
      prompts[next_line] = prompt
      local line = lines[next_line]
      if type(line) == "function" then line() end
      return line
    end,
    write = function(...)
      for _, text in ipairs { ... } do written[#written + 1] = text end
    end,
    env = env or setmetatable({}, { __index = _G }),
  }
  return table.concat(written), prompts
end

describe("the REPL", function()
  it("prints the values of expressions, with and without =", function()
    assert.equal("2\n", session { "1 + 1" })
    assert.equal("2\tx\tnil\n", session { "= 1 + 1, 'x', nil" })
    assert.equal("nil\n", session { "unknown" })
  end)

  it("prints nothing for statements and keeps globals", function()
    assert.equal("42\n", session { "x = 40", "x = x + 2", "x" })
  end)

  it("goes on over several lines", function()
    local written, prompts = session { "for i = 1, 2 do", "  y = i", "end", "y" }
    assert.equal("2\n", written)
    assert.same({ "> ", ">> ", ">> ", "> ", "> " }, prompts)
    assert.equal("3\n", session { "= 1 +", "2" })
  end)

  it("says what is wrong with a chunk that ends too early", function()
    assert.matches("<eof>", (session { "for i = 1, 2 do" }))
  end)

  it("survives every kind of error", function()
    local written = session {
      "error 'first'",
      "local 1",
      "error({})",
      "setmetatable({}, { __tostring = function() error 'in tostring' end })",
      "error(setmetatable({}, { __tostring = function() return 'an object' end }))",
      "'alive'",
    }
    assert.matches("stdin:1: first\nstack traceback", written)
    assert.matches("<name> expected", written)
    assert.matches("error object is a table value", written)
    assert.matches("in tostring", written)
    assert.matches("an object\n", written)
    assert.matches("alive\n$", written)
  end)

  it("shows our errors with their problems and without a traceback", function()
    local env = setmetatable({ errors = errors }, { __index = _G })
    assert.equal("no such file\n  - a.onnx\n", (session({ "errors.raise('io', 'no such file', {'a.onnx'})" }, env)))
  end)

  it("drops the line on an interrupt and passes other errors of the reader on", function()
    local written = session { function() error("interrupted!", 0) end, "7" }
    assert.equal("\n7\n", written)
    assert.has_error(function() session { function() error("broken reader", 0) end } end, "broken reader")
  end)

  it("shows tables in part, in a fixed order", function()
    assert.equal('{1, 2, a = "x\\n", ["b c"] = {}}', repl.show { 1, 2, a = "x\n", ["b c"] = {} })
    local many = {}
    for i = 1, 1000 do many[i] = i end
    assert.matches("20,? ?... 980 more}", repl.show(many))
    assert.is_true(#repl.show { ("x"):rep(1e6), { { {} } } } < 400)
    local loop = {}
    loop.self = loop
    assert.equal("{self = {self = {...}}}", repl.show(loop))
  end)

  it("lists what a module offers, a line each", function()
    local espquant = require "espquant"
    local text = repl.show(espquant)
    assert.matches("^espquant: from a float ONNX network", text)
    for _, name in ipairs { "Calibrator", "Evaluator", "dataset", "npy", "onnx", "optimizer", "qtable", "tensor" } do
      assert.matches("\n  " .. name .. "[ (][^\n]+%.\n", text .. "\n")
    end
    assert.matches("\n  optimize%(model", repl.show(espquant.optimizer))
    assert.equal("{}", repl.show {})
    assert.matches("^{", repl.show(string))
    assert.matches("history", help.text(repl.history_file))
  end)

  it("prints every object readably", function()
    local espquant = require "espquant"
    local model = espquant.optimizer.optimize((assert(espquant.onnx.load "examples/mnist.onnx")))
    local calib = espquant.Calibrator { bits = "int8", log = function() end }
    local images = espquant.tensor.zeros { 2, 1, 28, 28 }
    local t = calib:generate_quantization_table(model, images)
    for text, object in pairs {
      ["^float32 2x1x28x28"] = images, ["mnist"] = model, ["Conv 'conv1'"] = model:value "conv1_out".producer,
      ["^quantization table: v1 int8"] = t,
      ["^Calibrator: int8"] = calib, ["^Evaluator: int8"] = espquant.Evaluator("int8", "per-tensor"),
      ["^dataset examples"] = assert(espquant.dataset "examples/data/mnist/calib-labels-idx1-ubyte.gz"),
    } do
      assert.matches(text, repl.show(object))
    end
  end)

  it("keeps its history in the file that the environment names", function()
    local function file(env) return repl.history_file(function(name) return env[name] end) end
    assert.equal("~/.espquant_history", file { XDG_STATE_HOME = "" })
    assert.equal("/s/espquant_history", file { XDG_STATE_HOME = "/s" })
    assert.equal("/h", file { XDG_STATE_HOME = "/s", ESPQUANT_HISTORY = "/h" })
    assert.is_nil(file { ESPQUANT_HISTORY = "" })
  end)

  it("shows objects by their own text", function()
    local object = setmetatable({ secret = 1 }, { __tostring = function() return "Tensor f32 1x3" end })
    assert.equal("Tensor f32 1x3", repl.show(object))
    assert.equal("{Tensor f32 1x3}", repl.show { object })
  end)
end)

describe("completion", function()
  local class = { __index = { node = function() end, nodes = function() end, size = 3 } }
  local env = {
    espquant = { optimizer = { optimize = print, optimize_fp_model = print }, onnx = {} },
    model = setmetatable({ name = "m" }, class),
    text = "abc",
    trap = setmetatable({}, { __index = function() error "must not be called" end }),
  }

  it("knows fields, also nested", function()
    assert.same({ "espquant.onnx", "espquant.optimizer" }, complete("espquant.o", env))
    assert.same({ "x = espquant.optimizer.optimize", "x = espquant.optimizer.optimize_fp_model" },
      complete("x = espquant.optimizer.opt", env))
  end)

  it("offers only what can be called after a colon", function()
    assert.same({ "f(model:node", "f(model:nodes" }, complete("f(model:", env))
    assert.same({ "model.name", "model.node", "model.nodes" }, complete("model.n", env))
    assert.same({ "text:rep", "text:reverse" }, complete("text:re", env))
  end)

  it("completes the methods of userdata", function()
    assert.same({ "out:seek", "out:setvbuf" }, complete("out:se", { out = io.stdout }))
  end)

  it("completes objects of the C module by their __methods and __fields", function()
    local object = setmetatable({}, { __index = error, __methods = { copy = print }, __fields = { count = print } })
    assert.same({ "o.copy", "o.count" }, complete("o.co", { o = object }))
    assert.same({ "o:copy" }, complete("o:co", { o = object }))
  end)

  it("looks into the fields of a lazy module, and only those it lists", function()
    local lazy = setmetatable({}, {
      __fields = { onnx = true, broken = true },
      __index = function(_, name) return name == "onnx" and { load = print } or error(name) end,
    })
    assert.same({ "l.onnx.load" }, complete("l.onnx.", { l = lazy }))
    assert.same({ "l.onnx" }, complete("l.o", { l = lazy }))
    assert.same({}, complete("l.broken.", { l = lazy }))
    assert.same({}, complete("l.other.", { l = lazy }))
  end)

  it("knows globals and keywords", function()
    assert.same({ "text", "then", "trap", "true" }, complete("t", env))
    assert.same({}, complete("", env))
  end)

  it("calls nothing and knows nothing of what is missing", function()
    assert.same({}, complete("trap.x.y", env))
    assert.same({}, complete("nothing.x", env))
    assert.same({}, complete("1..", env))
  end)
end)

describe("help", function()
  it("prints a function's signature and doc comment", function()
    assert.equal("function M.exit_code(code)\nThe exit code of a process that ends with this code of an error.",
      help.text(errors.exit_code))
  end)

  it("prints a module's head and its functions", function()
    local text = help.text(errors)
    assert.matches("^espquant.errors\nErrors as values", text)
    assert.matches("  is%(value%)  True for an object made by", text)
  end)

  it("lists the methods and fields of an object of the C module", function()
    local object = setmetatable({}, {
      __name = "espquant.thing",
      __index = error,
      __methods = { exit_code = errors.exit_code },
      __fields = { size = print },
    })
    assert.equal("espquant.thing\n  .size  \n" ..
      "  :exit_code(code)  The exit code of a process that ends with this code of an error.", help.text(object))
  end)

  it("has an answer for everything", function()
    assert.equal("a function without a doc comment", help.text(string.format))
    assert.matches("^FILE%*\n.*:write", help.text(io.stdout))
    for _, value in ipairs { 1, "text", {}, true, setmetatable({}, { __index = function() error "called" end }) } do
      assert.is_string(help.text(value))
    end
  end)
end)
