--- espquant estimate: flash, RAM, products and a band of time of a model on a chip.

local command = require "espquant.command"
local estimate = require "espquant.estimate"
local json = require "espquant.json"
local latency = require "espquant.latency"

local M = { name = "estimate", summary = "flash, RAM and time that a model takes on a chip, as limits for CI too" }

local UNITS = { [""] = 1, b = 1, k = 1024, kb = 1024, m = 1024 * 1024, mb = 1024 * 1024 }

-- "512K", "2M", "100000": bytes.
local function bytes(text)
  local number, unit = text:lower():match "^([%d.]+)%s*(%a*)$"
  local value = tonumber(number) and UNITS[unit] and tonumber(number) * UNITS[unit]
  if not value or value < 0 or value > 1 << 40 then return nil, ("'%s' is no size such as 512K or 2M"):format(text) end
  return math.floor(value)
end

local function milliseconds(text)
  local value = tonumber(text)
  if not value or value <= 0 or value > 1e9 then return nil, ("'%s' is no number of milliseconds"):format(text) end
  return value
end

M.examples = {
  "espquant estimate m.onnx --runtime v3 --target esp32s3",
  "espquant estimate m.onnx -t m.json --max-ram 300K --max-flash 2M",
}

function M.configure(parser)
  command.add_model(parser, "model", "The .onnx file, as it will be exported.")
  parser:option "-t --table":argname "TABLE"
    :description "Its quantization table (default: one made from noise: sizes do not depend on exponents)."
  command.add_runtime(parser, { target = true })
  command.add_quantization(parser)
  parser:option "--internal":argname "SIZE":convert(bytes):description(
    "Internal RAM for tensors, as 200K: small ones go there, the others to PSRAM (default: one block of RAM).")
  parser:option "--max-flash":argname "SIZE":convert(bytes):description "Exit with 1 when more flash is needed."
  parser:option "--max-ram":argname "SIZE":convert(bytes):description "Exit with 1 when tensors need more RAM."
  parser:option "--max-ms":argname "MS":convert(milliseconds)
    :description "Exit with 1 when the upper end of the band is longer, or there is none."
  parser:flag "--plan":description "Also print where each tensor lies."
  command.add_json(parser)
end

local function text_of(size)
  return ("%s bytes (%.1f KB)"):format(command.thousands(size), size / 1024)
end

local function print_latency(streams, facts)
  if not facts.latency then
    return streams.stdout:write(("  time       no estimate: %s\n"):format(facts.latency_reason))
  end
  local whole = latency.MODELS[facts.target]
  streams.stdout:write(("  time       %.1f to %.1f ms on one core\n"):format(facts.latency.low, facts.latency.high))
  local factor = latency.model_factor(facts.target)
  streams.stdout:write(("             Espressif's times of single operators: the fastest; the slowest%s\n"):format(
    factor > 1 and (", x %.2f\n             (as much longer takes the %s that they publish)"):format(factor, whole.name)
      or ""))
end

local function print_facts(streams, facts, plan)
  local out = streams.stdout
  out:write(("%s on %s, int%d\n"):format(facts.runtime, facts.target, facts.bits))
  out:write("  flash      ", text_of(facts.flash), facts.runtime == "v3" and ": the .espdl file" or ": coefficients", "\n")
  out:write("  RAM        ", text_of(facts.ram), ": tensors between layers; no plan is below ",
    command.thousands(facts.ram_least), "\n")
  if plan.internal then
    out:write(("             %s internal, %s PSRAM\n"):format(text_of(plan.internal), text_of(plan.external)))
  end
  out:write(("             the largest: %s, %s\n"):format(facts.largest.name, text_of(facts.largest.bytes)))
  out:write("  products   ", command.thousands(facts.macs), "\n")
  print_latency(streams, facts)
end

local function print_plan(streams, plan)
  local rows = { { "tensor", "bytes", "offset", "from", "to", plan.internal and "RAM" or nil } }
  for i, block in ipairs(plan.blocks) do
    rows[i + 1] = { block.name, command.thousands(block.elements), command.thousands(block.offset),
      ("%d"):format(block.first), ("%d"):format(block.last),
      plan.internal and (block.is_internal and "internal" or "PSRAM") or nil }
  end
  command.print_columns(streams, rows, { false, true, true, true, true })
end

-- Says which limits are passed, with what was found; true if none is.
local function within(args, facts, streams)
  local ok = true
  local function check(name, got, limit, format)
    if not limit or got <= limit then return end
    ok = false
    streams.stderr:write(("espquant: %s: " .. format .. ", at most " .. format .. " allowed (--max-%s)\n"):format(name,
      got, limit, name))
  end
  check("flash", facts.flash, args.max_flash, "%d bytes")
  check("ram", facts.ram, args.max_ram, "%d bytes")
  if args.max_ms and not facts.latency then
    streams.stderr:write(("espquant: ms: %s (--max-ms)\n"):format(facts.latency_reason))
    return false
  end
  check("ms", facts.latency and facts.latency.high, args.max_ms, "%.1f ms")
  return ok
end

function M.run(args, streams)
  local t = args.table and command.table(args.table)
  local settings = command.settings(args, t)
  local target = settings.target or t and t.facts.target or "esp32s3"
  local wrong = command.conflict(settings) or command.wrong_target(settings)
  if wrong then return command.usage(streams, wrong) end
  local model = command.model(args.model, args, streams)
  local facts, plan = estimate(model, {
    runtime = settings.runtime or "v1", target = target, bits = settings.bits, granularity = settings.granularity,
    table = t, internal = args.internal,
  })
  if args.json then
    facts.latency = facts.latency or json.null
    command.print_json(streams, facts)
  else
    print_facts(streams, facts, plan)
  end
  if args.plan and not args.json then print_plan(streams, plan) end
  if facts.latency == json.null then facts.latency = nil end
  return within(args, facts, streams)
end

return M
