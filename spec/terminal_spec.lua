--- What people see on a terminal: the REPL and the progress bar, run under script(1), which gives them one.

local process = require "spec.support.process"

local folder

-- Runs a shell command on a terminal of its own with this text typed, and returns what the terminal showed.
local function on_terminal(command, typed, env)
  env = env or {}
  env.HOME, env.TERM = folder, env.TERM or "vt100"
  local r = process.run({ "script", "-qec", command, "/dev/null" }, { stdin = typed or "", env = env })
  return r.stdout, r.status
end

-- A container without /dev/pts has no terminals to give.
local has_terminals = process.run({ "script", "-qec", "test -t 0", "/dev/null" }).status == 0

describe("on a terminal #unit", function()
  if not has_terminals then
    pending "needs script(1) and /dev/pts: NOT TESTED"
    return
  end

  before_each(function() folder = process.folder() end)
  after_each(function() process.remove(folder) end)

  it("espquant alone opens the REPL", function()
    local shown, status = on_terminal(process.espquant, "20 + 22\nerror 'oops'\ntype(espquant), type(help)\n")
    assert.equal(0, status)
    assert.matches("help%(x%) explain", shown)
    assert.matches("42\r\n", shown)
    assert.matches("oops", shown)
    assert.matches("table\tfunction\r\n", shown)
  end)

  it("the REPL keeps its history", function()
    if not pcall(require, "readline") then return pending "needs lua-readline: NOT TESTED" end
    on_terminal(process.espquant, "answer = 6 * 7\n")
    local file = assert(io.open(folder .. "/.espquant_history"))
    assert.matches("answer = 6 %* 7", file:read "a")
    file:close()
  end)

  it("the REPL keeps its history where it is told, or nowhere", function()
    if not pcall(require, "readline") then return pending "needs lua-readline: NOT TESTED" end
    local function kept(env)
      on_terminal(process.espquant, "answer = 6 * 7\n", env)
      local pipe = io.popen("cd '" .. folder .. "' && grep -rl answer . | sort")
      local names = pipe:read "a"
      pipe:close()
      os.execute("cd '" .. folder .. "' && rm -f .espquant_history state/* mine")
      return names
    end
    assert(os.execute("mkdir '" .. folder .. "/state'"))
    assert.equal("./state/espquant_history\n", kept { XDG_STATE_HOME = folder .. "/state" })
    assert.equal("./mine\n", kept { XDG_STATE_HOME = folder .. "/state", ESPQUANT_HISTORY = folder .. "/mine" })
    assert.equal("", kept { ESPQUANT_HISTORY = "" })
    local shown, status = on_terminal(process.espquant, "6 * 7\n", { ESPQUANT_HISTORY = folder .. "/none/here" })
    assert.equal(0, status)
    assert.matches("42", shown)
  end)

  it("the REPL lists modules, helps, and completes methods of objects over several lines", function()
    local shown = on_terminal(process.espquant, table.concat({
      "=espquant", "help()", "model = assert(", "  espquant.onnx.load 'examples/mnist.onnx')", "#model", "",
    }, "\n") .. "=type(model:infer_sh\t())\n")
    assert.matches("\n  optimizer  The optimizer", shown)
    assert.matches("\n  Calibrator", shown)
    assert.matches("=espquant  +what there is", shown)
    assert.matches("21\r\n", shown)
    assert.matches("type%(model:infer_shapes%(%)%)", shown)
    assert.matches("boolean\r\n", shown)
  end)

  it("the REPL completes with the tabulator", function()
    if not pcall(require, "readline") then return pending "needs lua-readline: NOT TESTED" end
    assert.matches("hello 42\r\n", (on_terminal(process.espquant, "string.forma\t('hello %d', 42)\n")))
  end)

  it("progress is drawn, but not with TERM=dumb", function()
    process.write_file(folder .. "/bar.lua", [[
      local bar = require "espquant.progress".new { title = "work", total = 2 }
      bar:update(1)
      bar:close()
      print "done"]])
    local command = ("'%s' '%s/bar.lua'"):format(process.espquant, folder)
    assert.matches("work %[############%.%.%.%.%.%.%.%.%.%.%.%.%]  50 %%.*done", (on_terminal(command)))
    assert.equal("done\r\n", (on_terminal(command, "", { TERM = "dumb" })))
  end)
end)
