local harness = require "spec.support.pass_harness"

local function gemms(names)
  return function(b)
    local x = b.input("x", { 1, 2 })
    for i, name in ipairs(names) do x = b.node("Gemm", { x, b.random("w" .. i, { 2, 2 }) }, { name = name }) end
    b.output(b.node("Relu", { x }, { out = "y" }))
  end
end

local function expect(names)
  return function(graph)
    local got = {}
    for node in graph:nodes() do got[#got + 1] = node.name end
    assert.equal(names, table.concat(got, ","))
  end
end

harness.describe("name_fused_gemms", {
  { "numbers them in order, and no other node", build = gemms { "", "", "" }, changes = 3, exact = true,
    check = expect "fused_gemm_0,fused_gemm_1,fused_gemm_2," },
  { "keeps names, and does not give one twice", changes = 2, exact = true,
    build = gemms { "", "fused_gemm_1", "fc", "" }, check = expect "fused_gemm_0,fused_gemm_1,fc,fused_gemm_2," },
  { "changes nothing where all have names", build = gemms { "a", "a" }, changes = 0, exact = true,
    check = expect "a,a," },
})
