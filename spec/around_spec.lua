-- What surrounds the commands: examples first in every help, completion in a real shell, the manual page, the package.
local command_parser = require "espquant.command_parser"
local process = require "spec.support.process"

local function run(...)
  local r = process.run({ process.espquant, ... }, {})
  assert.same({ 0, "" }, { r.status, r.stderr })
  return r.stdout
end

-- The words of a line as a shell splits it; what follows ">" or "|" is not the command's.
local function words_of(line)
  local words, word, quoted = {}, nil, false
  for c in (line:gsub(" [>|] .*$", "") .. " "):gmatch "." do
    if c == "'" then quoted, word = not quoted, word or ""
    elseif c == " " and not quoted then
      words[#words + 1], word = word, nil
    else word = (word or "") .. c end
  end
  return words
end

describe("every command", function()
  local parser = command_parser.full()

  for _, name in ipairs(command_parser.names()) do
    it("leads its help with examples that parse: " .. name, function()
      local module, help = require("espquant.commands." .. name:gsub("-", "_")), run(name, "--help")
      assert.is_true(#module.examples >= 1)
      assert.equal("Examples:\n   " .. module.examples[1], help:match "^[^\n]*\n[^\n]*")
      for _, example in ipairs(module.examples) do
        local words = words_of(example)
        assert.equal("espquant " .. name, table.concat(words, " ", 1, 2), example)
        local ok, result = parser:pparse({ table.unpack(words, 2) })
        assert.is_true(ok, example .. ": " .. tostring(result))
      end
    end)
  end

  it("prints no colour, whatever NO_COLOR says", function()
    for _, words in ipairs { { "help" }, { "ops" }, { "info", "examples/mnist.onnx" } } do
      assert.is_nil(run(table.unpack(words)):find("\27", 1, true))
    end
  end)
end)

describe("completion", function()
  local function complete(...)
    local words = { "espquant", ... }
    local script = ([[%s completion bash > "$1"; . "$1"; COMP_WORDS=(%s); COMP_CWORD=%d; COMP_LINE="%s"; _espquant;
      printf '%%s\n' "${COMPREPLY[@]}"]]):format(process.espquant, table.concat(words, " "), #words - 1,
      table.concat(words, " "))
    local file = os.tmpname()
    local r = process.run({ "bash", "-c", script, "bash", file }, {})
    os.remove(file)
    assert.equal(0, r.status, r.stderr)
    local set = {}
    for word in r.stdout:gmatch "%S+" do set[word] = true end
    return set
  end

  it("knows commands and options in bash", function()
    assert.is_true(complete("cal").calibrate)
    assert.is_true(complete("calibrate", "--meth")["--method"])
    assert.is_nil(complete("calibrate", "--meth")["--min-accuracy"])
  end)

  it("is written for zsh and fish, too, every command in it", function()
    for _, shell in ipairs { "zsh", "fish" } do
      local text = run("completion", shell)
      for _, name in ipairs(command_parser.names()) do assert.is_truthy(text:find(name, 1, true), shell .. " " .. name) end
    end
  end)
end)

describe("the manual page", function()
  it("has every command with its examples, and the exit codes", function()
    local page = run "man"
    for _, name in ipairs(command_parser.names()) do
      assert.is_truthy(page:find('.SS "' .. name .. '"', 1, true), name)
    end
    for _, section in ipairs { "NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", '"EXIT STATUS"', "ENVIRONMENT" } do
      assert.is_truthy(page:find("\n.SH " .. section .. "\n", 1, true), section)
    end
  end)

  it("makes groff complain about nothing", function()
    if process.run({ "sh", "-c", "command -v man && command -v groff" }, {}).status ~= 0 then
      return pending "there is no man here"
    end
    local file = os.tmpname()
    -- Debian's troff is not ours to sanitize: AddressSanitizer's preloaded runtime aborts it.
    local r = process.run({ "sh", "-c", process.espquant .. " man > " .. file
      .. " && env -u LD_PRELOAD man --warnings -E UTF-8 -Tutf8 -Z -l " .. file .. " > /dev/null" }, {})
    os.remove(file)
    assert.same({ 0, "" }, { r.status, r.stderr })
  end)
end)

describe("the Debian package #unit", function()
  it("has launcher, module, Lua files, manual and completion, and depends on what they need", function()
    if process.run({ "sh", "-c", "command -v cpack && command -v dpkg-shlibdeps && command -v file" }, {}).status ~= 0 then
      return pending "cpack, dpkg-shlibdeps or file is missing"
    end
    local folder = process.folder()
    local r = process.run({ "cpack", "--config", process.build .. "/CPackConfig.cmake", "-B", folder }, { cwd = folder })
    assert.equal(0, r.status, r.stdout .. r.stderr)
    local list = process.run({ "sh", "-c", "dpkg-deb -c " .. folder .. "/*.deb" }, {}).stdout
    local control = process.run({ "sh", "-c", "dpkg-deb -f " .. folder .. "/*.deb Depends" }, {}).stdout
    process.remove(folder)
    for _, path in ipairs { "bin/espquant", "lib/lua/5.4/espquant/core.so", "share/lua/5.4/espquant/cli.lua",
      "share/man/man1/espquant.1", "share/bash-completion/completions/espquant", "share/zsh/site-functions/_espquant",
      "share/fish/vendor_completions.d/espquant.fish" } do
      assert.is_truthy(list:find("./usr/" .. path .. "\n", 1, true), path)
    end
    for _, package in ipairs { "lua5.4", "lua-argparse", "lua-cjson", "lua-filesystem", "libdnnl2", "libprotobuf-c1" } do
      assert.is_truthy(control:find(package, 1, true), package)
    end
  end)
end)
