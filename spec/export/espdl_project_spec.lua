--- The ESP-IDF project around an .espdl file: compiled and run against a stub of the runtime.

local core = require "espquant.core"
local espquant = require "espquant"
local process = require "spec.support.process"

local STUB = process.root .. "/spec/codegen/stub"

describe("espquant codegen --runtime v3 #unit", function()
  local folder, table_path, images

  setup(function()
    folder = process.folder()
    local model = assert(espquant.onnx.load "examples/mnist.onnx")
    model = espquant.optimizer.optimize(model)
    assert(espquant.onnx.save(model, folder .. "/digits.onnx"))
    images = process.root .. "/examples/data/mnist/calib-images-idx3-ubyte.gz"
    table_path = folder .. "/t.json"
    espquant.Calibrator { bits = "int8", runtime = "v3", target = "esp32s3", log = function() end }
      :generate_quantization_table(model, assert(espquant.dataset(images, { scale = 1 / 256 })), table_path)
  end)
  teardown(function() process.remove(folder) end)

  local function codegen(name, ...)
    local path = folder .. "/" .. name
    assert(core.make_folder(path))
    return path, process.run { process.espquant, "codegen", folder .. "/digits.onnx", "-t", table_path, "-o", path,
      ... }
  end

  local function read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
  end

  for _, storage in ipairs { "rodata", "partition" } do
    it("writes a program with the model in " .. storage, function()
      local path, r = codegen(storage, "-d", images, "--scale", "1/256", "--storage", storage)
      assert.equal(0, r.status, r.stderr)
      local entry = assert(espquant.espdl.load(path .. "/main/digits.espdl"))[1]
      assert.equal(1, #espquant.espdl.facts(entry).test_outputs)
      assert.matches("digits.espdl", read(path .. "/main/CMakeLists.txt"), 1, true)
      assert.matches("espressif/esp-dl", read(path .. "/main/idf_component.yml"), 1, true)
      if storage == "partition" then
        local size = tonumber(read(path .. "/partitions.csv"):match "model, data, spiffs, , (0x%x+)")
        assert.is_true(size >= #read(path .. "/main/digits.espdl") and size % 65536 == 0)
      end
      -- the program, with a main of ours and bytes under the model's symbol
      local more = "\nint main() { app_main(); }\n"
      assert(core.write_file(path .. "/main.cpp", read(path .. "/main/main.cpp") .. more))
      assert(core.write_file(path .. "/data.s",
        ".globl _binary_digits_espdl_start\n_binary_digits_espdl_start: .byte 0\n"
        .. '.section .note.GNU-stack,"",@progbits\n'))
      r = process.run { "g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-I" .. STUB, path .. "/main.cpp",
        path .. "/data.s", "-o", path .. "/program" }
      assert.equal(0, r.status, r.stderr)
      assert.equal("output: class 2\nthe test in digits.espdl passed\n", process.run({ path .. "/program" }).stdout)
      r = process.run({ path .. "/program" }, { env = { ESPQ_STUB_FAILS = "1" } })
      assert.equal("the test in digits.espdl failed\n", r.stdout)
    end)
  end

  it("wants data for the test, and no options of v1", function()
    local _, r = codegen "none"
    assert.equal(2, r.status)
    assert.matches("--data is missing", r.stderr, 1, true)
  end)
end)
