-- The tutorials' commands, block by block in one shell, as a reader would type them.
local process = require "spec.support.process"

local function commands(path)
  local file <close> = assert(io.open(path))
  local blocks = {}
  for block in file:read "a":gmatch "\n```sh\n(.-)```" do blocks[#blocks + 1] = block end
  return blocks
end

describe("the tutorial #unit", function()
  for name, least in pairs { ["tutorial-v1"] = 7, ["tutorial-v3"] = 9 } do
    it(("%s runs from beginning to end"):format(name), function()
      local blocks, folder = commands("docs/" .. name .. ".md"), process.folder()
      local script = table.concat(blocks, "\n")
      -- A checkout of its own, so that nothing is written into this one.
      local prepare = ("mkdir build; ln -s '%s/examples' examples; ln -s '%s/bin' build/bin"):format(process.root,
        process.build)
      local r = process.run({ "bash", "-ec", prepare .. "\n" .. script }, { cwd = folder })
      process.remove(folder)
      assert.equal(0, r.status, r.stdout:sub(-2000) .. r.stderr)
      assert.is_true(select(2, script:gsub("\nespquant ", "")) >= least)
    end)
  end
end)
