--- The text of coefficient files, byte for byte the original's.
---
--- An object is `{class = "Filter", type = "int8_t", name = "conv_0_filter", elements = tensor|nil, kind = "ReLU"|nil,
--- exponents = list|nil, arguments = "..."|nil}`: constructor arguments are kind, the array of elements, the array of
--- exponents and their number, and the rest, each where it exists. With `exponents_first` (the convert tool) the array
--- of exponents stands before the elements.

local core = require "espquant.core"

local M = {}

local ELEMENTS = "    const static __attribute__((aligned(16))) %s %s_element[] = {\n"
local EXPONENTS = "    const static int8_t %s_exponent[] = {%s};\n"
local OBJECT = "    const static %s<%s> %s(%s);\n"
local GETTER = "    const %s<%s> *get_%s()\n    {\n    \treturn &%s;\n    }\n\n"

local function object_text(o)
  local elements, exponents, arguments = "", "", { o.kind }
  if o.elements then
    elements = ELEMENTS:format(o.type, o.name) .. core.format_elements(o.elements) .. "};\n\n"
    arguments[#arguments + 1] = o.name .. "_element"
  end
  if o.exponents then
    exponents = EXPONENTS:format(o.name, table.concat(o.exponents, ", "))
    arguments[#arguments + 1] = ("%s_exponent, %d"):format(o.name, #o.exponents)
  end
  arguments[#arguments + 1] = o.arguments
  local arrays = o.exponents_first and exponents .. elements or elements .. exponents
  return arrays .. OBJECT:format(o.class, o.type, o.name, table.concat(arguments, ", "))
    .. GETTER:format(o.class, o.type, o.name, o.name)
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
