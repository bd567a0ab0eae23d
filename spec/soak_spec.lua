--- scripts/soak itself: what it says to wrong words, and that its record and its suppressions are what they claim.

local process = require "spec.support.process"

local function read(path)
  local file <close> = assert(io.open(process.root .. "/" .. path))
  return file:read "a"
end

describe("scripts/soak #unit", function()
  it("explains itself, and refuses words that it does not know", function()
    local r = process.run { process.root .. "/scripts/soak", "--help" }
    assert.equal(0, r.status)
    for _, part in ipairs { "faults", "kill", "tsan", "valgrind" } do assert.matches("\n" .. part .. " +%a", r.stdout) end
    for _, word in ipairs { "nothing", "--fast" } do
      r = process.run { process.root .. "/scripts/soak", word }
      assert.same({ 2, "scripts/soak: unknown: " .. word .. " (try --help)\n" }, { r.status, r.stderr })
    end
    assert.equal(2, process.run({ process.root .. "/scripts/soak" }).status)
  end)

  it("suppresses only what oneDNN and OpenMP do", function()
    local names = {}
    for name in read("scripts/tsan.supp"):gmatch "\n[%w_]+:([^\n]+)" do names[#names + 1] = name end
    assert.same({ "libdnnl.so", "libgomp.so" }, names)
    for entry in read("scripts/valgrind.supp"):gmatch "{(.-)}" do
      local object = entry:match "obj:([^\n]+)"
      assert.is_true(object == "*/libdnnl.so*" or object == "*/libgomp.so*", entry)
      assert.is_nil(entry:find("fun:", 1, true))
    end
  end)

  it("has found nothing the last time, in any part", function()
    local text, parts = read "docs/soak.md", {}
    for part, result, date, commit in text:gmatch "\n| (%l+) | [^|]+ | (%a+) | [^|]* | %d+ | ([%d-]+) | (%x+)[^|]* |" do
      parts[part] = (parts[part] or 0) + 1
      assert.equal("ok", result)
      assert.is_true(#date == 10 and #commit >= 7)
    end
    for _, part in ipairs { "faults", "kill", "tsan", "valgrind" } do assert.is_true((parts[part] or 0) > 0, part) end
  end)
end)
