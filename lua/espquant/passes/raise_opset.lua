--- Before: a model of opset 13 to 23    After: the same model in opset 24
--- For the passes that make operators of newer opsets: LayerNormalization (17), Gelu (20), RMSNormalization (23),
--- Swish (24). Axes of reductions become inputs, a Split without sizes says how many parts it has. Every node must be
--- of an operator whose meaning did not change otherwise. Not every reader of ONNX files knows opset 24, so it runs
--- only when it is named, in front of those passes.
local pass = require "espquant.pass"
local core = require "espquant.core"

local FIRST, LAST, IR_VERSION = 13, 24, 12

-- Operators without a row here that mean in opset 24 what they meant in 13. Rows know what changed.
local SAME = {}
for name in ([[
  Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh CastLike Celu Cos Cosh CumSum Einsum GatherND Hardmax
  InstanceNormalization IsInf IsNaN LRN Mish NonZero OneHot ScatterElements Selu Sign Sin Sinh Softsign Tan
  ThresholdedRelu TopK Trilu
]]):gmatch "%a+" do SAME[name] = true end

local known = {}
for _, op in ipairs(core.ops()) do
  if op.domain == "" then known[op.name] = true end
end
known.Upsample = nil -- which opset 10 gave up

local function keeps_its_meaning(node)
  if node.domain ~= "" then return true end
  if node.op_type == "BatchNormalization" then return #node.outputs == 1 end
  return known[node.op_type] or SAME[node.op_type] or false
end

local function axes_to_input(graph, node)
  local list = pass.attr(node, "axes", "integers")
  if not list or not node:has_attr "axes" then return end
  assert(node:set_attr("axes", nil))
  assert(node:set_input(2, assert(graph:add_constant(nil, core.tensor_from(list, "int64")))))
end

local function raise(graph, node)
  if node.domain ~= "" then return end
  if node.op_type:match "^Reduce" and graph.opset < 18 then axes_to_input(graph, node) end
  if node.op_type == "Split" and graph.opset < 18 and not node:input(2) then
    assert(node:set_attr("num_outputs", #node.outputs, "int"))
  end
end

return pass {
  name = "raise_opset",
  run = function(graph)
    if graph.opset < FIRST or graph.opset >= LAST then return 0 end
    for node in graph:nodes() do
      if not keeps_its_meaning(node) then return 0 end
    end
    for _, node in ipairs(graph:node_list()) do raise(graph, node) end
    graph.opset = LAST
    graph.ir_version = math.max(graph.ir_version, IR_VERSION)
    return 1
  end,
}
