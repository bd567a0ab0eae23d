--- ONNX's own test models (Debian's libonnx-testdata): every model whose operators all have a row here gives the
--- recorded outputs, integers exactly, floats within ONNX's bounds; except the few that are named with a reason. #unit

local backend = require "spec.support.onnx_backend"
local core = require "espquant.core"
local exceptions = require "spec.support.onnx_exceptions"

local rows = { Constant = true }
for _, op in ipairs(core.ops()) do rows[op.name] = true end

local function in_scope(case)
  for op in pairs(backend.operators(case)) do
    if not rows[op] then return false end
  end
  return true
end

describe("ONNX's backend tests #unit", function()
  for _, suite in ipairs { "node", "pytorch-converted", "pytorch-operator", "simple" } do
    it("pass: " .. suite, function()
      local passed, total, named, wrong = 0, 0, 0, {}
      local cases = backend.cases(suite)
      for _, case in ipairs(cases) do
        if in_scope(case) then
          local problem, reason = backend.run(case), exceptions[suite .. "/" .. case.name]
          total = total + 1
          if not problem then passed = passed + 1 end
          if problem and reason then named = named + 1 end
          if problem and not reason then wrong[#wrong + 1] = ("%s: %s"):format(case.name, problem) end
          if not problem and reason then wrong[#wrong + 1] = case.name .. " passes, but is named as an exception" end
        end
      end
      print(("  %s: %d of %d models of our operators pass, %d named exceptions; %d models use other operators"):format(
        suite, passed, total, named, #cases - total))
      assert.is_true(total > 0, "no test data in " .. backend.root)
      assert.equal("", table.concat(wrong, "\n"))
    end)
  end
end)
