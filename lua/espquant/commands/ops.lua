--- espquant ops: the operators that espquant knows, from the same rows that read, check and run models.

local command = require "espquant.command"
local core = require "espquant.core"
local json = require "espquant.json"

local M = { name = "ops", summary = "print the table of operators" }

M.examples = {
  "espquant ops",
}

function M.configure(parser)
  parser:flag "--markdown":description "As a Markdown table."
  command.add_json(parser)
end

local function sorted_rows()
  local rows = core.ops()
  local list = { table.unpack(rows) }
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function mark(yes)
  return yes and "yes" or "-"
end

-- "*": our own definition, as the footnote says.
local function integer(v1)
  return v1.unmeasured and "yes *" or mark(v1.chip)
end

-- What the original's classes accept; its evaluator takes less than its calibrator.
local function original(v1)
  return v1.calibrator and v1.evaluator and "yes" or v1.calibrator and "calibrator only" or "-"
end

local FOOTNOTE = [[
Constant nodes become tensors when a model is read. What has no integer form must be folded by `espquant optimize`
(as BatchNormalization is), else `espquant check` refuses it and says why. `*`: what a chip computes was never measured;
the integers are our own definition (docs/original.md), and `espquant check` says so of a model that has such a node.
]]

-- Of ESP-DL v3: integers, also where other operators do the same, unless its quantizer leaves the operator in float.
local function v3(op)
  local integers = op.v3_kernel or op.v3.lut8
  if op.v3.rewritten then return "yes" end
  if not op.v3.registered or not (integers or op.f32) then return "-" end
  return op.v3.quantized and integers and "yes" or op.v3.quantized and "-" or "float"
end

local HEADING = { "operator", "opset", "float", "int8, int16", "original toolkit", "ESP-DL v3" }

local function table_rows()
  local rows = { HEADING }
  for i, op in ipairs(sorted_rows()) do
    rows[i + 1] = {
      op.domain ~= "" and op.domain .. "." .. op.name or op.name, op.since .. "+", mark(op.f32), integer(op.v1),
      original(op.v1), v3(op),
    }
  end
  return rows
end

local function print_markdown(streams)
  for i, row in ipairs(table_rows()) do
    streams.stdout:write("| ", table.concat(row, " | "), " |\n")
    if i == 1 then streams.stdout:write(("|---"):rep(#row), "|\n") end
  end
  streams.stdout:write("\n", FOOTNOTE)
end

local function print_json(streams)
  local list = json.array()
  for i, op in ipairs(sorted_rows()) do
    local attributes = json.array()
    for k, attr in ipairs(op.attrs) do
      attributes[k] = { name = attr.name, kind = attr.kind, default = attr.default, required = attr.required }
    end
    list[i] = {
      name = op.name, domain = op.domain, opset = op.since, float = op.f32, integer = op.v1.chip or false,
      unmeasured = op.v1.unmeasured or false,
      original_calibrator = op.v1.calibrator or false, original_evaluator = op.v1.evaluator or false,
      attributes = attributes,
    }
  end
  command.print_json(streams, list)
end

function M.run(args, streams)
  if args.json then
    print_json(streams)
  elseif args.markdown then
    print_markdown(streams)
  else
    command.print_columns(streams, table_rows())
    streams.stdout:write("\n", FOOTNOTE)
  end
  return true
end

return M
