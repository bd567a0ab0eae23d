-- The packs of recorded cases (scripts/pack_fixtures) are there, whole, and small enough for a repository.
local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"

local MAX_BYTES = 8 << 20
local OTHER_PACKS = { "convert_tool", "entropy_unit", "negative" }

-- Number of members and bytes of the packs of one version.
local function count(names, version)
  local members, bytes = 0, 0
  for _, name in ipairs(names) do
    members = members + #fixtures.open(name, version).names ""
    bytes = bytes + #assert(core.read_file(("spec/fixtures/%s/%s.tar.gz"):format(version, name)))
  end
  return members, bytes
end

describe("the packs of recorded cases #unit", function()
  it("hold all files, and are small", function()
    local v1 = table.move(fixtures.CASES, 1, #fixtures.CASES, #OTHER_PACKS + 1, { table.unpack(OTHER_PACKS) })
    local members1, bytes1 = count(v1, "v1")
    local members3, bytes3 = count(fixtures.CASES_V3, "v3")
    print(("\n%d files in %d bytes of v1, %d files in %d bytes of v3"):format(members1, bytes1, members3, bytes3))
    assert.same({ 30, 12 }, { #fixtures.CASES, #fixtures.CASES_V3 })
    assert.same({ 2268, 406 }, { members1, members3 })
    assert.is_true(bytes1 + bytes3 < MAX_BYTES)
  end)

  it("fail where something is absent", function()
    assert.has_error(function() fixtures.open "no such case" end)
    assert.has_error(function() fixtures.open "tiny_121".bytes "none" end,
      "spec/fixtures/v1/tiny_121.tar.gz has no none")
  end)
end)
