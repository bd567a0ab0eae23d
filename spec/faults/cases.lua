--- What is run with faults: every command, on files that are made in the current folder. A case is
---
---     { "calibrate v3", { "calibrate", "m.onnx", ... }, out = { "m.json" } }
---
--- or has a function that returns nil, message, code, or raises, in place of the command's words; with
---
---     out     the files it writes
---     fresh   files that are removed before each run
---     status  the exit code (default 0)
---     slow    fewer faults: one in so many
---
--- Later cases read what earlier ones have written, so they are run once in order first.
---
---     local list = cases.small(root)     -- a model of six nodes; root: the checkout
---     local list = cases.mnist(root)

local Calibrator = require "espquant.calibrator"
local core = require "espquant.core"
local dataset = require "espquant.dataset"
local errors = require "espquant.errors"
local Evaluator = require "espquant.evaluator"
local json = require "espquant.json"
local npy = require "espquant.npy"
local onnx = require "espquant.onnx"
local npz = require "espquant.codec.npz_writer"
local wire = require "spec.support.wire"

local M = {}

local function put(path, bytes)
  assert(core.write_file(path, bytes))
end

local function copy(from, to)
  put(to, assert(core.read_file(from)))
end

local function numbers(count, scale)
  local list = {}
  for i = 1, count do list[i] = ((i * 37 + i // 5) % 101 - 50) * scale end
  return list
end

local function tensor(scale, ...)
  local shape, count = { ... }, 1
  for _, d in ipairs(shape) do count = count * d end
  return core.tensor_from(numbers(count, scale), "float32"):reshape(shape)
end

-- x -> Conv -> BatchNormalization -> Relu -> MaxPool -> Flatten -> Gemm -> y
local function write_model(path)
  local g = core.graph { name = "m", opset = 13 }
  local function node(op_type, inputs, attrs)
    return g:add_node { op_type = op_type, name = op_type:lower(), inputs = inputs, outputs = { op_type .. "_out" },
      attrs = attrs }:output(1)
  end
  local function constant(name, t) return g:add_constant(name, t) end
  local ones = core.tensor({ 8 }, "float32")
  ones:fill(1)
  local x = g:add_input("x", "float32", { "N", 1, 8, 8 })
  x = node("Conv", { x, constant("w", tensor(0.01, 8, 1, 3, 3)), constant("b", tensor(0.1, 8)) },
    { kernel_shape = { 3, 3 }, pads = { 1, 1, 1, 1 } })
  x = node("BatchNormalization", { x, constant("scale", ones), constant("bias", tensor(0.01, 8)),
    constant("mean", tensor(0.01, 8)), constant("var", ones:copy()) })
  x = node("MaxPool", { node("Relu", { x }) }, { kernel_shape = { 2, 2 }, strides = { 2, 2 } })
  x = node("Flatten", { x })
  g:add_output(node("Gemm", { x, constant("w2", tensor(0.01, 128, 4)), constant("b2", tensor(0.1, 4)) }))
  assert(core.onnx_write(g, path))
end

local function join(...)
  local words = {}
  for _, word in ipairs { ... } do
    for _, each in ipairs(type(word) == "table" and word or { word }) do words[#words + 1] = each end
  end
  return words
end

-- The commands that lead from the float model to files for a chip, for one model, its data and its labels.
local function pipeline(model, data, labels)
  local v3 = { "--runtime", "v3", "--target", "esp32s3" }
  local function on(command, ...) return join(command, "o.onnx", ...) end
  return {
    { "optimize", { "optimize", model, "-o", "o.onnx" }, out = { "o.onnx" } },
    { "calibrate v1 minmax", on("calibrate", data, "--method", "minmax", "-o", "t.json"), out = { "t.json" } },
    { "calibrate v1 entropy", on("calibrate", data, "--method", "entropy", "--granularity", "per-tensor", "-o",
      "e.pickle"), out = { "e.pickle" } },
    { "calibrate v3", on("calibrate", data, v3, "-o", "v3.json"), out = { "v3.json" } },
    { "stat minmax", on("stat", data, "--shard", "1/1", "-o", "m.stat"), out = { "m.stat" } },
    { "merge ranges", { "merge", "m.stat", "-o", "mm.json" }, out = { "mm.json" } },
    { "stat ranges", on("stat", data, v3, "--shard", "1/1", "-o", "a.stat"), out = { "a.stat" } },
    { "merge first round", { "merge", "a.stat", "-o", "r.stat" }, out = { "r.stat" } },
    { "stat histograms", on("stat", data, v3, "--shard", "1/1", "--ranges", "r.stat", "-o", "b.stat"),
      out = { "b.stat" } },
    { "merge second round", { "merge", "b.stat", "-o", "mv3.json" }, out = { "mv3.json" } },
    { "evaluate v1", on("evaluate", "-t", "t.json", data, labels, "--layers") },
    { "evaluate part", on("evaluate", "-t", "t.json", data, labels, "--shard", "1/1", "-o", "e.stat"),
      fresh = { "e.stat" } }, -- with seconds in it: no two are the same
    { "estimate", on("estimate", "-t", "v3.json", v3, "--plan") },
    { "diff", { "diff", "t.json", "mm.json" } },
    { "evaluate original", on("evaluate", "-t", "t.json", data, labels, "--mode", "original") },
    { "evaluate v3", on("evaluate", "-t", "v3.json", data, labels, v3[1], v3[2]) },
    { "run", on("run", data, "-t", "t.json", "-o", "y.npy"), out = { "y.npy" } },
    { "export v1", on("export", "-t", "t.json", "-o", ".", "--info"),
      out = { "coefficient.cpp", "coefficient.hpp" } },
    { "export v3", on("export", "-t", "v3.json", v3, "-o", "m.espdl", data), out = { "m.espdl" } },
    { "codegen v1", on("codegen", "-t", "t.json", "--name", "net"), out = { "app_main.cpp", "CMakeLists.txt",
      "net_coefficient.cpp", "net_coefficient.hpp", "net_model.hpp", "net_test.hpp" } },
    { "codegen v3", on("codegen", "-t", "v3.json", v3, "--name", "net", "-o", "project", data), out = {
      "project/CMakeLists.txt", "project/main/CMakeLists.txt", "project/main/idf_component.yml",
      "project/main/main.cpp", "project/main/net.espdl" } },
    { "pack", { "pack", "m.espdl", "project/main/net.espdl", "-o", "p.espdl" }, out = { "p.espdl" } },
    { "info espdl", { "info", "m.espdl", "--nodes", "--json" } },
    { "table", { "table", "t.json", "-o", "t.pickle" }, out = { "t.pickle" } },
    { "auto", on("auto", data, v3, "-g", "agreement >= 0.5", "-o", "a.json", "-t", "at.json", "--state", "s.json"),
      out = { "a.json", "at.json" }, fresh = { "s.json" }, slow = 5 },
    { "report", on("report", data, labels, "-o", "r.html"), out = { "r.html" }, slow = 5 },
  }
end

local function append(list, more)
  for _, case in ipairs(more) do list[#list + 1] = case end
  return list
end

-- The layer of the `convert` command.
local function write_layer(folder)
  assert(core.make_folder(folder))
  put(folder .. "/config.json", json.encode { a = { operation = "conv2d", feature_type = "s8", filter_exponent = -7,
    bias = true, output_exponent = -3, input_exponent = -4, activation = { type = "ReLU" } } })
  assert(npy.save(folder .. "/a_filter.npy", tensor(0.01, 3, 3, 2, 4)))
  assert(npy.save(folder .. "/a_bias.npy", tensor(0.01, 4)))
end

-- y = x + c, where c lies in a file beside the model, with its checksum. Returns the model's path.
local function write_external()
  local bytes = string.pack("<ffff", 1, 2, 3, 4)
  local hash = "c26df9440df999ae7d765499acd5ca855709702f"
  put("c.data", bytes)
  local function entry(key, value) return wire.field(13, wire.field(1, key) .. wire.field(2, value)) end
  local c = wire.field(1, 4) .. wire.field(2, 1) .. wire.field(8, "c") .. entry("location", "c.data")
    .. entry("checksum", hash) .. wire.field(14, 1)
  put("external.onnx", wire.model { nodes = { wire.node("Add", { "x", "c" }, { "y" }) }, initializers = { c },
    inputs = { wire.port("x", 1, { 4 }) }, outputs = { wire.port "y" } })
  return "external.onnx"
end

-- Formats of data that the pipeline does not have.
local function formats(root)
  local images = root .. "/spec/fixtures/images/"
  assert(core.make_folder "pictures")
  for _, name in ipairs { "baseline.jpg", "interlaced.png", "progressive.jpg", "palette.png" } do
    copy(images .. name, "pictures/" .. name)
  end
  local x = tensor(0.01, 4, 1, 8, 8)
  put("x.npz", npz.encode { { name = "x", dtype = x.dtype, shape = x.shape, data = x:tobytes() } })
  copy(root .. "/spec/fixtures/pickle/wide_per_channel.pickle", "n.pickle")
  copy(root .. "/spec/fixtures/codec/deflated.npz", "d.npz")
  copy(root .. "/spec/fixtures/codec/idx3.gz", "i.gz")
  local list = {
    { "info model", { "info", "m.onnx", "--nodes" } },
    { "check", { "check", "m.onnx" }, status = 1 },
    { "info external data", { "info", write_external() } },
    { "run pictures", { "run", "m.onnx", "-d", "pictures", "--channel-order", "gray", "-o", "y.npz" },
      out = { "y.npz" } },
    { "convert", { "convert", "-t", "esp32s3", "-i", "layer", "-n", "layer", "-o", "." },
      out = { "layer.cpp", "layer.hpp" } },
  }
  for _, name in ipairs { "x.npz", "d.npz", "n.pickle", "i.gz", "l.csv" } do
    list[#list + 1] = { "info " .. name, { "info", name } }
  end
  return list
end

--- Cases on a small model.
function M.small(root)
  write_model "m.onnx"
  write_layer "layer"
  assert(core.make_folder "project")
  assert(npy.save("x.npy", tensor(0.01, 4, 1, 8, 8)))
  put("l.csv", "0\n1\n2\n3\n")
  return append(formats(root), pipeline("m.onnx", { "-d", "x.npy" }, { "-l", "l.csv" }))
end

--- Cases on the example's model and 40 of its digits.
function M.mnist(root)
  local digits = root .. "/examples/data/mnist/test-"
  local images = assert(dataset.open(digits .. "images-idx3-ubyte.gz")):raw():slice(1, 40)
  local labels = assert(dataset.open(digits .. "labels-idx1-ubyte.gz")):raw():slice(1, 40):totable()
  assert(core.make_folder "project")
  assert(npy.save("x.npy", images))
  put("l.csv", table.concat(labels, "\n"))
  copy(root .. "/examples/mnist.onnx", "m.onnx")
  return pipeline("m.onnx", { "-d", "x.npy", "--scale", "1/256" }, { "-l", "l.csv" })
end

-- Whether a case of ours or of ONNX works without faults: else it is none for us.
local function keep_working(list)
  local kept = {}
  for _, case in ipairs(list) do
    if pcall(case[2]) then kept[#kept + 1] = case end
  end
  return kept
end

--- Each operator: ONNX's own tests of nodes, as far as they work here, in both executors; and one-operator models in
--- the integers of ESP-DL v3.
function M.operators()
  local backend = require "spec.support.onnx_backend"
  local v3 = require "spec.support.v3_cases"
  local list = {}
  for _, node in ipairs(backend.cases "node") do
    list[#list + 1] = { node.name, function()
      local model = errors.check(onnx.load(node.path .. "/model.onnx"))
      local inputs = errors.check(backend.inputs(node))
      errors.check(core.evaluate(model, inputs))
      return errors.check(model:run(inputs, { threads = 1 })) ~= nil
    end }
  end
  for i, case in ipairs(v3.LIST) do
    list[#list + 1] = { ("v3 %d %s"):format(i, case[1]), function()
      local model = v3.model(case)
      local calib = Calibrator { bits = "int8", runtime = "v3", threads = 1 }
      local images, by_name = v3.data(model)
      local t = errors.check(calib:measure_table(model, by_name or images))
      local eva = Evaluator { bits = "int8", runtime = "v3", threads = 1 }
      eva:generate_quantized_model(model, t)
      return eva:evaluate_quantized_model(images, true) ~= nil
    end }
  end
  return keep_working(list)
end

return M
