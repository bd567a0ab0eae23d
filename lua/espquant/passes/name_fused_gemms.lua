--- Before: Gemm without a name    After: Gemm named fused_gemm_0, fused_gemm_1, ... (exporters need names)
local pass = require "espquant.pass"

return pass {
  name = "name_fused_gemms",
  run = function(graph)
    local count, next_number = 0, 0
    for node in graph:nodes() do
      if node.op_type == "Gemm" and node.name == "" then
        while graph:node("fused_gemm_" .. next_number) do next_number = next_number + 1 end
        node.name = "fused_gemm_" .. next_number
        count = count + 1
      end
    end
    return count
  end,
}
