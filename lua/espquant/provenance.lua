--- What an artefact says about where it comes from: hashes of the model, the data and the options, and the tool's version;
--- never a date or a path.
---
---     provenance.stamp(graph, source_hash, "fuse_bn_into_conv,...")     -- into an ONNX file's metadata
---     local facts = provenance.of(path)                                 -- { kind =, model =, data =, ... }
---
--- The hash of a model is the SHA-256 of its graph as espquant writes it, so that it does not depend on how a file keeps
--- its tensors.

local codec = require "espquant.codec.stat"
local core = require "espquant.core"
local errors = require "espquant.errors"
local espdl = require "espquant.espdl"
local json = require "espquant.json"
local onnx = require "espquant.onnx"
local qtable = require "espquant.qtable"
local version = require "espquant.version"

local M = {}

local PREFIX = "espquant."

--- The hash of a model.
function M.hash(model)
  return core.sha256(errors.check(core.onnx_encode(model)))
end

--- Notes in a graph, which its file keeps: the hash of the model that it was made from, and of the options.
function M.stamp(graph, source, options)
  local notes = { { "source", source }, { "options", core.sha256(options) }, { "tool", "espquant " .. version } }
  for _, note in ipairs(notes) do errors.check(graph:set_metadata(PREFIX .. note[1], note[2])) end
end

--- The metadata of an .espdl file that was made with a table.
function M.metadata(model, t)
  return {
    [PREFIX .. "model"] = M.hash(model), [PREFIX .. "table"] = core.sha256(t:to_json()),
    [PREFIX .. "data"] = t.facts.data or "unknown", [PREFIX .. "tool"] = "espquant " .. version,
  }
end

-- --- reading --------------------------------------------------------------------------------------------------------

local function with_prefix(map)
  local facts = {}
  for key, value in pairs(map) do
    if key:sub(1, #PREFIX) == PREFIX then facts[key:sub(#PREFIX + 1)] = value end
  end
  return facts
end

local function of_espdl(path, key)
  local model = errors.check(espdl.load(path, key))[1].model
  if not model then errors.raise("unsupported", path .. ": it is encrypted; give its key (--key)") end
  local map = {}
  for _, entry in ipairs(model.metadata_props or {}) do map[entry.key] = entry.value end
  local facts = with_prefix(map)
  facts.kind = "espdl"
  return facts
end

local function of_model(path)
  local facts = with_prefix((errors.check(onnx.load(path))).metadata)
  facts.kind, facts.model = "model", facts.source
  return facts
end

local function of_table(t)
  local facts = t.facts
  return { kind = "table", model = facts.model, data = facts.data, isa = facts.isa, tool = facts.tool, table = t }
end

local function of_json(path, bytes)
  local value = json.decode(bytes)
  if type(value) == "table" and type(value.model_hash) == "string" then
    return { kind = "report", model = value.model_hash, tool = value.tool, isa = value.isa }
  end
  return of_table(errors.check(qtable.load(path)))
end

--- What the file at `path` says: { kind = "table", "report", "espdl", "statistics" or "model", model, data, table, tool,
--- isa: what it has of them }. A table in a pickle has no hash; its `table` is the qtable. Raises an error object.
function M.of(path, key)
  local bytes, name = errors.check(core.read_file(path)), path:lower()
  if espdl.is_espdl(bytes) then return of_espdl(path, key) end
  if bytes:sub(1, 8) == "ESPQSTAT" then
    local stat = errors.check(codec.decode(bytes, path))
    return { kind = "statistics", model = stat.model, tool = stat.tool, isa = stat.isa }
  end
  if name:match "%.html$" then
    return { kind = "report", model = bytes:match '"model_hash": ?"(%x+)"', tool = bytes:match '"tool": ?"([^"]*)"' }
  end
  if name:match "%.json$" then return of_json(path, bytes) end
  if name:match "%.pickle$" or name:match "%.pkl$" then return of_table(errors.check(qtable.load(path))) end
  if name:match "%.onnx$" then return of_model(path) end
  errors.raise("unsupported", path .. ": no hash is kept in files of this sort; tables, reports, .espdl, .stat and "
    .. "optimized .onnx files have one")
end

--- What keeps a table without hash from being one of the model: a list of texts, empty where the names fit.
function M.misfits(t, model)
  local problems = {}
  for _, entry in ipairs(t.entries) do
    local value = model:value(entry.name)
    local count = entry.exponents and #entry.exponents or 0
    if not value then problems[#problems + 1] = ("the model has no tensor '%s'"):format(entry.name)
    elseif count > 1 and value.constant and value.constant.shape[1] ~= count and value.constant.shape[2] ~= count then
      problems[#problems + 1] = ("'%s' has %d exponents, its shape is %s"):format(entry.name, count,
        table.concat(value.constant.shape, "x"))
    end
  end
  return problems
end

return M
