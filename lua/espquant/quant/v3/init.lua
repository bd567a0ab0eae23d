--- Quantization for ESP-DL v3: what others use of it.
return {
  prepare = require "espquant.quant.v3.prepare",
  check = require "espquant.quant.v3.check",
  lanes = require "espquant.quant.v3.lanes",
  policy = require "espquant.quant.v3.policy",
  apply = require "espquant.quant.v3.apply",
  target = require "espquant.quant.v3.target",
}
