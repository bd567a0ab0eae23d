--- ONNX files.
---
---     local model, notes = espquant.onnx.load "mnist.onnx"     -- nil, message, code when it cannot be read
---     espquant.onnx.save(model, "copy.onnx")

local core = require "espquant.core"
local control_flow = require "espquant.control_flow"
local defaults = require "espquant.defaults"
local file_kind = require "espquant.file_kind"
local input_shapes = require "espquant.input_shapes"
local node_names = require "espquant.node_names"
local qdq = require "espquant.qdq"
local upgrade = require "espquant.upgrade"
local widen = require "espquant.widen"
require "espquant.model" -- the methods of models that are written in Lua

local M = {}

-- The shapes of inputs, and what the reader of files wants to know.
local function split(options)
  local limits = {}
  for key, value in pairs(options or {}) do limits[key] = value end
  limits.shapes = nil
  return options and options.shapes or {}, limits
end

--- Reads a model without inferring its shapes; see M.load. Local functions, and branches and loops whose condition or
--- count is constant, are put in place.
function M.read(path, options)
  local shapes, limits = split(options)
  local model, notes, code = core.onnx_read(path, limits)
  if not model then
    return nil, code == "format" and (file_kind.unlike(path, notes, "an ONNX model")) or notes, code
  end
  local ok, message, status = input_shapes.set(model, shapes)
  if ok then ok, message, status = upgrade.upgrade(model) end
  if ok then ok, message, status = control_flow.inline(model, options) end
  if not ok then return nil, ("%s: %s"):format(path, message), status end
  model, notes[#notes + 1] = qdq.import(model)
  notes[#notes + 1] = widen.apply(model)
  return model, notes
end

--- Reads a model and infers its shapes. Returns it and a list of notes about what is odd in the file; prints nothing.
--- `options.limits` says how large it may be, as in `{ limits = { nodes = 1000 } }`; core.onnx_limits() lists the
--- limits and their usual values. A larger one is refused with the code "limit". A message begins with the path.
--- `options.shapes`, as in `{ image = { 1, 3, 192, 192 } }`, replaces those of the named inputs, symbols or not.
function M.load(path, options)
  local model, notes, code = M.read(path, options)
  if not model then return nil, notes, code end
  local ok, message, status = model:infer_shapes()
  if not ok then return nil, ("%s: %s"):format(path, message), status end
  return model, notes
end

--- Reads a file that holds one tensor (a TensorProto, as in ONNX's own test data): the tensor, or nil, message, code.
function M.load_tensor(path)
  return core.onnx_read_tensor(path)
end

--- Writes a model, the whole file or nothing: true, or nil, message, code. Attributes that were left out are in the
--- file with ONNX's defaults, and every node has a name of its own, since not every reader does without; the model that
--- is given stays as it is.
function M.save(model, path)
  if model == nil then error("bad argument #1 to 'save' (espquant.graph expected, got nil)", 2) end
  local copy, message, code = model:clone()
  if not copy then return nil, message, code end
  defaults.complete(copy)
  node_names.complete(copy)
  return core.onnx_write(copy, path)
end

return M
