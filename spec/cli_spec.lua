local cli = require "espquant.cli"
local process = require "spec.support.process"

local folder

local function espquant(...)
  return process.run({ process.espquant, ... }, { cwd = folder })
end

local function script(name, text)
  return process.write_file(folder .. "/" .. name, text)
end

-- A command as commands/<name>.lua returns it, for run_command in this process.
local function command(run)
  return {
    name = "sum",
    summary = "add numbers",
    configure = function(parser)
      parser:argument("numbers"):args("+"):convert(tonumber)
      parser:flag "--negate"
    end,
    run = run,
  }
end

-- Runs a command in this process: exit code, standard output, standard error.
local function run_command(module, ...)
  local out, err = assert(io.tmpfile()), assert(io.tmpfile())
  local stdout, stderr = io.stdout, io.stderr
  io.stdout, io.stderr = out, err -- luacheck: ignore
  local ok, code = pcall(cli.run_command, module, { ... })
  io.stdout, io.stderr = stdout, stderr -- luacheck: ignore
  assert(ok, code)
  out:seek "set"
  err:seek "set"
  local texts = { out:read "a", err:read "a" }
  out:close()
  err:close()
  return code, texts[1], texts[2]
end

describe("espquant on the command line", function()
  setup(function() folder = process.folder() end)
  teardown(function() process.remove(folder) end)

  it("runs a script with its arguments, as lua does", function()
    script("args.lua", "print(#arg, arg[0], arg[1], arg[2], ...)")
    assert.same({ status = 0, stdout = "2\t./args.lua\ta b\t-v\ta b\t-v\n", stderr = "" },
      espquant("./args.lua", "a b", "-v"))
  end)

  it("says in a line what has no place to be traced to", function()
    for _, case in ipairs {
      { { "-l", "nothing" }, "-l: no module 'nothing' is found; LUA_PATH and LUA_CPATH say where to look" },
      { { "-l", "g=no.thing" }, "-l: no module 'no.thing' is found; LUA_PATH and LUA_CPATH say where to look" },
      { { "-e", "error {}" }, "(error object is a table value)" },
      { { "-e", "error()" }, "(error object is a nil value)" },
      { { "-e", "error(setmetatable({}, { __tostring = function() return 'own words' end }))" }, "own words" },
    } do
      assert.same({ status = 1, stdout = "", stderr = "espquant: " .. case[2] .. "\n" },
        espquant(table.unpack(case[1])))
    end
    script("broken.lua", "local x = nil + 1")
    assert.matches("broken.lua:1: .*\nstack traceback:", espquant("-l", "broken").stderr)
    assert.equal("table\n", espquant("-l", "json=cjson", "-e", "print(type(json))").stdout)
  end)

  it("runs standard input when it is no terminal, and with -", function()
    local piped = process.run({ process.espquant }, { stdin = "print(1 + 1)" })
    assert.same({ status = 0, stdout = "2\n", stderr = "" }, piped)
    local dash = process.run({ process.espquant, "-", "x" }, { stdin = "print(...)" })
    assert.same({ status = 0, stdout = "x\n", stderr = "" }, dash)
  end)

  it("runs scripts that are no command by name, and says what is missing", function()
    script("plain", "print 'plain'")
    assert.equal("plain\n", espquant("plain").stdout)
    local r = espquant "missing.lua"
    assert.equal(1, r.status)
    assert.matches("cannot open missing.lua", r.stderr)
  end)

  it("prefers a command to a file of its name", function()
    script("help", "print 'the file'")
    assert.matches("^usage:", espquant("help").stdout)
    assert.equal("the file\n", espquant("./help").stdout)
  end)

  it("understands -e, -l, -v and --", function()
    assert.equal("3\n", espquant("-e", "x = 1", "-ex = x + 2", "-e", "print(x)").stdout)
    assert.equal("table\ttable\n",
      espquant("-l", "e=espquant.errors", "-lespquant.errors", "-e",
        "print(type(e), type(_G['espquant.errors']))").stdout)
    assert.matches("^espquant %d+%.%d+ %(Lua 5.4%)\n$", espquant("-v").stdout)
    script("-x", "print 'dash'")
    assert.equal("dash\n", espquant("--", "-x").stdout)
  end)

  it("opens the REPL after a script with -i", function()
    script("set.lua", "answer = 42")
    local r = process.run({ process.espquant, "-i", "./set.lua" },
      { cwd = folder, stdin = "answer\n", env = { HOME = folder } })
    assert.matches("42\n", r.stdout)
    assert.equal(0, r.status)
  end)

  it("reports a script's error with a traceback and exits 1", function()
    script("fail.lua", "local function inner() error 'boom' end\ninner()")
    local r = espquant "./fail.lua"
    assert.equal(1, r.status)
    assert.matches("fail.lua:1: boom\nstack traceback:.*fail.lua:2:", r.stderr)
    script("syntax.lua", "x =")
    r = espquant "./syntax.lua"
    assert.equal(1, r.status)
    assert.matches("syntax.lua:1: .*<eof>", r.stderr)
    assert.equal(1, espquant("-e", "error {}").status)
  end)

  it("exits with the status of one of our errors, without a traceback", function()
    for code, status in pairs { io = 3, format = 3, unsupported = 4, limit = 5, memory = 5, bug = 70 } do
      script("raise.lua", ("require 'espquant.errors'.raise('%s', 'the reason', { 'a problem' })"):format(code))
      local r = espquant "./raise.lua"
      assert.same({ status = status, stdout = "", stderr = "espquant: the reason\n  - a problem\n" }, r)
    end
  end)

  it("keeps a script's own exit code", function()
    assert.equal(17, espquant("-e", "os.exit(17)").status)
  end)

  it("refuses bytecode", function()
    script("binary.lua", string.dump(function() end))
    local r = espquant "./binary.lua"
    assert.equal(1, r.status)
    assert.matches("binary", r.stderr)
  end)

  it("exits 2 for options and commands it does not know", function()
    local r = espquant "--frobnicate"
    assert.equal(2, r.status)
    assert.matches("unrecognized option '%-%-frobnicate'\nusage:", r.stderr)
    assert.equal(2, espquant("-e").status)
    r = espquant "no-such-command"
    assert.equal(2, r.status)
    assert.matches("neither a command nor a file", r.stderr)
    assert.equal(2, espquant("help", "no-such-command").status)
    assert.equal(2, espquant("../x").status == 2 and 2 or espquant("no.such").status)
  end)

  it("pins the instruction set of float kernels with --isa, and refuses what there is not", function()
    local print_isa = "print(require 'espquant.core'.isa())"
    assert.equal("sse41\n", espquant("--isa", "sse41", "-e", print_isa).stdout)
    assert.equal("sse41\n", espquant("--isa=sse41", "-e", print_isa).stdout)
    assert.equal("sse41\n", espquant("-e", "espquant.set_isa 'sse41' " .. print_isa).stdout)
    for words, text in pairs { mmx = "--isa: unknown instruction set 'mmx' (sse41, avx2", [""] = "unknown" } do
      local r = espquant("--isa", words, "-e", print_isa)
      assert.same({ 2, "" }, { r.status, r.stdout })
      assert.matches(text, r.stderr, 1, true)
    end
    assert.equal(2, espquant("--isa").status)
    assert.equal(4, espquant("-e", "espquant.set_isa 'mmx'").status)
    assert.matches("too late", espquant("-e", print_isa .. " espquant.set_isa 'avx2'").stderr)
  end)

  it("prints its help with the exit codes", function()
    for _, words in ipairs { { "help" }, { "--help" }, { "-h" } } do
      local r = espquant(table.unpack(words))
      assert.equal(0, r.status)
      assert.matches("^usage:.*commands:.*exit codes:", r.stdout)
    end
  end)

  it("is found through symbolic links, from any folder, with blanks and quotes in the path", function()
    local odd = folder .. "/it's a folder"
    os.execute(('mkdir -p "%s" && ln -sf "%s" "%s/link"'):format(odd, process.espquant, odd))
    local r = process.run({ odd .. "/link", "-v" }, { cwd = "/" })
    assert.equal("", r.stderr)
    assert.equal(0, r.status)
    assert.equal(0, process.run({ "./link", "-v" }, { cwd = odd }).status)
  end)
end)

describe("suggestions", function()
  it("find a misspelt command and its beginning", function()
    local names = { "calibrate", "check", "evaluate", "export", "info", "optimize", "run" }
    assert.same({ "calibrate" }, cli.suggest("calibarte", names))
    assert.same({ "evaluate" }, cli.suggest("eval", names))
    assert.same({ "optimize" }, cli.suggest("Optimise", names))
    assert.same({ "run" }, cli.suggest("ron", names))
    assert.same({}, cli.suggest("quantize", names))
  end)
end)

describe("a command", function()
  it("gets its parsed arguments and the streams", function()
    local code, out = run_command(command(function(args, streams)
      local sum = 0
      for _, number in ipairs(args.numbers) do sum = sum + number end
      streams.stdout:write(args.negate and -sum or sum, "\n")
      return 0
    end), "1", "2", "--negate")
    assert.same({ 0, "-3\n" }, { code, out })
  end)

  it("answers --help on standard output", function()
    local code, out, err = run_command(command(function() error "must not run" end), "--help")
    assert.same({ 0, "" }, { code, err })
    assert.matches("^Usage: espquant sum.*add numbers", out)
  end)

  it("exits 2 for arguments it cannot take", function()
    local ran = false
    local function run() ran = true end
    for _, words in ipairs { {}, { "--unknown" }, { "x1" }, { "1", "--negate=3" } } do
      local code, out, err = run_command(command(run), table.unpack(words))
      assert.same({ 2, "" }, { code, out })
      assert.matches("^espquant: [^\n]+ %(espquant sum %-%-help%)\n$", err)
    end
    assert.is_false(ran)
  end)

  it("turns what run returns into an exit code", function()
    local function code_of(...)
      local results = table.pack(...)
      return (run_command(command(function() return table.unpack(results, 1, results.n) end), "1"))
    end
    assert.same({ 0, 1, 1, 0 }, { code_of(0), code_of(1), code_of(false), code_of(true) })
    assert.same({ 3, 4, 5, 70 }, { code_of(nil, "m", "io"), code_of(nil, "m", "unsupported"),
      code_of(nil, "m", "limit"), code_of(nil, "m") })
  end)

  it("says what went wrong", function()
    local code, _, err = run_command(command(function() return nil, "a.onnx: no such file", "io" end), "1")
    assert.same({ 3, "espquant: a.onnx: no such file\n" }, { code, err })
    code, _, err = run_command(command(function()
      require "espquant.errors".raise("format", "not ONNX", { "byte 3" })
    end), "1")
    assert.same({ 3, "espquant: not ONNX\n  - byte 3\n" }, { code, err })
    code, _, err = run_command(command(function() error "oops" end), "1")
    assert.equal(70, code)
    assert.matches("oops\nstack traceback", err)
    assert.equal(130, (run_command(command(function() error("interrupted!", 0) end), "1")))
    assert.equal(5, (run_command(command(function() error("not enough memory", 0) end), "1")))
  end)
end)
