--- What differs between two tables, two models or two reports.
---
---     local d = difference.of(difference.profile("a.json"), difference.profile("b.json"))
---     print(#d.changed, d.moved)          -- things that changed; by how much an exponent moved at most
---
--- A profile is what a file says in one form: { kind =, facts = { [name] = text }, numbers = { [name] = number }, items =
--- list of { name =, text =, exponents = list or nil } }. Kinds: "table", "model" (.onnx), "espdl", "report".

local core = require "espquant.core"
local errors = require "espquant.errors"
local espdl = require "espquant.espdl"
local json = require "espquant.json"
local onnx = require "espquant.onnx"
local qtable = require "espquant.qtable"
local size = require "espquant.size"

local M = {}

local FORM = { indent = false }

local function text_of(value)
  if type(value) == "table" then
    return json.encode(#value > 0 and json.array(value) or json.object(value), FORM)
  end
  return tostring(value)
end

-- --- profiles -----------------------------------------------------------------------------------------------------

local function of_table(t)
  local items, facts = {}, {}
  for key, value in pairs(t.facts) do
    if key ~= "tool" and key ~= "data" and key ~= "isa" then facts[key] = text_of(value) end
  end
  for i, entry in ipairs(t.entries) do
    items[i] = {
      name = entry.name, exponents = entry.exponents,
      text = ("%s%s%s"):format(entry.kind or "tensor", entry.bits and " int" .. entry.bits or "",
        entry.scales and " " .. text_of(entry.scales) or ""),
    }
  end
  return { kind = "table", facts = facts, items = items, numbers = { entries = #items } }
end

local function names_of(values)
  local list = {}
  for i, value in ipairs(values) do list[i] = value and value.name or "" end
  return table.concat(list, ",")
end

local function attributes_of(node)
  local list = {}
  for name, value in pairs(node:attrs()) do
    list[#list + 1] = name .. "=" .. (type(value) == "userdata" and "tensor" or text_of(value))
  end
  table.sort(list)
  return table.concat(list, " ")
end

local function of_model(model)
  local items, parameters = {}, 0
  for node in model:nodes() do
    items[#items + 1] = {
      name = node.name ~= "" and node.name or node:output(1).name,
      text = ("%s(%s)->%s %s"):format(node.op_type, names_of(node.inputs), names_of(node.outputs), attributes_of(node)),
    }
  end
  for _, value in ipairs(model:values()) do
    local constant = value.constant
    if constant then
      parameters = parameters + constant.count
      items[#items + 1] = { name = value.name, text = ("%s %s %s"):format(constant.dtype,
        table.concat(constant.shape, "x"), core.sha256(constant:tobytes()):sub(1, 12)) }
    end
  end
  return {
    kind = "model", facts = { inputs = names_of(model.inputs), outputs = names_of(model.outputs) }, items = items,
    numbers = { nodes = #model, parameters = parameters, macs = (size.total_macs(model)) },
  }
end

local function espdl_attributes(node)
  local list = {}
  for i, a in ipairs(node.attribute or {}) do
    list[i] = ("%s=%s"):format(a.name, text_of(a.i or a.f or a.s or a.ints or a.floats or a.strings))
  end
  table.sort(list)
  return table.concat(list, " ")
end

local function of_espdl(models, path)
  local model = models[1].model
  if #models > 1 or not model then
    errors.raise("unsupported", path .. ": a package of several models, or an encrypted one, cannot be compared")
  end
  local items, graph = {}, model.graph
  for _, node in ipairs(graph.node or {}) do
    items[#items + 1] = { name = node.name or node.output[1], text = ("%s(%s)->%s %s"):format(node.op_type,
      table.concat(node.input or {}, ","), table.concat(node.output or {}, ","), espdl_attributes(node)) }
  end
  for _, t in ipairs(graph.initializer or {}) do
    items[#items + 1] = { name = t.name, exponents = t.exponents, text = ("%s %s %s"):format(
      espdl.type_name(t.data_type), table.concat(t.dims or {}, "x"), core.sha256(text_of(t.raw_data or "")):sub(1, 12)) }
  end
  for _, list in ipairs { graph.input or {}, graph.output or {}, graph.value_info or {} } do
    for _, info in ipairs(list) do
      items[#items + 1] = { name = info.name, exponents = info.exponents, text = "tensor" }
    end
  end
  return { kind = "espdl", facts = {}, items = items, numbers = { nodes = #(graph.node or {}) } }
end

local function is_number(x) return type(x) == "number" end

local function of_report(facts)
  local items, numbers = {}, { parameters = facts.parameters, macs = facts.macs, images = facts.images }
  if is_number(facts.float_accuracy) then numbers["float accuracy"] = facts.float_accuracy end
  for _, config in ipairs(facts.configs) do
    for _, what in ipairs { "accuracy", "agreement", "snr" } do
      if is_number(config[what]) then numbers[config.label .. " " .. what] = config[what] end
    end
    for name, layer in pairs(config.refused and {} or config.layers) do
      items[#items + 1] = { name = config.label .. ": " .. name, text = "layer",
        exponents = is_number(layer.exponent) and { layer.exponent } or nil }
    end
  end
  table.sort(items, function(a, b) return a.name < b.name end)
  return { kind = "report", facts = { model = facts.model_hash }, items = items, numbers = numbers }
end

local function of_json(path, bytes)
  local value = json.decode(bytes)
  if type(value) == "table" and type(value.configs) == "table" and type(value.nodes) == "table" then
    local ok, profile = pcall(of_report, value)
    if ok then return profile end
    errors.raise("format", path .. ": it looks like a report (espquant report --json), but is none")
  end
  return of_table(errors.check(qtable.load(path)))
end

--- The profile of a file: a table (.json, .pickle), a model (.onnx, .espdl) or a report (of `espquant report --json`).
--- Raises an error object.
function M.profile(path)
  local bytes = errors.check(core.read_file(path))
  local name, profile = path:lower(), nil
  if espdl.is_espdl(bytes) then profile = of_espdl(errors.check(espdl.load(path)), path)
  elseif name:match "%.json$" or bytes:sub(1, 1) == "{" then profile = of_json(path, bytes)
  elseif name:match "%.pickle$" or name:match "%.pkl$" or bytes:sub(1, 1) == "\x80" then
    profile = of_table(errors.check(qtable.load(path)))
  else profile = of_model((errors.check(onnx.load(path)))) end
  profile.numbers.bytes = profile.kind ~= "report" and #bytes or nil
  return profile
end

-- --- differences --------------------------------------------------------------------------------------------------

-- By how much the exponents moved at most; nil where lists have another length, or there are none.
local function moved(a, b)
  if not a or not b or #a ~= #b then return nil end
  local most = 0
  for i, e in ipairs(a) do
    local step = math.abs(e - b[i])
    if step ~= step then step = (e ~= e and b[i] ~= b[i]) and 0 or math.huge end
    if e == b[i] then step = 0 end
    most = math.max(most, step)
  end
  return most
end

local function exponents_text(list)
  if not list then return "no exponent" end
  local lo, hi = math.huge, -math.huge
  for _, e in ipairs(list) do lo, hi = math.min(lo, e), math.max(hi, e) end
  return lo == hi and ("2^%s"):format(tostring(lo)) or ("2^%s to 2^%s"):format(tostring(lo), tostring(hi))
end

local function item_text(item)
  return item.exponents and item.text .. " " .. exponents_text(item.exponents) or item.text
end

local function index(items)
  local by_name = {}
  for _, item in ipairs(items) do by_name[item.name] = by_name[item.name] or item end
  return by_name
end

local function changed_item(a, b)
  local steps = moved(a.exponents, b.exponents)
  if a.text == b.text and (steps == 0 or not a.exponents and not b.exponents) then return nil end
  return { name = a.name, from = item_text(a), to = item_text(b), moved = steps ~= 0 and steps or nil }
end

local function compare_maps(a, b)
  local list = {}
  local function add(name)
    if a[name] ~= b[name] then list[#list + 1] = { name = name, from = a[name], to = b[name] } end
  end
  for name in pairs(a) do add(name) end
  for name in pairs(b) do
    if a[name] == nil then add(name) end
  end
  table.sort(list, function(x, y) return x.name < y.name end)
  return list
end

--- What differs: { added, removed = lists of names, changed = list of { name, from, to = texts, moved = steps or nil },
--- facts, numbers = lists of { name, from, to }, moved = steps at most, equal = nothing differs }. Raises for profiles of
--- two kinds.
function M.of(a, b)
  if a.kind ~= b.kind then
    errors.raise("format", ("a %s and a %s cannot be compared: two tables, two models or two reports"):format(a.kind,
      b.kind))
  end
  local d, in_a, in_b = { kind = a.kind, added = {}, removed = {}, changed = {}, moved = 0 }, index(a.items),
    index(b.items)
  for _, item in ipairs(a.items) do
    local other = in_b[item.name]
    local change = other and in_a[item.name] == item and changed_item(item, other)
    if not other then d.removed[#d.removed + 1] = item.name end
    if change then
      d.changed[#d.changed + 1], d.moved = change, math.max(d.moved, change.moved or 0)
    end
  end
  for _, item in ipairs(b.items) do
    if not in_a[item.name] then d.added[#d.added + 1] = item.name end
  end
  d.facts, d.numbers = compare_maps(a.facts, b.facts), compare_maps(a.numbers, b.numbers)
  d.equal = #d.added + #d.removed + #d.changed + #d.facts + #d.numbers == 0
  return d
end

return M
