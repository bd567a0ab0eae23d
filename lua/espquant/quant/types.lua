--- The original's public lists of operators: attributes of its Calibrator and Evaluator.
---
---     types.attributes(calib, "calibrator")      -- sets calib.supported_arithmetic_type ...
---
--- They are data of the original, not what espquant can do: that is `check_model`'s answer, or `espquant ops`.

local M = {}

M.calibrator = {
  supported_arithmetic_type = { "Add", "AveragePool", "Conv", "Gemm", "GlobalAveragePool", "Mul", "Sub" },
  supported_activation_type = { "LeakyRelu", "Relu", "PRelu" },
  supported_nonarithmetic_type = {
    "Concat", "Expand", "Flatten", "GlobalMaxPool", "Max", "MaxPool", "Min", "Pad", "Reshape", "Squeeze", "Transpose",
  },
  special_type = { "Slice", "Shape" },
}

M.evaluator = {
  supported_arithmetic_type = M.calibrator.supported_arithmetic_type,
  supported_activation_type = M.calibrator.supported_activation_type,
  supported_nonarithmetic_type = { "Concat", "GlobalMaxPool", "Max", "MaxPool", "Min" },
  special_type = { "Flatten", "Squeeze", "Slice", "Shape", "Transpose", "Reshape" },
}

--- Gives the object copies of its role's lists.
function M.attributes(object, role)
  for field, list in pairs(M[role]) do object[field] = { table.unpack(list) } end
end

return M
