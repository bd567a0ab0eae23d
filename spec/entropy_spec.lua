-- The search for a threshold against the original's, to the bit, on recorded arrays; its refusals too.
local core = require "espquant.core"
local fixtures = require "spec.support.fixtures"
local npy = require "espquant.codec.npy"
local cjson = require "cjson"

describe("the entropy threshold", function()
  it("is the original's, bit for bit", function()
    local files = fixtures.unpack "entropy_unit.tar.gz"
    local expected, equal, refused = nil, 0, 0
    for name, bytes in pairs(files) do
      if name:match "expected%.json$" then expected = cjson.decode(bytes) end
    end
    assert(expected)
    for name, bytes in pairs(files) do
      local number = name:match "(%d+)%.npy$"
      if number then
        local want = expected[tonumber(number) + 1]
        local threshold, _, _, exception, text = core.entropy_threshold(core.tensor_frombytes(assert(npy.decode(bytes))))
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
    end
    print(("\n%d thresholds identical to the bit, %d refusals"):format(equal, refused))
    assert.is_true(equal >= 50 and refused >= 5)
  end)
end)
