--- The graph that the specs of the bindings edit: x -> Conv(w) -> Relu -> y.
---
---     local g, conv, relu, x, w = small()
local core = require "espquant.core"

return function()
  local g = core.graph { name = "small", opset = 11 }
  local x = g:add_input("x", "float32", { "N", 3, 8, 8 })
  local w = g:add_constant("w", core.tensor { 4, 3, 3, 3 })
  local conv = g:add_node { op_type = "Conv", name = "conv1", inputs = { x, w }, outputs = { "conv1_out" },
    attrs = { kernel_shape = { 3, 3 }, pads = { 1, 1, 1, 1 } } }
  local relu = g:add_node { op_type = "Relu", inputs = { conv }, outputs = { "y" } }
  g:add_output(relu:output(1))
  return g, conv, relu, x, w
end
