--- The pictures, or the raw files, of a folder, in the order of their names' bytes, whatever the file system's order
--- or the locale.
---
---     dir/a.png dir/b.jpg                 no classes
---     dir/cat/1.png dir/dog/1.jpg         classes "cat" (label 0) and "dog" (label 1)
---
--- Two levels, no more: links are followed, and a link back to a parent leads nowhere. Names that begin with a dot are
--- ignored, whatever else has no such ending is left out and named in `notes`.

-- LuaFileSystem sets a global of its name when it is loaded; espquant sets none.
local global = rawget(_G, "lfs")
local lfs = require "lfs"
rawset(_G, "lfs", global)

local M = {}

--- What a folder is searched for: endings, and words for messages.
M.PICTURES = {
  endings = { png = true, jpg = true, jpeg = true }, one = "picture", all = "pictures", names = ".png, .jpg or .jpeg",
}
M.RAW = { endings = { bin = true, raw = true }, one = "raw file", all = "raw files", names = ".bin or .raw" }

local SHOWN = 5

local function has_ending(name, sort)
  return sort.endings[(name:match "%.([^./]+)$" or ""):lower()] or false
end

--- True for the name of a picture.
function M.is_picture(name)
  return has_ending(name, M.PICTURES)
end

function M.is_folder(path)
  return lfs.attributes(path, "mode") == "directory"
end

-- Lua's own < asks the locale.
local function by_bytes(a, b)
  local i = 1
  while true do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return (x or -1) < (y or -1) end
    if not x then return false end
    i = i + 1
  end
end

-- The names in a folder: wanted files, folders, and the rest. A pipe named .png counts as a picture: reading it is
-- refused.
local function list(path, sort)
  local ok, iterate, state = pcall(lfs.dir, path)
  if not ok then return nil, (tostring(iterate):gsub("^cannot open ", "")), "io" end
  local names = { wanted = {}, folders = {}, others = {} }
  for name in iterate, state do
    if name:sub(1, 1) ~= "." then
      local kind = M.is_folder(path .. "/" .. name) and "folders" or has_ending(name, sort) and "wanted" or "others"
      table.insert(names[kind], name)
    end
  end
  for _, each in pairs(names) do table.sort(each, by_bytes) end
  return names
end

local function shorten(names)
  local shown = table.concat(names, ", ", 1, math.min(#names, SHOWN))
  return #names > SHOWN and ("%s and %d more"):format(shown, #names - SHOWN) or shown
end

local function add_all(into, prefix, names)
  for _, name in ipairs(names) do into[#into + 1] = prefix .. name end
end

-- The sub-folders, listed: a list of {name =, wanted =, folders =, others =}, and how many hold wanted files.
local function list_classes(path, folders, sort)
  local classes, filled = {}, 0
  for i, name in ipairs(folders) do
    local names, message, code = list(path .. "/" .. name, sort)
    if not names then return nil, message, code end
    names.name, classes[i] = name, names
    if #names.wanted > 0 then filled = filled + 1 end
  end
  return classes, filled
end

local function refuse_mixture(path, wanted, classes, filled, sort)
  if #wanted > 0 then
    return nil, ("%s: %s (%s) beside folders of %s; a folder holds the ones or the others"):format(path, sort.all,
      shorten(wanted), sort.all), "format"
  end
  local empty = {}
  for _, class in ipairs(classes) do
    if #class.wanted == 0 then empty[#empty + 1] = class.name end
  end
  return nil, ("%s: no %s in %d of %d classes (%s): fill or remove them, they shift the labels"):format(path,
    sort.one, #empty, filled + #empty, shorten(empty)), "format"
end

--- The files of the sort (M.PICTURES or M.RAW): a table of files (paths), notes (texts), and, where there are classes,
--- classes (names) and labels (one per file, from 0). Or nil, message, code.
function M.scan(path, sort)
  local top, message, code = list(path, sort)
  if not top then return nil, message, code end
  local classes, filled, why = list_classes(path, top.folders, sort)
  if not classes then return nil, filled, why end
  local found, skipped = { files = {}, notes = {} }, {}
  if filled > 0 and (#top.wanted > 0 or filled < #classes) then
    return refuse_mixture(path, top.wanted, classes, filled, sort)
  end
  add_all(found.files, path .. "/", top.wanted)
  add_all(skipped, "", top.others)
  if filled == 0 then
    add_all(skipped, "", top.folders)
  else
    found.classes, found.labels = {}, {}
    for i, class in ipairs(classes) do
      found.classes[i] = class.name
      for _ = 1, #class.wanted do found.labels[#found.labels + 1] = i - 1 end
      add_all(found.files, path .. "/" .. class.name .. "/", class.wanted)
      add_all(skipped, class.name .. "/", class.others)
      add_all(skipped, class.name .. "/", class.folders)
    end
  end
  if #found.files == 0 then
    return nil, ("%s: no %s in this folder or its sub-folders%s"):format(path, sort.names,
      #skipped > 0 and ("; it holds " .. shorten(skipped)) or ""), "format"
  end
  if #skipped > 0 then
    found.notes[1] = ("%s: left out, being no %s: %s"):format(path, sort.names, shorten(skipped))
  end
  return found
end

return M
