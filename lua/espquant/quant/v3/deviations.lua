--- Where kernels of an ESP-DL version compute otherwise than its quantizer simulates, and how the integer graph gets
--- along with that.
---
---     if deviations.find("3.3.9", "PRelu", "c", 8) then ... end
---     deviations.settle(plan, node)       -- nodes in place of one that deviates
---
--- PRelu with a slope per channel: the plain C kernels give x >= 0 as it is, whatever the exponents, and floor
--- x * slope where the quantizer rounds. The node becomes esp.PRelu, which computes that, between equal exponents: the
--- coarser of the two, with esp.RequantizeLinear where the other was. What is left is 1 of negative numbers.

local seams = require "espquant.quant.v3.seams"

local M = {}

-- One row for each kernel: the versions of ESP-DL (first and last; nil: no end is known), operator, chips, widths.
local ROWS = {
  { first = "3.0.0", op = "PRelu", group = "c", bits = 8 },
  { first = "3.0.0", op = "PRelu", group = "c", bits = 16 },
  { first = "3.0.0", op = "PRelu", group = "p4", bits = 16 },
}

-- "3.3.9" as a number that compares.
local function number(version)
  local major, minor, patch = version:match "^(%d+)%.(%d+)%.(%d+)$"
  if not major then return nil end
  return (tonumber(major) * 1000 + tonumber(minor)) * 1000 + tonumber(patch)
end

--- All rows: first, last, op, group, bits.
function M.rows() return { table.unpack(ROWS) } end

--- Whether the text is a version: "3.3.9".
function M.is_version(text)
  return type(text) == "string" and #text < 20 and number(text) ~= nil
end

--- The row of a kernel that deviates in that version, or nil. Without a version nothing deviates.
function M.find(version, op, group, bits)
  for _, row in ipairs(version and ROWS or {}) do
    local is_meant = row.op == op and row.group == group and row.bits == bits
    if is_meant and number(version) >= number(row.first) and (not row.last or number(version) <= number(row.last)) then
      return row
    end
  end
end

--- Puts what the kernel computes in the place of the node, of which both tensors have exponents already.
function M.settle(plan, node)
  local graph, bits, out = plan.graph, plan.widths[node], node:output(1)
  local e_in, e_out = node:input(1).quant.exponents[1], plan.forms[out].exponents[1]
  local e = math.max(e_in, e_out)
  local form = { bits = bits, exponents = { e } }
  if e_in ~= e then seams.put(graph, "RequantizeLinear", node, 1, form) end
  local made = assert(graph:add_node { op_type = node.op_type, domain = "esp", name = node.name, inputs = node.inputs,
    attrs = node:attrs(), before = node })
  made.column = "v3"
  made:output(1):set_quant(bits, e)
  local last = made
  if e_out ~= e then
    last = assert(graph:add_node { op_type = "RequantizeLinear", domain = "esp", name = node.name .. "_requantized",
      inputs = { made:output(1) }, before = node })
    last.column = "v3"
    last:output(1):set_quant(bits, e_out)
  end
  seams.take_over(graph, node, last)
end

return M
