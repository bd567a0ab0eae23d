-- Generated programs: compiled, run, and every layer's integers compared with the simulation's.
local Calibrator = require "espquant.calibrator"
local codegen = require "espquant.export.codegen"
local coefficients = require "spec.support.coefficients"
local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"
local net = require "spec.support.net"
local process = require "spec.support.process"
local program = require "spec.support.program"

local folder

before_each(function() folder = process.folder() end)
after_each(function() process.remove(folder) end)

local function quiet() end

local function write(model, images, options)
  options = options or {}
  local calib = Calibrator { bits = options.bits or "int8", granularity = options.granularity, log = quiet }
  local t = calib:generate_quantization_table(model, images)
  return codegen.write(model, t, {
    bits = options.bits == "int16" and 16 or 8, granularity = options.granularity, target = options.target,
    path = folder, name = options.name or "net", images = images:slice(1, 1), log = options.log or quiet,
  })
end

local function read(name) return coefficients.read(folder .. "/" .. name) end

-- Writes, compiles, runs; all layers must be equal. Returns how many.
local function check(model, images, options)
  local ok, message, _, problems = write(model, images, options)
  assert.is_true(ok, tostring(message) .. "\n" .. table.concat(problems or {}, "\n"))
  local r = program.run(folder, options and options.target or "esp32s3")
  assert.equal(r.layers, r.equal, r.output)
  assert.equal(0, r.status, r.output)
  return r.layers
end

describe("the program of a recorded model #unit", function()
  local CASES = {
    { "lenet_100", "int8", "per-channel" },
    { "mobilenet_bn_101", "int8", "per-channel" }, -- depthwise, stride 2
    { "resnet_102", "int8", "per-tensor", "esp32" }, -- Add, AveragePool
    { "inception_104", "int8", "per-channel" }, -- Concat, pads
    { "pools_105", "int16", "per-tensor" }, -- ceil_mode
    { "reshapes_107", "int8", "per-tensor" },
    { "sub_mul_110", "int8", "per-tensor" },
    { "leaky_net_112", "int16", "per-tensor", "esp32" },
    { "prelu_net_113", "int8", "per-channel" },
    { "max_min_111", "int8", "per-tensor" },
    { "multi_out_115", "int8", "per-tensor" },
  }
  local layers = 0

  for _, case in ipairs(CASES) do
    local name, bits, granularity, target = table.unpack(case)
    it(("computes the simulation's integers: %s %s %s"):format(name, bits, granularity), function()
      local files = fixtures.open(name)
      layers = layers + check(assert(core.onnx_decode(files.bytes "model.onnx")), files.tensor "calib.npy",
        { bits = bits, granularity = granularity, target = target or "esp32s3" })
    end)
  end

  it("was compared layer by layer", function()
    assert.is_true(layers > 80, layers .. " layers")
    print(("codegen: %d programs, %d layers equal"):format(#CASES, layers))
  end)
end)

describe("the program of a small model #unit", function()
  -- name, text, images' shape without N, options
  local CASES = {
    { "Flatten and two Gemms that share a weight, one of an image, one of a row", [[
      input  x  N,3,2,2
      const  w  12,12
      Conv   x k -> c  kernel_shape=1,1
      Flatten c -> f
      Gemm   f w -> g
      Relu   g -> r
      Gemm   r w -> y  transB=1
      output y
    ]], { 3, 2, 2 }, "const  k  3,3,1,1" },
    { "a flattened image as an output, moved back to C, H, W", [[
      input  x  N,3,4,2
      Conv   x k -> c  kernel_shape=1,1
      Flatten c -> y
      output y
    ]], { 3, 4, 2 }, "const  k  3,3,1,1" },
    { "images of TensorFlow: H, W, C, moved by Transpose", [[
      input  x  N,4,5,3
      Transpose x -> t  perm=0,3,1,2
      Conv   t k -> c  kernel_shape=3,3 auto_pad=SAME_LOWER strides=2,2
      Transpose c -> n  perm=0,2,3,1
      ints   shape 1,-1
      Reshape n shape -> f
      Gemm   f w -> y
      output y
    ]], { 4, 5, 3 }, "const  k  17,3,3,3\nconst  w  102,5" },
    { "constants as operands, also the first one, spread and in full", [[
      input  x  N,3,4,4
      const  b  3,1,1
      const  s  1
      const  full  3,4,4
      Conv   x k -> c  kernel_shape=1,1
      Add    c b -> a
      Sub    s a -> d
      Mul    d full -> m
      Mul    m c -> y
      output y
    ]], { 3, 4, 4 }, "const  k  3,3,1,1" },
    { "a row: Conv, PRelu of one slope, MaxPool, Concat", [[
      input  x  N,3,12
      const  s  1
      Conv   x k -> c  kernel_shape=3, pads=1,1
      PRelu  c s -> p
      MaxPool p -> m  kernel_shape=2, strides=2, ceil_mode=1
      MaxPool c -> n  kernel_shape=2, strides=2,
      Concat m n -> y  axis=1
      output y
    ]], { 3, 12 }, "const  k  4,3,3" },
    { "Pad, activations of an input, and Max and Min of one exponent", [[
      input  x  N,2,4,4
      ints   pads  0,0,1,2,0,0,0,1
      LeakyRelu x -> l  alpha=0.3
      Relu   x -> r
      Max    l r -> a
      Min    a x -> i
      Pad    i pads -> p
      Conv   p k -> y  kernel_shape=3,3 dilations=2,2
      output y
    ]], { 2, 4, 4 }, "const  k  18,2,3,3" },
    { "Max and Min of several exponents, with constants and rows too", [[
      input  x  N,2,4,4
      const  zero  1
      const  six  1
      Conv   x k -> c  kernel_shape=1,1
      Max    c zero -> a
      Min    a six -> i
      Max    i x -> m
      Flatten m -> f
      Flatten c -> g
      Min    f g -> y
      output y
    ]], { 2, 4, 4 }, "const  k  2,2,1,1" },
    { "a matrix product over the last axis, and Unsqueeze", [[
      input  x  N,4,6
      ints   one  1
      MatMul x w -> m
      Relu   m -> r
      Unsqueeze r one -> u
      Conv   u k -> y  kernel_shape=2,2
      output y
    ]], { 4, 6 }, "const  w  6,5\nconst  k  3,1,2,2" },
  }

  local CONFIGURATIONS = { { "int8", "per-channel" }, { "int16", "per-tensor" }, { "int8", "per-tensor" } }

  for i, case in ipairs(CASES) do
    local name, text, shape, constants = table.unpack(case)
    local bits, granularity = table.unpack(CONFIGURATIONS[i % #CONFIGURATIONS + 1])
    it(("computes the simulation's integers: %s, %s %s"):format(name, bits, granularity), function()
      local model = net.model((text:gsub("(input[^\n]*\n)", "%1" .. constants .. "\n", 1)))
      local images = net.tensor({ 4, table.unpack(shape) }, 5)
      assert.is_true(check(model, images, { bits = bits, granularity = granularity }) > 0)
    end)
  end

  it("is told apart from one that is wrong", function()
    local model = net.model "input x N,2,3,3\nconst k 3,2,1,1\nConv x k -> y kernel_shape=1,1\noutput y"
    assert.is_true(write(model, net.tensor({ 1, 2, 3, 3 }, 3)))
    local path = folder .. "/net_test.hpp"
    local text = coefficients.read(path)
    process.write_file(path, (text:gsub('"Conv_y", 27, 0x%x+u', '"Conv_y", 27, 0u')))
    local r = program.run(folder, "esp32s3")
    assert.same({ 0, 1, 1 }, { r.equal, r.layers, r.status })
    assert.matches("DIFFERENT    0 Conv_y: 27 elements", r.output)
  end)
end)

describe("codegen", function()
  local NET = [[
    input  x  N,2,4,4
    const  k  3,2,3,3
    const  w  48,2
    Conv   x k -> c  kernel_shape=3,3 pads=1,1,1,1
    Relu   c -> r
    Flatten r -> f
    Gemm   f w -> y
    output y
  ]]

  it("frees each tensor after its last reader, and writes the same bytes again", function()
    local images = net.tensor({ 2, 2, 4, 4 }, 3)
    assert.is_true(write(net.model(NET), images))
    local text = read "net_model.hpp"
    assert.equal([[
        this->conv_c_layer.call(input);
        input.free_element();
        this->gemm_y_layer.call(this->conv_c_layer.get_output());
        this->conv_c_layer.get_output().free_element();
]], (text:match "void call%([^\n]*\n    {\n(.-)    }\n":gsub("        if %(this%->observer[^\n]*\n", "")))
    assert.matches("class net_model : public dl::layer::Model<int8_t>", text, 1, true)
    assert.same({
      "CMakeLists.txt", "app_main.cpp", "net_coefficient.cpp", "net_coefficient.hpp", "net_model.hpp", "net_test.hpp",
    }, coefficients.entries(folder))
    local before = {}
    for _, name in ipairs(coefficients.entries(folder)) do before[name] = read(name) end
    assert.is_true(write(net.model(NET), images))
    for name, bytes in pairs(before) do assert.is_true(bytes == read(name), name) end
  end)

  it("keeps hostile names out of the text #unit", function()
    local model = net.model(NET)
    local names = { 'a"; system("x"); "', "*/ %n ??/", "line\nbreak \\", "\xFF\xC3\xA9" }
    for i, node in ipairs(model:node_list()) do
      local again = { op_type = node.op_type, name = names[i], inputs = node.inputs, outputs = 1, attrs = node:attrs() }
      again.before = node
      local new = model:add_node(again)
      model:replace(node:output(1), new:output(1))
      node:remove()
    end
    assert(model:infer_shapes())
    check(model, net.tensor({ 2, 2, 4, 4 }, 3), { name = 'class"; #error' })
    local text = read "class____error_model.hpp"
    assert.matches([["a\042; system(\042x\042); \042"]], text, 1, true)
    assert.is_nil(text:find("[^\n\32-\126]"))
  end)

  it("warns of subtractions whose exponent the runtime replaces", function()
    local log = {}
    local model = net.model "input x N,2,3,3\nconst k 2,2,1,1\nConv x k -> c kernel_shape=1,1\nSub x c -> y\noutput y"
    local options = { log = function(line) log[#log + 1] = line end }
    assert.is_true(write(model, net.tensor({ 2, 2, 3, 3 }, 3), options))
    assert.matches("warning: .*'Sub_y': Sub2D of ESP%-DL v1.1 .* exponent %-7 in place of %-%d", log[1])
  end)

  it("names everything that the runtime has no layer for, and writes nothing", function()
    local model = net.model [[
      input  x  N,4,4,4
      const  k  4,2,1,1
      const  s  1,1,1
      ints   starts 0
      ints   ends 1
      ints   axes 1
      Conv   x k -> g  group=2 kernel_shape=1,1
      Slice  g starts ends axes -> s1
      GlobalMaxPool x -> p
      Add    x p -> a
      AveragePool x -> v  kernel_shape=2,2 pads=1,1,1,1 count_include_pad=1
      Transpose x -> t  perm=1,0,2,3
      output s1 a v
    ]]
    local ok, message, code, problems = write(model, net.tensor({ 1, 4, 4, 4 }, 3))
    assert.same({ nil, "unsupported" }, { ok, code })
    assert.matches("no program can be written: .*%(and %d more%)", message)
    local text = table.concat(problems, "\n")
    assert.matches("'Conv_g': ESP%-DL v1 has no convolution of 2 groups with 4 input and 4 output channels", text)
    assert.matches("'Add_a': 'p' is spread over its other operand", text)
    assert.matches("'AveragePool_v': its pads count as zeros", text)
    assert.same({}, coefficients.entries(folder))
  end)

  it("refuses what is no program: inputs, images, folders, tables of another width", function()
    local two = net.model "input x N,2\ninput z N,2\nAdd x z -> y\noutput y"
    local t = Calibrator { bits = "int8", log = quiet }
    local model = net.model(NET)
    local images = net.tensor({ 1, 2, 4, 4 }, 3)
    local entries = t:generate_quantization_table(model, images)
    local both = t:generate_quantization_table(two, { x = net.tensor({ 1, 2 }, 3), z = net.tensor({ 1, 2 }, 4) })
    local function refused(pattern, code, m, table_, options)
      local all = { bits = 8, path = folder, name = "net", log = quiet }
      for key, value in pairs(options or {}) do all[key] = value end
      local ok, message, got = codegen.write(m, table_, all)
      assert.same({ nil, code }, { ok, got })
      assert.matches(pattern, message)
      assert.same({}, coefficients.entries(folder))
    end
    refused("the model has 2 inputs", "unsupported", two, both)
    local bare = net.model "input x N,2\nIdentity x -> y\noutput y"
    refused("output 'y': no layer computes it", "unsupported", bare,
      t:generate_quantization_table(bare, net.tensor({ 1, 2 }, 3)))
    refused("the image has the shape %(1, 2, 4, 5%)", "format", model, entries, { images = net.tensor { 1, 2, 4, 5 } })
    refused("cannot write into folder", "io", model, entries, { path = folder .. "/missing" })
    refused("no target 'esp32p4'", "unsupported", model, entries, { target = "esp32p4" })
    refused("no program can be written", "format", model, require "espquant.qtable".new {})
    assert.has_error(function() codegen.write(model, entries, { bits = 4 }) end)
  end)

  it("is a command, for the digits of the examples #unit", function()
    local d, espquant = process.root .. "/examples/data/mnist/", process.espquant
    local function run(...)
      local r = process.run({ espquant, ... }, { cwd = folder })
      assert.equal(0, r.status, r.stderr)
      return r.stdout
    end
    os.execute(("mkdir '%s/program'"):format(folder))
    local data = { "-d", d .. "calib-images-idx3-ubyte.gz", "--scale", "1/256" }
    run("optimize", process.root .. "/examples/mnist.onnx", "-o", "digits.onnx")
    run("calibrate", "digits.onnx", "--granularity", "per-channel", "-o", "digits.json", table.unpack(data))
    local out = run("codegen", "digits.onnx", "-t", "digits.json", "-o", "program", table.unpack(data))
    assert.matches("layers for esp32s3", out)
    local r = program.run(folder .. "/program", "esp32s3")
    assert.is_true(r.layers >= 5, r.output)
    assert.equal(r.layers, r.equal, r.output)
    assert.equal(2, process.run({ espquant, "codegen", "x.onnx", "-t", "x.json", "--target", "esp8266" }).status)
  end)
end)
