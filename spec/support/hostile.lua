--- Hostile models of one node, and what each command says of a model.
---
---     local h = require "spec.support.hostile"
---     local steps = h.measure(folder, { h.one("Slice", { "x", "s" }, { h.ints("s", 1) }) })[1]
---     steps.info.code, steps.info.text
local assert = require "luassert"
local process = require "spec.support.process"
local w = require "spec.support.wire"

local M = { FLOAT = 1, INT64 = 7, BOOL = 9 }
local SECONDS, BYTES = 1, 64 << 20 -- of the processor, and above what the process had before

local FLOAT, INT64 = M.FLOAT, M.INT64
M.X, M.Y = { w.port("x", FLOAT, { 1, 4 }) }, { w.port "y" }
M.PICTURE = { w.port("x", FLOAT, { 1, 2, 4, 4 }) }

--- A constant: a list of integers, one integer, floats of a shape.
function M.ints(name, ...)
  local n = select("#", ...)
  return w.tensor(name, INT64, { n }, ("<" .. ("i8"):rep(n)):pack(...))
end

function M.int(name, x) return w.tensor(name, INT64, {}, ("<i8"):pack(x)) end

function M.floats(name, dims, ...)
  return w.tensor(name, FLOAT, dims, ("<" .. ("f"):rep(select("#", ...))):pack(...))
end

--- Attributes: a list of integers, a string.
function M.attribute_ints(name, ...)
  local parts = { w.field(1, name) }
  for _, x in ipairs { ... } do parts[#parts + 1] = w.field(8, x) end
  return table.concat(parts) .. w.field(20, 7)
end

function M.attribute_string(name, text) return w.field(1, name) .. w.field(4, text) .. w.field(20, 3) end

--- A model of one node 'bad' on x and constants.
function M.one(op, inputs, constants, attributes, port)
  return w.model { inputs = port or M.X, outputs = M.Y, initializers = constants,
    nodes = { w.node(op, inputs, { "y" }, { name = "bad", attributes = attributes }) } }
end

function M.conv(attributes, dims, op)
  dims = dims or { 2, 2, 3, 3 }
  local count = dims[1] * dims[2] * dims[3] * dims[4]
  return M.one(op or "Conv", { "x", "w" }, { w.tensor("w", FLOAT, dims, ("\0"):rep(4 * count)) }, attributes, M.PICTURE)
end

--- Puts the models (bytes, or functions that make them) through the commands, in one process: for each of them command
--- -> { code =, text = }. Asserts the limits of time and memory.
function M.measure(folder, models)
  local words = { process.espquant, process.root .. "/spec/hostile/measured.lua" }
  for i, bytes in ipairs(models) do
    words[i + 2] = i .. ".onnx"
    process.write_file(folder .. "/" .. words[i + 2], type(bytes) == "function" and bytes() or bytes)
  end
  local r = process.run(words, { cwd = folder })
  assert.equal(0, r.status, r.stderr)
  local all = {}
  for number, command, code, seconds, grown, text in
    r.stdout:gmatch "(%d+)%.onnx\t(%a+)\t(%d+)\t([%d.]+)\t(%d+)\t([^\n]*)" do
    local i = tonumber(number)
    all[i] = all[i] or {}
    all[i][command] = { code = tonumber(code), text = text }
    assert.is_true(tonumber(seconds) < SECONDS, ("%s takes %s s: %s"):format(command, seconds, text))
    assert.is_true(tonumber(grown) < BYTES, ("%s takes %d MB: %s"):format(command, tonumber(grown) >> 20, text))
    assert.not_matches("traceback", text)
  end
  return all
end

return M
