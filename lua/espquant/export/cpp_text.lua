--- The text of coefficient files, byte for byte the original's.
---
--- An object is `{class = "Filter", type = "int8_t", name = "conv_0_filter", elements = tensor|nil, kind = "ReLU"|nil,
--- exponents = list|nil, arguments = "..."|nil}`: constructor arguments are kind, the array of elements, the array of
--- exponents and their number, and the rest, each where it exists.

local core = require "espquant.core"

local M = {}

local OBJECT = "    const static %s<%s> %s(%s);\n"
local GETTER = "    const %s<%s> *get_%s()\n    {\n    \treturn &%s;\n    }\n\n"

local function object_text(o)
  local text, arguments = {}, { o.kind }
  if o.elements then
    text[1] = ("    const static __attribute__((aligned(16))) %s %s_element[] = {\n"):format(o.type, o.name)
    text[2] = core.format_elements(o.elements)
    text[3] = "};\n\n"
    arguments[#arguments + 1] = o.name .. "_element"
  end
  if o.exponents then
    local list = table.concat(o.exponents, ", ")
    text[#text + 1] = ("    const static int8_t %s_exponent[] = {%s};\n"):format(o.name, list)
    arguments[#arguments + 1] = ("%s_exponent, %d"):format(o.name, #o.exponents)
  end
  arguments[#arguments + 1] = o.arguments
  text[#text + 1] = OBJECT:format(o.class, o.type, o.name, table.concat(arguments, ", "))
  text[#text + 1] = GETTER:format(o.class, o.type, o.name, o.name)
  return table.concat(text)
end

--- The .cpp file of a list of objects.
function M.cpp(file_name, namespace, objects)
  local text = { ('#include "%s.hpp"\nusing namespace dl;\n\nnamespace %s\n{\n'):format(file_name, namespace) }
  for _, o in ipairs(objects) do text[#text + 1] = object_text(o) end
  text[#text + 1] = "}\n"
  return table.concat(text)
end

--- The .hpp file.
function M.hpp(namespace, objects)
  local text = { '#pragma once\n\n#include <stdint.h>\n#include "dl_constant.hpp"\n\n' }
  text[2] = ("namespace %s\n{\n"):format(namespace)
  for _, o in ipairs(objects) do
    text[#text + 1] = ("    const dl::%s<%s> *get_%s();\n"):format(o.class, o.type, o.name)
  end
  text[#text + 1] = "}\n"
  return table.concat(text)
end

return M
