local core = require "espquant.core"
local harness = require "spec.support.pass_harness"

local INFINITY = math.huge

-- Pad -> pool; options: fill, attrs of the pool, pad = attrs of the Pad, shared
local function pool(op, pads, o)
  return function(b)
    local inputs = { b.input("x", { 1, 2, 6, 6 }), b.integers("pads", pads) }
    if o.fill then inputs[3] = b.constant("fill", core.tensor_from({ o.fill }, "float32", {})) end
    local x = b.node("Pad", inputs, { attrs = o.pad, out = "z" })
    local attrs = { kernel_shape = { 3, 3 } }
    for key, value in pairs(o.attrs or {}) do attrs[key] = value end
    b.output(b.node(op, { x }, { attrs = attrs, out = "y" }))
    if o.shared then b.output(x) end
  end
end

local ONES = { 0, 0, 1, 0, 0, 0, 1, 2 }
local OWN = { pads = { 1, 1, 1, 1 } }
local COUNTED = { pads = { 1, 1, 1, 0 }, count_include_pad = 1 }

local function refuses(name, op, pads, options)
  return { name, build = pool(op, pads, options), changes = 0, exact = true }
end

harness.describe("fuse_pad_into_pool", {
  { "puts zeros into an average", build = pool("AveragePool", ONES, {}), changes = 1, ops = "AveragePool",
    check = function(graph)
      local node = graph:node_list()[1]
      assert.same({ { 1, 0, 1, 2 }, 1 }, { node:attr "pads", node:attr "count_include_pad" })
    end },
  { "adds to pads that count", build = pool("AveragePool", { 0, 0, 1, 0, 0, 0, 0, 1 }, { attrs = COUNTED }),
    changes = 1, ops = "AveragePool" },
  { "puts -infinity in a maximum", build = pool("MaxPool", ONES, { fill = -INFINITY, attrs = { strides = { 2, 2 } } }),
    changes = 1, exact = true, ops = "MaxPool" },
  refuses("keeps an average whose own pads do not count", "AveragePool", ONES, { attrs = OWN }),
  refuses("keeps zeros before a maximum", "MaxPool", ONES, {}),
  refuses("keeps ones before an average", "AveragePool", ONES, { fill = 1 }),
  refuses("keeps channels", "AveragePool", { 0, 1, 0, 0, 0, 0, 0, 0 }, {}),
  refuses("keeps negative pads", "AveragePool", { 0, 0, -1, 0, 0, 0, 0, 0 }, {}),
  refuses("keeps pads of a whole kernel", "AveragePool", { 0, 0, 3, 0, 0, 0, 0, 0 }, {}),
  refuses("keeps ceil_mode", "AveragePool", ONES, { attrs = { ceil_mode = 1, strides = { 2, 2 } } }),
  refuses("keeps a mirror", "AveragePool", ONES, { pad = { mode = "reflect" } }),
  refuses("keeps auto_pad", "AveragePool", ONES, { attrs = { auto_pad = "SAME_UPPER" } }),
  refuses("keeps a Pad that another node reads", "AveragePool", ONES, { shared = true }),
})
