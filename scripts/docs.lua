--- Prepares the API pages, for scripts/docs: a configuration for LDoc, and the C module's texts as Lua comments.

local texts = require "espquant.doc"

local work = arg[1]

--- Modules that users require, or reach as espquant.NAME.
local PUBLIC = {
  "init", "optimizer", "calibrator", "evaluator", "statistics", "qtable", "onnx", "model", "npy", "dataset/init",
  "dataset/images", "espdl", "auto/init", "errors", "json", "memory", "estimate", "latency", "difference", "provenance",
  "layer_report", "passes/init", "progress",
}

local function write(name, text)
  local file <close> = assert(io.open(work .. "/" .. name, "w"))
  file:write(text)
end

local function core_stub()
  local names, out = {}, { "--- The C module: tensors, graphs, executors, observations.\n-- @module espquant.core\n" }
  for name in pairs(texts) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local signature, text = texts[name]:match "^([^\n]*)\n(.*)$"
    signature, text = signature or name, text or texts[name]
    out[#out + 1] = ("--- %s\n-- `%s`\n-- @function %s\n"):format(text:gsub("\n", "\n-- "), signature, name)
  end
  return table.concat(out, "\n")
end

local files = {}
for i, name in ipairs(PUBLIC) do files[i] = ("%q"):format("espquant/" .. name .. ".lua") end
write("core.lua", core_stub())
write("config.ld", ([[
project = "espquant"
title = "espquant"
description = "Quantization for Espressif chips: the Lua library."
format = "plain"
file = { "core.lua", %s }
]]):format(table.concat(files, ", ")))
