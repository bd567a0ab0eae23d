-- docs/original.md against the code: every file it names exists, every row of its tables says something of both tools.
-- The operators with (*) are held to the code by spec/registry_spec.lua, its figures by spec/quant/pooled_spec.lua.
local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

describe("docs/original.md", function()
  local text = read "docs/original.md"

  it("names files that exist", function()
    local missing, n = {}, 0
    for path in text:gmatch "`([%w_/]+%.lua)`" do
      n = n + 1
      if not (exists(path) or exists("lua/espquant/" .. path)) then missing[#missing + 1] = path end
    end
    for command in text:gmatch "`scripts/test%s+%-%-spec%s+([%w_/.]+)`" do
      n = n + 1
      if not exists(command) then missing[#missing + 1] = command end
    end
    assert.same({}, missing)
    assert.is_true(n >= 8)
  end)

  it("has three filled cells in every row of its comparisons, and no row twice in a table", function()
    local faults, seen, n = {}, {}, 0
    for line in text:gmatch "[^\n]+" do
      local cells = {}
      if line:match "^## " then seen = {} end
      for cell in line:gmatch "|([^|]*)" do cells[#cells + 1] = cell:match "^%s*(.-)%s*$" end
      local is_row = #cells == 4 and not line:match "^|%-" and cells[1] ~= "" -- the fourth follows the last bar
      if is_row then
        n = n + 1
        if seen[cells[1]] or cells[2] == "" or cells[3] == "" then faults[#faults + 1] = line end
        seen[cells[1]] = true
      end
    end
    assert.same({}, faults)
    assert.is_true(n > 30)
  end)
end)
