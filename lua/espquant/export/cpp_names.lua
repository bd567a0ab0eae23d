--- Names in the C++ file: of the objects of a layer, from its node, and of the namespace, from the file.
---
---     local names = cpp_names.new { chip = true, log = print }
---     names:layer(node)                -- "conv_0"; each layer is asked for once
---     names:namespace "my-model"       -- "my_model", and the log says so
---
--- "original" mode applies the original's rule and leaves equal names equal; "chip" mode gives what compiles.

local Names = {}
Names.__index = Names

local M = {}

-- Keywords, then what the file itself uses, then what headers of C declare outside of namespaces.
local RESERVED = {}
for word in ([[alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t
  class co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype
  default delete dl do double dynamic_cast else enum explicit export extern false float for friend goto if inline int
  long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
  reinterpret_cast requires return short signed sizeof static static_assert static_cast std struct switch template this
  thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor
  xor_eq
  Activation Bias Constant Filter LeakyReLU Linear NULL PReLU ReLU
  abort abs atof atoi atol bsearch calloc clock div errno exit exp free getenv index labs ldiv linux log main malloc
  memchr memcmp memcpy memmove memset mktime pow qsort raise rand random read realloc remove rename select setjmp signal
  sin sleep sqrt srand stdin stdout strlen system tan time unix wait write]]):gmatch "%S+" do
  RESERVED[word] = true
end

--- `options`: chip (boolean), log.
function M.new(options)
  return setmetatable({ chip = options.chip, log = options.log, taken = {} }, Names)
end

-- The compilers of the chips take no other letters: one "_" for each code point.
local function ascii(name)
  return (name:gsub("[\xC2-\xF4][\x80-\xBF]+", "_"):gsub("[^%w_]", "_"))
end

-- Prints each character that it replaces, as the original does. That one asks Unicode what a letter is; here every code
-- point above 127 counts as a lower-case one.
local function original_rule(name, log)
  return (name:gsub("[^%w_\x80-\xFF]", function(c) log(c) return "_" end))
end

-- Objects and getters of a layer of this name must clash with none so far: `get_a_filter` is both an object of a layer
-- "get_a" and the getter of a layer "a".
function Names:is_free(name)
  local inner = name:match "^get_(.+)$"
  return not (self.taken[name] or self.taken["get_" .. name] or inner and self.taken[inner])
end

--- The name of a node's objects. A node without a name is called after its output.
function Names:layer(node)
  local given = node.name ~= "" and node.name or node:output(1).name
  local base = (self.chip and ascii(given) or original_rule(given, self.log)):lower():gsub("^%d", "_%0")
  if not self.chip then return base end
  local name, n = base, 1
  while not self:is_free(name) do
    n = n + 1
    name = base .. "_" .. n
  end
  self.taken[name] = true
  if name ~= base or node.name == "" then
    self.log(("warning: %s is called '%s' in the file"):format(node:label(), name))
  end
  return name
end

--- The namespace of a file.
function Names:namespace(file_name)
  if not self.chip then return file_name end
  local name = ascii(file_name):gsub("^%d", "_%0")
  if RESERVED[name] then name = name .. "_" end
  if name ~= file_name then
    self.log(("warning: '%s' cannot be a namespace in C++; it is called '%s'"):format(file_name, name))
  end
  return name
end

return M
