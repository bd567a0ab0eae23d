--- The scripts around the tests: that scripts/test counts what happened and fails when it must, and that the
--- scripts which install packages say what they do. Each runs in a folder of its own with fakes in place of the
--- build, the tests and apt-get.

local process = require "spec.support.process"

local folder

local function shell(command)
  local r = process.run({ "sh", "-ec", command }, { cwd = folder })
  assert.equal(0, r.status, r.stderr)
  return r.stdout
end

local function file(path, text)
  shell(("mkdir -p \"$(dirname '%s')\""):format(path))
  process.write_file(folder .. "/" .. path, text)
  if text:match "^#!" then shell(("chmod +x '%s'"):format(path)) end
end

local function new_folder()
  folder = process.folder()
  shell(("cp -r '%s/scripts' '%s/.busted' ."):format(process.root, process.root))
end

local function remove_folder()
  process.remove(folder)
end

describe("scripts/test #unit", function()
  local PASSING_C = "#!/bin/sh\necho some output\necho '3 passed, 0 failed'\n"
  local PASSING_SPEC = "it('a', function() assert.equal(1, 1) end) it('b', function() end)"

  before_each(function()
    new_folder()
    file("scripts/build", "#!/bin/sh\nexit 0\n")
    file("build/spec/tests.txt", "m/test_a\n")
    file("build/spec/m/test_a", PASSING_C)
    file("spec/a_spec.lua", PASSING_SPEC)
  end)
  after_each(remove_folder)

  local function test(...)
    local words = { ... }
    if #words == 0 then words = { "--lane", "unit" } end
    local r = process.run({ folder .. "/scripts/test", table.unpack(words) }, { cwd = "/" })
    r.last = r.stdout:match "([^\n]*)\n$"
    return r
  end

  local function assert_result(last, status)
    local r = test()
    assert.same({ last, status }, { r.last, r.status }, r.stdout .. r.stderr)
  end

  it("sums C checks and cases in the last line", function()
    assert_result("5 passed, 0 failed", 0)
  end)

  it("fails for a failing case and for a failing check", function()
    file("spec/b_spec.lua", "it('c', function() assert.equal(1, 2) end)")
    assert_result("5 passed, 1 failed", 1)
    file("build/spec/m/test_a", "#!/bin/sh\necho '1 passed, 2 failed'\nexit 1\n")
    assert_result("3 passed, 3 failed", 1)
  end)

  it("fails for a C test that breaks off or whose exit code disagrees", function()
    file("build/spec/m/test_a", "#!/bin/sh\necho '3 passed, 0 failed'\nkill -SEGV $$\n")
    assert_result("2 passed, 1 failed", 1)
    file("build/spec/m/test_a", "#!/bin/sh\necho '3 passed, 0 failed'\nexit 23\n")
    assert_result("5 passed, 1 failed", 1)
    file("build/spec/m/test_a", "#!/bin/sh\necho 'half a li'\n")
    assert_result("2 passed, 1 failed", 1)
    file("build/spec/m/test_a", "#!/bin/sh\necho '0 passed, 0 failed'\n")
    assert_result("2 passed, 1 failed", 1)
    shell "rm build/spec/m/test_a"
    assert_result("2 passed, 1 failed", 1)
  end)

  it("fails for a spec that does not load, raises outside of a case, or ends the process", function()
    file("spec/b_spec.lua", "it('c', function()")
    assert_result("5 passed, 1 failed", 1)
    file("spec/b_spec.lua", "describe('d', function() error 'outside' end)")
    assert_result("5 passed, 1 failed", 1)
    file("spec/b_spec.lua", "describe('d', function() setup(function() error 'x' end) it('c', function() end) end)")
    assert.equal(1, test().status)
    file("spec/b_spec.lua", "it('c', function() os.exit(0) end)")
    assert_result("3 passed, 1 failed", 1)
  end)

  it("fails without C tests, without specs, and without a build", function()
    file("build/spec/tests.txt", "\n")
    assert_result("2 passed, 1 failed", 1)
    file("build/spec/tests.txt", "m/test_a\n")
    shell "rm spec/*_spec.lua"
    assert.equal(1, test().status)
    file("spec/a_spec.lua", PASSING_SPEC)
    file("scripts/build", "#!/bin/sh\nexit 1\n")
    assert_result("0 passed, 1 failed", 1)
  end)

  it("says loudly what was skipped, and does not count it", function()
    file("spec/b_spec.lua", "pending 'later'")
    local r = test()
    assert.equal("5 passed, 0 failed", r.last)
    assert.matches("SKIPPED: .*later", r.stdout)
    assert.matches("1 cases SKIPPED", r.stderr)
  end)

  it("keeps the cases of other lanes out", function()
    file("spec/b_spec.lua", "it('#asan', function() error() end) it('#fuzz', error) it('#unit', print)")
    assert_result("6 passed, 0 failed", 0)
  end)

  it("runs single spec files", function()
    file("spec/b_spec.lua", "it('c', function() end)")
    local r = test("--lane", "unit", "--spec", "spec/b_spec.lua")
    assert.same({ "1 passed, 0 failed", 0 }, { r.last, r.status })
  end)

  it("ends a lane that is over its budget, and keeps what it had counted", function()
    shell "sed -i 's/echo 420/echo 2/' scripts/test"
    file("spec/b_spec.lua", "it('c', function() os.execute 'sleep 20' end)")
    local r = test()
    assert.same({ "3 passed, 1 failed", 1 }, { r.last, r.status })
    assert.matches("did not end within 2 s", r.stderr)
  end)

  it("exits 2 for what it does not know", function()
    assert.equal(2, test("--lane", "nonsense").status)
    assert.equal(2, test("--nonsense").status)
  end)
end)

describe("installing packages #unit", function()
  local TRY = "#!/bin/sh\nset -eu\nme=try\n. \"$(dirname -- \"$0\")/common.sh\"\n"

  before_each(new_folder)
  after_each(remove_folder)

  -- Runs `install_packages build run` where `installed` is what dpkg-query says and apt-get fails as told, as root.
  local function install(installed, apt_get)
    file("fake/id", "#!/bin/sh\necho 0\n")
    file("fake/dpkg-query", ("#!/bin/sh\nfor last; do :; done\n" ..
      "case ' %s ' in *\" $last \"*) printf installed ;; *) exit 1 ;; esac\n"):format(installed))
    file("fake/apt-get", "#!/bin/sh\necho \"apt-get $*\" >>'" .. folder .. "/apt'\n" .. apt_get .. "\n")
    file("scripts/try", TRY .. "install_packages build run\n")
    file("apt", "")
    local r = process.run({ folder .. "/scripts/try" }, { env = { PATH = folder .. "/fake:" .. os.getenv "PATH" } })
    r.apt = shell "cat apt"
    return r
  end

  -- The names of these groups in scripts/packages.
  local function names(...)
    local list = {}
    for _, group in ipairs { ... } do
      for line in io.lines "scripts/packages" do list[#list + 1] = line:match("^" .. group .. " (.+)") end
    end
    return table.concat(list, " ")
  end
  local ALL, BUILD = names("build", "run"), names "build"

  it("does nothing when all are there", function()
    local r = install(ALL, "exit 1")
    assert.same({ 0, "", "try: packages: all installed\n" }, { r.status, r.apt, r.stderr })
  end)

  it("installs the missing ones only", function()
    local r = install(ALL:gsub("libdnnl%-dev ", ""), "exit 0")
    assert.equal(0, r.status)
    assert.equal("apt-get install -y -q --no-install-recommends libdnnl-dev\n", r.apt)
    assert.matches("installing packages: libdnnl%-dev", r.stderr)
  end)

  it("refreshes the package list if the first try fails", function()
    local r = install("", "grep -q update '" .. folder .. "/apt'")
    assert.equal(0, r.status)
    assert.matches("install [^\n]*\napt%-get update [^\n]*\napt%-get install [^\n]* gcc .*lua%-readline\n$", r.apt)
  end)

  it("says what is missing if apt-get cannot go on", function()
    local r = install("gcc", "echo 'E: no network'; exit 100")
    assert.equal(1, r.status)
    assert.matches("E: no network", r.stderr)
    assert.matches("install these yourself, then run again: libc6%-dev cmake .*lua%-readline", r.stderr)
  end)

  -- The same for a user who is not root, where nothing is installed; `tools` is the whole PATH.
  local function install_as_user()
    shell "mkdir -p tools; for tool in sh dirname sed tr rm env; do ln -s \"$(command -v $tool)\" tools/; done"
    file("tools/id", "#!/bin/sh\ncase $1 in -u) echo 1000 ;; *) echo joe ;; esac\n")
    file("tools/dpkg-query", "#!/bin/sh\nexit 1\n")
    file("tools/apt-get", "#!/bin/sh\necho \"apt-get $* $DEBIAN_FRONTEND\" >>'" .. folder .. "/apt'\n")
    file("scripts/try", TRY .. "install_packages build run\n")
    file("apt", "")
    local r = process.run({ folder .. "/scripts/try" }, { env = { PATH = folder .. "/tools" } })
    r.apt = shell "cat apt"
    return r
  end

  it("tells a user without sudo what root has to install", function()
    local r = install_as_user()
    assert.same({ 1, "" }, { r.status, r.apt })
    assert.matches("only root can install them, you are joe, and there is no sudo; as root:\n", r.stderr, 1, true)
    local advice = "apt-get update && apt-get install --no-install-recommends "
    assert.matches("try:   " .. advice .. ALL .. "\n", r.stderr, 1, true)
  end)

  it("goes through sudo where there is one", function()
    file("tools/sudo", "#!/bin/sh\necho sudo >>'" .. folder .. "/apt'\nexec \"$@\"\n")
    local r = install_as_user()
    assert.same({ 0, "sudo\napt-get install -y -q --no-install-recommends " .. ALL .. " noninteractive\n" },
      { r.status, r.apt })
  end)

  it("names the packages on a system without apt-get", function()
    file("tools/x", "")
    shell "for tool in sh dirname sed tr id env rm; do ln -s \"$(command -v $tool)\" tools/; done"
    file("scripts/try", TRY .. "install_packages build\n")
    local r = process.run({ folder .. "/scripts/try" }, { env = { PATH = folder .. "/tools" } })
    assert.matches("no Debian system", r.stderr)
    assert.matches("gcc .* libdnnl%-dev", r.stderr)
    assert.equal(0, r.status)
  end)

  it("is asked for by scripts/build, which installs nothing itself", function()
    file("fake/dpkg-query", "#!/bin/sh\nexit 1\n")
    file("fake/apt-get", "#!/bin/sh\necho called >>'" .. folder .. "/apt'\n")
    local r = process.run({ folder .. "/scripts/build" },
      { env = { PATH = folder .. "/fake:" .. os.getenv "PATH" } })
    assert.equal(1, r.status)
    local advice = "apt-get update && apt-get install --no-install-recommends "
    assert.matches("as root: " .. advice .. BUILD .. "\n", r.stderr, 1, true)
    assert.equal("", shell "cat apt 2>/dev/null || true")
  end)
end)
