--- The scripts of examples/import, as a user runs them, on the models that PyTorch, TensorFlow and MXNet wrote.
local core = require "espquant.core"
local process = require "spec.support.process"

local README = assert(core.read_file "examples/import/README.md")

-- nodes, before and after; what the file is refused for as it is
local SCRIPTS = {
  mnist_tf = {
    mnist_tf_dense = { before = 10, after = 6, refused = { "Softmax" } },
    mnist_tf_conv = { before = 15, after = 14, refused = { "Clip", "Softmax" } },
  },
  mnist_mxnet = {
    mnist_mxnet = { before = 16, after = 11, refused = { "BatchNormalization", "BatchNormalization", "Softmax" } },
    mnist_mxnet_ir3 = { before = 16, after = 11, refused = { "BatchNormalization", "BatchNormalization", "Softmax" } },
  },
  mnist_torch_export = {
    mnist_torch_script = { before = 14, after = 14, refused = { "Clip", "Softmax" } },
    mnist_torch_dynamo = { before = 14, after = 14, refused = { "Clip", "Softmax" } },
  },
}

-- Name of a model -> what its script printed of it.
local function reports(text)
  local found, name = {}, nil
  for line in text:gmatch "([^\n]*)\n" do
    name = line:match "^([%w_]+)%.onnx: " or name
    if name then found[name] = (found[name] or "\n") .. line .. "\n" end
  end
  return found
end

local function refused(report)
  local list = {}
  for op in report:gmatch "\n  (%u%w+)" do list[#list + 1] = op end
  return list
end

local function accuracies(report)
  local found = {}
  for name, percent in report:gmatch "\n(%w[%w -]-) +([%d.]+) %%" do found[name] = tonumber(percent) end
  return found
end

local function check_report(report, expected)
  assert.matches((": %d nodes, %d optimized\n"):format(expected.before, expected.after), report, 1, true)
  assert.matches("\nthe file cannot be quantized:\n", report, 1, true)
  assert.same(expected.refused, refused(report))
  assert.matches("\nthe optimized model can be quantized\n", report, 1, true)
  assert.is_true(tonumber(report:match "difference to the original: (%S+)") <= 1e-6, report)
  local right = accuracies(report)
  assert.is_true(right.float >= 97, report)
  assert.is_true(math.abs(right["int8 per-tensor"] - right.float) <= 1, report)
  assert.is_true(math.abs(right["int8 per-channel"] - right.float) <= 1, report)
  assert.is_true(math.abs(right["int16 per-tensor"] - right.float) <= 0.2 + 1e-9, report)
end

-- The row of the model in the README's table, whose figures another processor may move by a digit or two.
local function check_readme(name, report, expected)
  local row = assert(README:match(("\n| `%s` | (%%d[^\n]*)"):format(name)), name .. " is not in the table")
  local n = {}
  for number in row:gmatch "[%d.]+" do n[#n + 1] = tonumber(number) end
  local right = accuracies(report)
  assert.same({ expected.before, expected.after, 7 }, { n[1], n[2], #n }, row)
  for i, configuration in ipairs { "float", "int8 per-tensor", "int8 per-channel", "int16 per-tensor" } do
    assert.is_true(math.abs(right[configuration] - n[3 + i]) <= 0.2 + 1e-9, row .. report)
  end
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function check_files(folder, name)
  local graph = assert(core.onnx_read(folder .. "/" .. name .. ".onnx"))
  assert.equal(1, #graph.inputs)
  assert.equal("string", type(graph.inputs[1].shape[1]), "the batch of " .. name)
  for _, configuration in ipairs { "int8_per_tensor", "int8_per_channel", "int16_per_tensor" } do
    for _, extension in ipairs { "pickle", "cpp", "hpp" } do
      local path = ("%s/%s_%s.%s"):format(folder, name, configuration, extension)
      assert.is_true(exists(path), path)
    end
  end
end

describe("examples/import #unit", function()
  local folder
  setup(function() folder = process.folder() end)
  teardown(function() process.remove(folder) end)

  for script, models in pairs(SCRIPTS) do
    it(script .. ".lua takes its models the whole way", function()
      local path = ("%s/examples/import/%s.lua"):format(process.root, script)
      local r = process.run({ process.espquant, path, folder .. "/out" }, { cwd = folder })
      assert.same({ 0, "" }, { r.status, r.stderr })
      local found = reports(r.stdout)
      for name, expected in pairs(models) do
        check_report(assert(found[name], r.stdout), expected)
        check_readme(name, found[name], expected)
        check_files(folder .. "/out", name)
        found[name] = nil
      end
      assert.same({}, found)
    end)
  end

  it("has a Lua script for each Python script that ships models", function()
    for script, models in pairs(SCRIPTS) do
      assert.is_true(exists("examples/import/" .. script .. ".py"), script)
      for name in pairs(models) do assert.is_true(exists("examples/import/" .. name .. ".onnx"), name) end
    end
  end)
end)
