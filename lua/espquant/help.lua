--- help(x): what the doc comments say about a function, a module or an object.
---
--- A Lua function is found by its source file and line: its text is the `---` block above it. Functions of the C
--- module have no source at run time: `espquant/doc.lua` maps their names ("concat", "tensor:copy", the field
--- "tensor.shape") to texts.

local M = {}

local function read_lines(path)
  local file = io.open(path)
  if not file then return {} end
  local lines = {}
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  return lines
end

-- The `---` block that ends at line `last`, without its dashes; nil if there is none.
local function block_ending_at(lines, last)
  local first = last + 1
  while first > 1 and lines[first - 1]:match "^%s*%-%-" do first = first - 1 end
  local block = {}
  for i = first, last do
    local text = lines[i]:match "^%s*%-%-%-? ?(.*)$"
    if i > first or lines[i]:match "^%s*%-%-%-" then block[#block + 1] = text end
  end
  return #block > 0 and table.concat(block, "\n") or nil
end

local function block_starting_at(lines, first)
  local last = first
  while lines[last] and lines[last]:match "^%s*%-%-%-" do last = last + 1 end
  return last > first and block_ending_at(lines, last - 1) or nil
end

--- The signature line and the doc comment of a Lua function; nil for one of C or without a source file.
function M.of_function(f)
  local info = debug.getinfo(f, "S")
  local path = info.source:match "^@(.*)$"
  if info.what == "C" or not path then return nil end
  local lines = read_lines(path)
  if not lines[info.linedefined] then return nil end
  local signature = lines[info.linedefined]:gsub("^%s*local%s+", ""):gsub("^%s+", "")
  return signature:gsub("%)%s+.*$", ")"), block_ending_at(lines, info.linedefined - 1)
end

--- The doc comment that opens a module's file, "" without one.
function M.of_module(name)
  local path = package.searchpath(name, package.path)
  return path and block_starting_at(read_lines(path), 1) or ""
end

local function c_texts()
  local found, texts = pcall(require, "espquant.doc")
  return found and texts or {}
end

-- The members of a class: its metatable's __methods and __fields (the C module's classes) or its __index table.
local function members_of(mt)
  if type(mt) ~= "table" then return {}, {} end
  local index = rawget(mt, "__index")
  return rawget(mt, "__methods") or (type(index) == "table" and index or {}), rawget(mt, "__fields") or {}
end

local function key_of(container, member)
  for key, value in next, container do
    if value == member and type(key) == "string" then return key end
  end
end

-- The name of a C function: "tensor_from" in the core module, "tensor:copy" as a method of a class.
local function c_name(f)
  local name = key_of(package.loaded["espquant.core"] or {}, f)
  if name then return name end
  for key, mt in next, debug.getregistry() do
    local class = type(key) == "string" and key:match "^espquant%.(.+)$"
    name = class and key_of((members_of(mt)), f)
    if name then return class .. ":" .. name end
  end
end

local function describe_function(f)
  local signature, text = M.of_function(f)
  if signature then return signature .. "\n" .. (text or "(no doc comment)") end
  local name = c_name(f)
  if not name then return "a function without a doc comment" end
  return c_texts()[name] or name .. "(...)"
end

-- The name under which a module table is loaded.
local function module_name(value)
  for name, module in next, package.loaded do
    if module == value and name ~= "_G" then return name end
  end
end

local function first_sentence(text)
  return (text or ""):gsub("%s+", " "):match "^(.-%.)%s" or (text or ""):gsub("%s+", " ")
end

-- What there is to say in a line: of a loaded module, the first sentence of the doc comment that opens it.
local function module_summary(value)
  if type(value) ~= "table" then return ("%s: %s"):format(type(value), tostring(value)) end
  local mt = getmetatable(value)
  if mt and mt.__doc then return mt.__doc end
  local name = module_name(value)
  local path = name and package.searchpath(name, package.path)
  return path and first_sentence(block_starting_at(read_lines(path), 1)) or type(value)
end

local function member_line(prefix, name, member)
  if type(member) ~= "function" then return ("  %s%s  %s"):format(prefix, name, module_summary(member)) end
  local signature, text = M.of_function(member)
  if not signature then
    text = c_texts()[c_name(member) or ""] or ""
    signature = text:match "^[^\n]*"
    text = text:match "\n(.*)$"
  end
  local arguments = signature:match "%b()" or "()"
  local sentence = first_sentence(text)
  return ("  %s%s%s%s"):format(prefix, name, arguments, sentence == "" and "" or "  " .. sentence)
end

local function list_members(lines, container, prefix)
  local names = {}
  for name in next, container do
    if type(name) == "string" and not name:match "^_" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do lines[#lines + 1] = member_line(prefix, name, container[name]) end
end

local function describe_module(value, name)
  local path = name and package.searchpath(name, package.path)
  local lines = { name or "a table" }
  if path then lines[#lines + 1] = block_starting_at(read_lines(path), 1) end
  -- A lazy module lists what it loads when asked in __fields.
  local _, lazy = members_of(debug.getmetatable(value))
  for field in next, lazy do local _ = value[field] end
  list_members(lines, value, "")
  return table.concat(lines, "\n")
end

--- What a loaded module of ours offers, a line each; nil for every other value.
function M.listing(value)
  local name = type(value) == "table" and module_name(value)
  if not name or not name:match "^espquant%f[%.\0]" then return nil end
  local lines = { name .. ": " .. module_summary(value):gsub("^espquant: ", "") }
  local _, lazy = members_of(debug.getmetatable(value))
  for field in next, lazy do local _ = value[field] end
  list_members(lines, value, "")
  return table.concat(lines, "\n")
end

local function describe_object(value)
  local mt = debug.getmetatable(value)
  local methods, fields = members_of(mt)
  local class = tostring(mt and rawget(mt, "__name") or type(value))
  local lines = { class }
  local names = {}
  for name in next, fields do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    lines[#lines + 1] = ("  .%s  %s"):format(name, c_texts()[class:gsub("^espquant%.", "") .. "." .. name] or "")
  end
  list_members(lines, methods, ":")
  return table.concat(lines, "\n")
end

--- What there is to say about a value, as text.
function M.text(value)
  if type(value) == "function" then return describe_function(value) end
  local mt = debug.getmetatable(value)
  local name = type(value) == "table" and module_name(value)
  if name or (type(value) == "table" and not (mt and rawget(mt, "__index"))) then
    return describe_module(value, name)
  end
  return describe_object(value)
end

local INTRODUCTION = [[
An expression prints its value, also with = before it; a chunk goes on over several lines until it is complete.
  model = assert(espquant.onnx.load "mnist.onnx")       read a model; `model` prints it
  =espquant                                             what there is, a line each
  help(espquant)  help(model)  help(espquant.optimizer.optimize)
                                                        what it is and how to call it
Tab completes names, fields and methods, and lines are kept in the history, where lua-readline is installed.
Ctrl-C drops a line, Ctrl-D leaves.]]

--- Prints what the doc comments say about a value; without one, how to go on.
function M.help(...)
  print(select("#", ...) == 0 and INTRODUCTION or M.text((...)))
end

return M
