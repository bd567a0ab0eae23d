-- Every operator of ESP-DL v3 from a float model to a file: prepared, calibrated by range, simulated, near float, and
-- the same integers once more from the exported file.
local core = require "espquant.core"
local espdl_graph = require "espquant.espdl_graph"
local espdl_test = require "espquant.espdl_test"
local espquant = require "espquant"
local cases = require "spec.support.v3_cases"

-- The file's own test, run on what is read of it.
local function check_file(calib, graph, t, data, target)
  local path = os.tmpname()
  calib:export_espdl(graph, t, path, { test_input = data })
  local entry = assert(espquant.espdl.load(path))[1]
  for _, tensor in ipairs(assert(espdl_test(assert(espdl_graph.read(entry, target)), entry))) do
    assert.equal(0, tensor.different, tensor.name)
  end
  os.remove(path)
end

describe("an operator of ESP-DL v3", function()
  for k, case in ipairs(cases.LIST) do
    for _, bits in ipairs { "int8", "int16" } do
      if not case.bits or case.bits == bits then
        it(("%s (%d) is quantized to %s"):format(case[1], k, bits), function()
          local graph = cases.model(case)
          local target = k % 2 == 0 and "esp32p4" or "c"
          local data, by_name = cases.data(graph)
          local calib = espquant.Calibrator { bits = bits, runtime = "v3", target = target, observer = "minmax",
            weight_observer = "minmax", log = function() end }
          local t = assert(calib:measure_table(graph, by_name or data))
          local eva = espquant.Evaluator { bits = bits, runtime = "v3", chip = target }
          eva:generate_quantized_model(graph, t)
          local exec <close> = assert(core.executor(graph, { threads = 1 }))
          local want, got, names = exec:run(data), eva:evaluate_quantized_model(data, true)
          for i, name in ipairs(names) do
            local e = want[i].dtype == "bool" and 99 or t:exponent(name) or -7 -- integers compare otherwise at a limit
            local steps = (want[i]:astype "float32" - got[i]:astype "float32"):maxabs() / 2.0 ^ e
            local is_table = bits == "int16" and core.op(case[1]).v3.lut16 -- one entry for 32 integers
            assert.is_true(steps <= (case.lsb or is_table and 20 or 2.5), ("%s is off by %g steps"):format(name, steps))
          end
          if case.file ~= false then check_file(calib, graph, t, by_name or data, target) end
        end)
      end
    end
  end
end)
