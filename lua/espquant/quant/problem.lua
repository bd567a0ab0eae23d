--- One thing that is wrong with one node, as refusals list it.
---
---     problem(node, "its alpha is 0; use Relu")
---
--- The text is the cause and, after the first semicolon, the remedy. The result is `{node=, op=, output=, shapes=,
--- cause=, remedy=, message=}`; message holds all of it: "LeakyRelu 'a' (Nx4 -> Nx4): its alpha is 0; use Relu".

local shape_text = require "espquant.shape".text

local function shapes_text(node)
  local parts = {}
  for i, input in ipairs(node.inputs) do parts[i] = input and shape_text(input.shape) or "-" end
  return table.concat(parts, ", ") .. " -> " .. shape_text(node:output(1) and node:output(1).shape)
end

return function(node, why)
  local cause, remedy = why:match "^(.-); (.*)$"
  local shapes = shapes_text(node)
  return {
    node = node.name, op = node.op_type, output = node:output(1) and node:output(1).name, shapes = shapes,
    cause = cause or why, remedy = remedy, message = ("%s (%s): %s"):format(node:label(), shapes, why),
  }
end
