--- .espdl files of ESP-DL v3: what is in them.
---
---     local models = espquant.espdl.load "model.espdl"      -- a list: a package (.espdl of several models) has more
---     print(espquant.espdl.text(models[1]))
---
--- A model is {name =, encrypted =, model =}, where `model` holds the tables of codec/espdl_schema; nil when encrypted.

local core = require "espquant.core"
local codec = require "espquant.codec.espdl"
local schema = require "espquant.codec.espdl_schema"
local json = require "espquant.json"

local M = {}

--- A key of 32 hexadecimal digits as its 16 bytes; nil, message.
function M.key(text)
  if #text == 32 and text:match "^%x+$" then
    return (text:gsub("%x%x", function(x) return string.char(tonumber(x, 16)) end))
  end
  return nil, ("'%s' is no key: 32 hexadecimal digits expected"):format(text)
end

--- The models of a file; `key` (16 bytes) is for those that are encrypted. Nil, message, code. The message begins with
--- the path.
function M.load(path, key)
  local bytes, message, code = core.read_file(path)
  if not bytes then return nil, message, code end
  local models
  models, message, code = codec.decode(bytes, key)
  if not models then return nil, ("%s: %s"):format(path, message), code end
  return models
end

--- Writes several files into a package: their names are those in it. True, or nil, message, code.
function M.pack(paths, output)
  local files, seen = {}, {}
  for i, path in ipairs(paths) do
    local bytes, message, code = core.read_file(path)
    local name = path:match "[^/]*$"
    if not bytes then return nil, message, code end
    if bytes:sub(1, 4) ~= "EDL2" then
      return nil, ("%s: only files of one model (EDL2) can be packed"):format(path), "format"
    end
    if seen[name] then return nil, ("two files are named '%s'"):format(name), "format" end
    files[i], seen[name] = { name = name, bytes = bytes }, true
  end
  return core.write_file(output, codec.pack(files))
end

--- Whether the first bytes of a file are those of an .espdl file or package.
M.is_espdl = codec.is_espdl

--- The name of a TensorDataType: "INT8".
function M.type_name(number) return schema.enums.TensorDataType[(number or 0) + 2] or tostring(number) end

local function tensor_facts(t)
  return { name = t.name or "", dtype = M.type_name(t.data_type), shape = json.array(t.dims or {}),
    exponents = json.array(t.exponents or {}), layout = (t.doc_string or ""):match "layout ==> (.+)" }
end

local function value_facts(info)
  local type, dims = info.value_info_type and info.value_info_type.value or {}, json.array()
  for i, d in ipairs(type.shape and type.shape.dim or {}) do
    dims[i] = d.value and (d.value.dim_param or d.value.dim_value) or "?"
  end
  return { name = info.name or "", dtype = M.type_name(type.elem_type), shape = dims,
    exponents = json.array(info.exponents or {}) }
end

local function attribute_of(node, name)
  for _, a in ipairs(node.attribute or {}) do
    if a.name == name then return a.s end
  end
end

local function node_facts(node)
  return { op_type = node.op_type or "", name = node.name or "", quant_type = attribute_of(node, "quant_type"),
    inputs = json.array(node.input or {}), outputs = json.array(node.output or {}) }
end

local function each(f, list)
  local facts = json.array()
  for i, x in ipairs(list or {}) do facts[i] = f(x) end
  return facts
end

--- What is in a model, parameters' bytes left out: name, ir_version, inputs, outputs, tensors, nodes, parameters,
--- test_inputs, test_outputs; of an encrypted model the name alone.
function M.facts(entry)
  if entry.encrypted then return { name = entry.name, encrypted = true } end
  local graph = entry.model.graph or {}
  return { name = graph.name or "", encrypted = false, ir_version = entry.model.ir_version or 0,
    inputs = each(value_facts, graph.input), outputs = each(value_facts, graph.output),
    tensors = each(value_facts, graph.value_info), nodes = each(node_facts, graph.node),
    parameters = each(tensor_facts, graph.initializer), test_inputs = each(tensor_facts, graph.test_inputs_value),
    test_outputs = each(tensor_facts, graph.test_outputs_value) }
end

-- "x: INT8 1x24x5, exponent -5"
local function tensor_text(t)
  local e = t.exponents
  local shape = #t.shape > 0 and table.concat(t.shape, "x") or "scalar"
  local list = #e == 1 and "exponent " .. e[1]
    or #e > 1 and ("%d exponents from %d to %d"):format(#e, math.min(table.unpack(e)), math.max(table.unpack(e)))
    or "no exponent"
  return ("%s: %s %s, %s%s"):format(t.name, t.dtype, shape, list, t.layout and ", layout " .. t.layout or "")
end

--- A model as text, a line per input, output, node, parameter and embedded test value.
function M.text(entry)
  local f, lines = M.facts(entry), {}
  if f.encrypted then return ("model '%s': encrypted"):format(f.name) end
  local function add(label, list)
    for _, t in ipairs(list) do lines[#lines + 1] = label .. tensor_text(t) end
  end
  lines[1] = ("model '%s' for ESP-DL v3: IR version %d, %d nodes, %d parameters"):format(f.name, f.ir_version, #f.nodes,
    #f.parameters)
  add("  input  ", f.inputs)
  add("  output ", f.outputs)
  for _, n in ipairs(f.nodes) do
    lines[#lines + 1] = ("  %s '%s' %s (%s) -> %s"):format(n.op_type, n.name, n.quant_type or "",
      table.concat(n.inputs, ", "), table.concat(n.outputs, ", "))
  end
  add("  parameter ", f.parameters)
  add("  test input ", f.test_inputs)
  add("  test output ", f.test_outputs)
  for i, line in ipairs(lines) do lines[i] = line:gsub("%c", "?") end -- names come from strangers
  return table.concat(lines, "\n")
end

return M
