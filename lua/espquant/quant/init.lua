--- Quantization of ESP-DL v1: policy, table, quantized graph, and the original evaluator as a rewrite.
local M = {
  v1 = require "espquant.quant.v1",
  inputs = require "espquant.quant.inputs",
  apply = require "espquant.quant.apply",
  original = require "espquant.quant.original",
  check = require "espquant.quant.check",
  problem = require "espquant.quant.problem",
  lanes = require "espquant.quant.lanes",
  notes = require "espquant.quant.notes",
  options = require "espquant.quant.options",
  types = require "espquant.quant.types",
}

return M
