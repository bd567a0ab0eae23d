--- Multiply-accumulates and the largest tensors, by hand.

local run = require "spec.support.run"
local size = require "espquant.size"

describe("the size of a model", function()
  it("counts the products of one image", function()
    local g = run.network()
    local macs = {}
    for node in g:nodes() do macs[node.name] = size.macs(node) end
    -- a: 17 channels of 8x8 from 3 of 3x3; c: depthwise; g: 31 of 4x4 from 17; y: 10 from 31
    assert.same({ a = 17 * 64 * 27, c = 17 * 64 * 9, g = 31 * 16 * 17, y = 310 },
      { a = macs.a, c = macs.c, g = macs.g, y = macs.y })
    assert.equal(0, macs.b)
    assert.same({ 17 * 64 * 27 + 17 * 64 * 9 + 31 * 16 * 17 + 310, 0 }, { size.total_macs(g) })
  end)

  it("counts those of matrix products and transposed convolutions", function()
    local g = run.build({ { "x", { "N", 6, 5 } }, { "z", { 1, 3, 4, 4 } } }, {
      { "MatMul", { "x", run.numbers({ 5, 7 }, 1) }, "m" },
      { "ConvTranspose", { "z", run.numbers({ 3, 2, 2, 2 }, 2) }, "t" },
    }, { "m", "t" })
    assert.equal(6 * 7 * 5, size.macs(g:node "m"))
    assert.equal(3 * 16 * 2 * 4, size.macs(g:node "t"))
  end)

  it("names the largest tensors", function()
    local largest = size.largest(run.network(), 2)
    assert.same({ { "a", 17 * 64 }, { "b", 17 * 64 } }, { { largest[1].name, largest[1].elements },
      { largest[2].name, largest[2].elements } })
  end)
end)
