-- The observers of ESP-DL v3 (csrc/stats/kl.h, mse.h, percentile.h) against transcriptions of their rules, and as
-- observations of tensors in every layout.
local core = require "espquant.core"
local support = require "spec.support.run"

local network, numbers, run, ALL = support.network, support.numbers, support.run, support.ALL
local BINS, LEVELS = 4096, 128

-- --- the rules, slowly -----------------------------------------------------------------------------------------------

local function sorted(t)
  local list = t:reshape({ -1 }):totable()
  table.sort(list)
  return list
end

local function naive_percentile(list, part)
  local n = #list
  return list[math.floor(n * (1 - part)) + 1], list[math.min(math.floor(n * part), n - 1) + 1]
end

local function magnitudes(list)
  local hi = math.max(-list[1], list[#list])
  local h = {}
  for i = 1, BINS do h[i] = 0 end
  for _, x in ipairs(list) do
    local bin = math.min(math.floor(math.abs(x) * BINS / hi), BINS - 1) + 1
    h[bin] = h[bin] + 1
  end
  return h, hi
end

-- P and Q of the range of r bins, as lists that add up to 1.
local function distributions(h, r, total)
  local p, q, beyond, sum = {}, {}, 0, 0
  for i = r + 1, BINS do beyond = beyond + h[i] end
  for i = 1, r do p[i] = (h[i] + (i == r and beyond or 0)) / total end
  local width = r // LEVELS
  for first = 1, r, width do
    local count, filled = 0, 0
    for i = first, first + width - 1 do count, filled = count + h[i], filled + (h[i] > 0 and 1 or 0) end
    for i = first, first + width - 1 do q[i] = h[i] > 0 and count / filled or 0 end
    sum = sum + count
  end
  for i = 1, r do q[i] = q[i] / sum end
  return p, q
end

local function log10(x) return math.log(x + 1e-30, 10) end

local function naive_kl(list)
  local h, hi = magnitudes(list)
  for i = 1, 8 do h[i] = 0 end
  h[9] = 1
  local total, best, least = 0, nil, math.huge
  for i = 1, BINS do total = total + h[i] end
  for r = LEVELS, BINS, LEVELS do
    local p, q = distributions(h, r, total)
    local d = 0
    for i = 1, r do
      if p[i] > 0 then d = d + p[i] * (log10(p[i]) - log10(q[i])) end
    end
    if d < least then best, least = r, d end
  end
  return math.floor(math.log(best * (hi / BINS) / LEVELS, 2) + 0.5)
end

-- Of the elements themselves, so that the bins' width is an error: only exponents clearly better are compared.
local function squared_error(list, e, bits)
  local sum, most = 0, 2 ^ (bits - 1) - 1
  for _, x in ipairs(list) do
    local d = math.abs(x) - math.min(math.floor(math.abs(x) / 2.0 ^ e + 0.5), most) * 2.0 ^ e
    sum = sum + d * d
  end
  return sum
end

-- --- data ------------------------------------------------------------------------------------------------------------

local function random(seed)
  return function()
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return seed / 0x7fffffff
  end
end

-- n numbers: spikes near zero with tails of exponent `tail`, some of them zero.
local function data(n, seed, tail)
  local next_number, list = random(seed), {}
  for i = 1, n do
    local x = (next_number() * 2 - 1) ^ tail
    list[i] = next_number() < 0.1 and 0 or x * 7
  end
  return core.tensor_from(list, "float32")
end

local SETS = {}
for i, tail in ipairs { 1, 3, 5, 9, 15 } do SETS[#SETS + 1] = data(20011, i, tail) end
SETS[#SETS + 1] = data(9999, 7, 3)
SETS[#SETS + 1] = data(10001, 8, 7)
SETS[#SETS + 1] = core.tensor_from({ 0, 0, 3, 0, 0.5 }, "float32") -- few distinct values: divergences of exactly 0
SETS[#SETS + 1] = core.tensor_from({ -4 }, "float32")

describe("observers of ESP-DL v3", function()
  it("take percentiles by counting what sorting finds", function()
    for i, t in ipairs(SETS) do
      local list = sorted(t)
      for _, part in ipairs { 0.9999, 0.999, 0.9, 0.5, 1 } do
        assert.same({ naive_percentile(list, part) }, { core.percentile(t, part) }, i .. " " .. part)
      end
    end
    local lo = core.percentile(core.tensor_from({ 1, 0 / 0, 2 }, "float32"))
    assert.is_true(lo ~= lo)
  end)

  it("search the range of smallest divergence", function()
    local found = {}
    for i, t in ipairs(SETS) do
      local e = core.histogram_exponent(t, "kl", 8)
      assert.equal(naive_kl(sorted(t)), e, i)
      found[e] = true
    end
    assert.is_true(next(found, next(found)) ~= nil) -- not all the same
  end)

  it("find the exponent of smallest squared error", function()
    local cut = 0
    for i, t in ipairs(SETS) do
      local list = sorted(t)
      for _, bits in ipairs { 8, 16 } do
        local e = core.histogram_exponent(t, "mse", bits)
        local error = squared_error(list, e, bits)
        for other = e - 4, e + 4 do
          assert.is_true(bits == 16 or error <= squared_error(list, other, bits) * 1.1, i .. ": " .. e .. " " .. other)
        end
        if e < core.v3_exponent_of_absmax(t:maxabs(), bits) then cut = cut + 1 end
      end
    end
    assert.is_true(cut > 0)
  end)

  it("have rules for ranges, zeros and what is not finite", function()
    local rule, inf = core.v3_exponent_of_absmax, math.huge
    assert.equal(0, rule(127.5, 8)) -- 2 * 127.5 / 255 is 1
    assert.equal(1, rule(127.50001, 8))
    assert.equal(-8, rule(127.5 / 256, 8))
    assert.equal(0, rule(32767.5, 16))
    assert.same({ -26, -26, inf }, { rule(0, 8), rule(0, 16), rule(inf, 8) })
    assert.is_true(rule(0 / 0, 8) ~= rule(0 / 0, 8))
    local zeros = core.tensor({ 5 })
    assert.same({ -26, -26 }, { core.histogram_exponent(zeros, "kl", 8), core.histogram_exponent(zeros, "mse", 16) })
    assert.has_error(function() core.histogram_exponent(zeros, "kl", 16) end)
    assert.has_error(function() core.histogram_exponent(zeros, "minmax", 8) end)
    assert.has_error(function() core.percentile(zeros, 0.1) end)
  end)
end)

describe("observations for ESP-DL v3", function()
  after_each(function() collectgarbage() collectgarbage() end)

  local CONFIGURATIONS = { { threads = 1 }, { threads = 3, micro_batch = 4 }, { threads = 2, micro_batch = 1 } }

  -- f(exec, images, names) for each configuration, in one run and in two.
  local function each_run(f)
    local g, images = network(), numbers { 11, 3, 8, 8 }
    for _, options in ipairs(CONFIGURATIONS) do
      options.outputs = {}
      local exec <close> = assert(core.executor(g, options))
      f(function(o)
        assert(exec:run(images:slice(1, 4), o, false))
        assert(exec:run(images:slice(5, 11), o, false))
        return o
      end, g, run(g, images, { outputs = ALL }))
    end
  end

  it("give the exponents of the tensors that they saw", function()
    each_run(function(feed, g, tensors)
      local h = feed(assert(core.observe_histogram(feed(assert(core.observe_range(g, ALL))), "v3")))
      for _, choice in ipairs { { "kl", 8 }, { "mse", 8 }, { "mse", 16 } } do
        local exponents = assert(h:exponents(choice[1], choice[2], 2))
        for i in ipairs(ALL) do
          assert.equal(core.histogram_exponent(tensors[i], choice[1], choice[2]), exponents[i], choice[1] .. ALL[i])
        end
      end
      assert.is_nil(h:thresholds())
      assert.has_error(function() h:exponents("kl", 16) end)
    end)
  end)

  it("average percentiles image by image", function()
    each_run(function(feed, g, tensors)
      local p = feed(assert(core.observe_percentile(g, ALL)))
      for i, t in ipairs(tensors) do
        local lo, hi = 0, 0
        for image = 1, #t do
          local one_lo, one_hi = core.percentile(t:slice(image, image))
          lo, hi = lo + one_lo, hi + one_hi
        end
        local mean = core.tensor_from({ lo / #t, hi / #t }, "float32"):totable()
        assert.same({ mean[1], mean[2], false, #t }, { p:range(i) }, ALL[i])
      end
    end)
  end)

  it("of zeros and NaN have exponents that say so", function()
    local g = support.build({ { "x", { "N", 4 } } }, { { "Relu", { "x" }, "y" } }, { "y" })
    local function exponents(values)
      local exec <close> = assert(core.executor(g, { threads = 1 }))
      local x = core.tensor_from({ values }, "float32")
      local ranges = assert(core.observe_range(g, { "x", "y" }))
      assert(exec:run(x, ranges, false))
      local h = assert(core.observe_histogram(ranges, "v3"))
      assert(exec:run(x, h, false))
      return h:exponents("kl", 8), h:exponents("mse", 16)
    end
    local kl, mse = exponents { 0, 0, 0, 0 }
    assert.same({ { -27, -27 }, { -26, -26 } }, { kl, mse })
    kl = exponents { 0, 1, 0 / 0, 0 }
    assert.is_true(kl[1] ~= kl[1])
    assert.equal(math.huge, exponents({ 0, 1, 1 / 0, 0 })[1])
  end)
end)
