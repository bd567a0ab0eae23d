--- Completion for the REPL: fields of tables and methods of objects, found without running code that could do harm.
---
---     complete("espquant.opt", _G)      --> {"espquant.optimizer"}
---     complete("print(model:no", _G)    --> {"print(model:node", "print(model:nodes"}

local M = {}

local KEYWORDS = {
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
  "not", "or", "repeat", "return", "then", "true", "until", "while",
}

-- An entry of the metatable that is a table: __index (a function there might do anything), or the __methods and
-- __fields that our classes and lazy modules keep for this purpose.
local function meta_table(value, event)
  local mt = debug.getmetatable(value)
  local entry = type(mt) == "table" and rawget(mt, event)
  return type(entry) == "table" and entry or nil
end

-- value[name] along tables and __index tables. Only fields listed in __fields are read through a function: listing
-- them is the promise that reading is harmless.
local function field(value, name)
  local fields = meta_table(value, "__fields")
  if fields and fields[name] ~= nil then
    local ok, found = pcall(function() return value[name] end)
    return ok and found or nil
  end
  for _ = 1, 10 do
    if type(value) == "table" then
      local found = rawget(value, name)
      if found ~= nil then return found end
    end
    value = meta_table(value, "__methods") or meta_table(value, "__index")
    if value == nil then return nil end
  end
end

local function callable(value)
  local mt = debug.getmetatable(value)
  return type(value) == "function" or (type(mt) == "table" and rawget(mt, "__call") ~= nil)
end

-- All names reachable from value that begin with `stem`; after ":" only what can be called.
local function names_of(value, stem, methods_only)
  local seen, names = {}, {}
  local function add(members, is_fields)
    for key, member in next, members or {} do
      local fits = type(key) == "string" and key:match "^[%a_][%w_]*$" and key:sub(1, #stem) == stem
      if fits and not seen[key] and not (methods_only and (is_fields or not callable(member))) then
        seen[key] = true
        names[#names + 1] = key
      end
    end
  end
  for _ = 1, 10 do
    if value == nil then break end
    if type(value) == "table" then add(value) end
    add(meta_table(value, "__methods"))
    add(meta_table(value, "__fields"), true)
    value = meta_table(value, "__index")
  end
  return names
end

-- The value of "a.b:c" in env; nil if a part is missing.
local function resolve(path, env)
  local value = env
  for name in path:gmatch "[%a_][%w_]*" do
    value = field(value, name)
    if value == nil then return nil end
  end
  return value
end

--- All completions of the end of `text`, sorted; each is the whole text, completed.
function M.complete(text, env)
  local before, path, separator, stem = text:match "^(.-)([%a_][%w_.:]*)([.:])([%w_]*)$"
  local names
  if path then
    local value = resolve(path, env)
    names = value ~= nil and names_of(value, stem, separator == ":") or {}
    before = before .. path .. separator
  else
    before, stem = text:match "^(.-)([%a_]?[%w_]*)$"
    if stem == "" then return {} end
    names = names_of(env, stem, false)
    for _, word in ipairs(KEYWORDS) do
      if word:sub(1, #stem) == stem then names[#names + 1] = word end
    end
  end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = before .. name end
  return names
end

return M
