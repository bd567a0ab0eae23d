--- What a refusal says, whichever way it comes: nil, message, code[, problems], or a raised error object.
---
---     local text, code = refusal.of(f, ...)
---     refusal.check("format", { "Conv 'first'", "expected" }, f, ...)      -- the code, and texts that must be said

local assert = require "luassert"
local errors = require "espquant.errors"

local M = {}

--- The whole text, problems included, and the code. What is accepted, or raises anything else, fails.
function M.of(f, ...)
  local r = table.pack(pcall(f, ...))
  local e = r[2]
  if r[1] then
    assert.is_nil(r[2], "is accepted")
    e = errors.new(r[4], r[3], r[5])
  end
  assert.is_true(errors.is(e), "raises " .. tostring(e))
  return tostring(e), e.code
end

--- Fails unless the refusal has this code and says all these texts.
function M.check(code, texts, f, ...)
  local message, got = M.of(f, ...)
  for _, text in ipairs(texts) do assert.matches(text, message, 1, true) end
  assert.equal(code, got, message)
end

return M
