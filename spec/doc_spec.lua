--- Every function, method and field of the C module has its text for help(x), and no text is left over.

local core = require "espquant.core"
local doc = require "espquant.doc"
local help = require "espquant.help"

-- All keys that doc.lua must have: functions of C, since those of Lua have their doc comments.
local function wanted()
  local keys = {}
  local function want(key, member)
    if type(member) == "function" and debug.getinfo(member, "S").what == "C" then keys[key] = member end
  end
  for name, member in pairs(core) do want(name, member) end
  for key, mt in pairs(debug.getregistry()) do
    local class = type(key) == "string" and key:match "^espquant%.(.+)$"
    if class and type(mt) == "table" then
      for name, method in pairs(mt.__methods or {}) do want(class .. ":" .. name, method) end
      for name, getter in pairs(mt.__fields or {}) do want(class .. "." .. name, getter) end
    end
  end
  return keys
end

describe("the texts for help", function()
  local keys = wanted()

  it("cover the C module, and no text is left over", function()
    local missing, stale = {}, {}
    for key in pairs(keys) do missing[#missing + 1] = not doc[key] and key or nil end
    for key in pairs(doc) do stale[#stale + 1] = not keys[key] and key or nil end
    table.sort(missing)
    table.sort(stale)
    assert.same({ missing = {}, stale = {} }, { missing = missing, stale = stale })
  end)

  it("are found by function", function()
    assert.equal(doc.concat, help.text(core.concat))
    assert.equal(doc["tensor:slice"], help.text(keys["tensor:slice"]))
  end)

  it("are listed for an object", function()
    local text = help.text(core.tensor { 2, 3 })
    assert.matches("^espquant.tensor\n", text)
    assert.matches("\n  %.shape  the list of dimensions\n", text)
    assert.matches("\n  :astype%(dtype%)  A new tensor of this type%.\n", text)
  end)
end)
