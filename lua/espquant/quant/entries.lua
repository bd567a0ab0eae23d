--- Reading a quantization table beside a graph: exponents by tensor, and all that is wrong with them, collected.
---
---     local Apply = setmetatable({}, entries)      -- a class that reads tables; Apply.__index = Apply
---     local self = entries.new(Apply, graph, qtable, 1000)
---     self.at = node                               -- the node that problems are of
---     local list = self:exponents("conv_w", "weight")
---     if #self.problems > 0 then self:strangers(graph, {}) end

local problem = require "espquant.quant.problem"

local Entries = {}
Entries.__index = Entries

local MOST_STRANGERS = 20 -- that are told

--- An object of a class: `source` is the graph whose nodes problems name, `most` the largest exponent either way.
function Entries.new(class, source, qtable, most)
  return setmetatable({ source = source, table = qtable, most = most, problems = {}, seen = {} }, class)
end

--- Of the node at hand, as the float model has it: cause, and remedy after the semicolon. A tensor's fault is told
--- once.
function Entries:problem(text, ...)
  text = text:format(...)
  if self.seen[text] then return end
  local made = self.at and self.source:value(self.at:output(1).name)
  local node = made and made.producer
  self.seen[text], self.problems[#self.problems + 1] = true, node and problem(node, text) or text
end

--- Whether each of the exponents is one; `what` they are of.
function Entries:are_exponents(list, name, what)
  for _, e in ipairs(list) do
    if math.type(e) ~= "integer" or math.abs(e) > self.most then
      self:problem("%s '%s' has the exponent %s; calibrate again", what, name, tostring(e))
      return false
    end
  end
  return true
end

--- The exponents of an entry, or nil.
function Entries:exponents(name, what)
  local entry = self.table:get(name)
  if not entry or entry.kind == "shape" then
    self:problem("the quantization parameter for %s is not provided; calibrate this model", name)
  elseif not entry.exponents then
    self:problem("the scale of %s '%s' is no power of two, which the chip cannot do; calibrate with this tool", what,
      name)
  elseif self:are_exponents(entry.exponents, name, what) then
    return entry.exponents
  end
end

--- The one exponent of a tensor that is computed.
function Entries:exponent(value)
  local list = self:exponents(value.name, "tensor")
  if list and #list > 1 then
    self:problem("the table has %d exponents for tensor '%s', expected one; calibrate again", #list, value.name)
  end
  return list and list[1]
end

--- Entries of no tensor do no harm in v1, but tell a table of another model where others are missing. `known`: names
--- that belong to the model though no tensor has them.
function Entries:strangers(graph, known)
  self.at = nil
  local count = 0
  for _, entry in ipairs(self.table.entries) do
    if not graph:value(entry.name) and not known[entry.name] then
      count = count + 1
      if count <= MOST_STRANGERS then
        self:problem("the table has '%s', which is no tensor of the model", entry.name)
      end
    end
  end
  if count > MOST_STRANGERS then self:problem("and %d more that are none", count - MOST_STRANGERS) end
end

return Entries
