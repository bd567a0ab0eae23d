--- What the specs of the coefficient exporters share: a run into a folder of its own, and small models.
---
---     local run = coefficients.new()
---     before_each(run.open) after_each(run.close)
---     local r = run.export(model, table, { bits = 16 })      -- r.ok, r.message, r.log, r.cpp, r.hpp
local core = require "espquant.core"
local cpp = require "espquant.export.cpp"
local process = require "spec.support.process"
local quant = require "espquant.quant"

local M = {}

--- The bytes of a file, or nil.
function M.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

--- The names in a folder, sorted.
function M.entries(folder)
  local pipe = assert(io.popen("ls -A '" .. folder .. "' | sort"))
  local list = {}
  for name in pipe:lines() do list[#list + 1] = name end
  pipe:close()
  return list
end

--- An exporter into `folder`, a new one for each test.
function M.new()
  local run = {}
  function run.open() run.folder = process.folder() end
  function run.close() process.remove(run.folder) end
  function run.read(name) return M.read(run.folder .. "/" .. name) end
  function run.entries() return M.entries(run.folder) end

  function run.export(model, t, options)
    local r = { log = {} }
    local all = {
      bits = 8, granularity = "per-tensor", target = "esp32s3", path = run.folder, name = "coefficient",
      log = function(line) r.log[#r.log + 1] = line end,
    }
    for key, value in pairs(options or {}) do all[key] = value end
    r.ok, r.message, r.code, r.problems = cpp.write(model, t, all)
    r.cpp, r.hpp = run.read(all.name .. ".cpp"), run.read(all.name .. ".hpp")
    return r
  end

  return run
end

--- A graph with input "x" of the given shape; build(g, value) returns the output value.
function M.model_of(shape, build)
  local g = core.graph { name = "test", opset = 13, ir_version = 7 }
  g:add_output(build(g, g:add_input("x", "float32", shape)))
  assert(g:infer_shapes())
  return g
end

--- A float32 constant.
function M.constant(g, name, values, shape)
  return g:add_constant(name, core.tensor_from(values, "float32", shape))
end

--- n numbers in [-1, 1].
function M.ramp(n)
  local list = {}
  for i = 1, n do list[i] = (i * 7 % 23 - 11) / 16 end
  return list
end

--- A node of one output; returns the output value.
function M.node(g, op_type, name, inputs, output, attrs)
  return g:add_node { op_type = op_type, name = name, inputs = inputs, outputs = { output }, attrs = attrs }:output(1)
end

--- A pointwise Conv that writes `group` and `dilations`.
function M.conv(g, x, name, output, channels_in, channels_out)
  local w = M.constant(g, output .. ".w", M.ramp(channels_in * channels_out), { channels_out, channels_in, 1, 1 })
  return M.node(g, "Conv", name, { x, w }, output, { group = 1, dilations = { 1, 1 } })
end

--- The policy's table with every activation at 2^-4.
function M.table_of(model, options)
  options = options or {}
  return assert(quant.v1.build(model, {
    bits = options.bits or 8, granularity = options.granularity or "per-tensor", mode = options.mode or "chip",
  }, function(names)
    local found = {}
    for _, name in ipairs(names) do found[name] = -4 end
    return found
  end))
end

return M
