--- What LayerNormalization and RMSNormalization say of the shape of their parameters.

local harness = require "spec.support.pass_harness"

local function norm(op_type, shape, scale)
  local b = harness.builder()
  b.graph.opset = 23
  b.output(b.node(op_type, { b.input("x", shape), b.random("scale", scale) }))
  return b.graph, b.graph:infer_shapes()
end

describe("the scale of a normalization", function()
  for _, op_type in ipairs { "LayerNormalization", "RMSNormalization" } do
    it("may belong to dimensions that are not known: " .. op_type, function()
      local graph, known = norm(op_type, { "N", 4, "C" }, { 8 })
      assert.is_true(known)
      assert.same({ "N", 4, false }, graph.outputs[1].shape)
    end)

    it("must not enlarge the input: " .. op_type, function()
      for _, shape in ipairs { { 1, 8 }, { 8 } } do
        local _, known, message = norm(op_type, shape, { 4, 8 })
        assert.is_nil(known)
        assert.matches("input 1 'scale' does not broadcast to the input's shape", message, 1, true)
      end
    end)
  end
end)
