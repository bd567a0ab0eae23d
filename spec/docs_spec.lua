-- The API pages: every function of a public module has its text, and LDoc makes pages of all of them.
local process = require "spec.support.process"

local function public_modules()
  local list = {}
  local file <close> = assert(io.open "scripts/docs.lua")
  for name in file:read "a":match "PUBLIC = {(.-)}":gmatch '"([^"]+)"' do
    list[#list + 1] = "lua/espquant/" .. name .. ".lua"
  end
  return list
end

describe("the API pages", function()
  it("have a text for every function that a public module gives away", function()
    local missing, found = {}, 0
    for _, path in ipairs(public_modules()) do
      local before = ""
      for line in io.lines(path) do
        local name = line:match "^function (M[.:][%a_]+)%(" or line:match "^function (%u[%w]+:%a[%w_]*)%("
        if name and not name:match "[.:]__" then
          found = found + 1
          if not before:match "^%-%-" then missing[#missing + 1] = path .. " " .. name end
        end
        before = line
      end
    end
    assert.same({}, missing)
    assert.is_true(found > 100, found .. " functions")
  end)

  it("are made by LDoc, a page for each module #unit", function()
    if process.run({ "sh", "-c", "command -v ldoc" }, {}).status ~= 0 then return pending "there is no ldoc here" end
    local folder = process.folder()
    local r = process.run({ process.root .. "/scripts/docs", folder }, {})
    assert.equal(0, r.status, r.stderr)
    local pages = process.run({ "sh", "-c", "ls " .. folder .. "/modules | wc -l" }, {}).stdout
    local core = io.open(folder .. "/modules/espquant.core.html"):read "a"
    process.remove(folder)
    assert.equal(#public_modules() + 1, tonumber(pages))
    for name in pairs(require "espquant.doc") do assert.is_truthy(core:find(name, 1, true), name) end
  end)
end)
