--- ONNX's own test models (Debian's libonnx-testdata): every model whose operators all have a row here gives the
--- recorded outputs, integers exactly, floats within ONNX's bounds; except the few that are named with a reason. #unit

local backend = require "spec.support.onnx_backend"
local exceptions = require "spec.support.onnx_exceptions"

describe("ONNX's backend tests #unit", function()
  for _, suite in ipairs(backend.SUITES) do
    it("pass: " .. suite, function()
      local result, wrong, named = backend.run_suite(suite), {}, {}
      for _, entry in ipairs(result.problems) do
        local name = suite .. "/" .. entry[1].name
        named[name] = true
        if not exceptions[name] then wrong[#wrong + 1] = ("%s: %s"):format(name, entry[2]) end
      end
      for name in pairs(exceptions) do
        if name:find(suite .. "/", 1, true) == 1 and not named[name] then
          wrong[#wrong + 1] = name .. " passes, but is named as an exception"
        end
      end
      print(("  %s: %d of %d models of our operators pass, %d named exceptions; %d models use other operators"):format(
        suite, result.passed, result.total, #result.problems, result.others))
      assert.is_true(result.total > 0, "no test data in " .. backend.root)
      assert.equal("", table.concat(wrong, "\n"))
    end)
  end
end)
