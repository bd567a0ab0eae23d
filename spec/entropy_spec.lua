-- The search for a threshold against the original's, to the bit, on recorded arrays; its refusals too.
local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"

describe("the entropy threshold", function()
  it("is the original's, bit for bit", function()
    local pack, equal, refused = fixtures.open "entropy_unit", 0, 0
    local expected = pack.json "expected.json"
    for _, name in ipairs(pack.names "%.npy$") do
      local want = expected[tonumber(name:match "%d+") + 1]
      local threshold, _, _, exception, text = core.entropy_threshold(pack.tensor(name))
      if want.error then
        assert.is_nil(threshold)
        assert.equal(want.error, exception)
        assert.equal(want.message, text)
        refused = refused + 1
      else
        assert.equal(want.threshold, threshold)
        equal = equal + 1
      end
    end
    print(("\n%d thresholds identical to the bit, %d refusals"):format(equal, refused))
    assert.equal(#expected, equal + refused)
  end)
end)
