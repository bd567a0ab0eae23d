--- The cheapest configuration that meets a goal: which observer, and which layers at int16.
---
---     local found = search(units, { least = 0.99, observers = {...}, weight_observers = {...} }, try, report)
---
--- A configuration is { observer =, weight_observer =, wide = { indexes of units at int16, in order } }; try(it)
--- returns { score =, snr = }. Observers cost nothing on the chip, so they are tried first, at int8. Where none of them
--- is good enough and layers are few, their subsets are tried in order of cost. Else each layer alone is given int16,
--- which orders layers by the noise that this takes away, for what it costs; the shortest beginning of that order that
--- meets the goal is searched by halves, and then each of its layers is taken back where the goal is met without it.

local Search = {}
Search.__index = Search

local FEW = 6 -- units whose subsets are all tried

-- Tries a configuration and keeps it for the table of all, once.
function Search:try(observer, weight_observer, wide, label)
  local config = { observer = observer, weight_observer = weight_observer, wide = wide }
  local key = ("%s %s %s"):format(observer, weight_observer, table.concat(wide, " "))
  if self.known[key] then return self.known[key] end
  local figures = self.measure(config)
  local row = { config = config, score = figures.score, snr = figures.snr, label = label, cost = self:cost(wide) }
  self.rows[#self.rows + 1], self.known[key] = row, row
  self.report(row)
  return row
end

-- The share of all work that is done at int16.
function Search:cost(wide)
  local work = 0
  for _, i in ipairs(wide) do work = work + self.units[i].work end
  return self.work > 0 and work / self.work or 0
end

function Search:meets(row) return row.score >= self.options.least end

-- The better of two, by the score, then by the noise.
local function better(a, b)
  if not a or b.score > a.score then return b end
  return b.score == a.score and b.snr > a.snr and b or a
end

-- The best observers at int8; the first that meets the goal ends it.
function Search:observers()
  local best
  for _, observer in ipairs(self.options.observers) do
    best = better(best, self:try(observer, nil, {}, "int8"))
    if self:meets(best) then return best end
  end
  local observer = best.config.observer
  for _, weights in ipairs(self.options.weight_observers) do
    best = better(best, self:try(observer, weights, {}, "int8"))
    if self:meets(best) then return best end
  end
  return best
end

local function layers_text(count) return count == 1 and "1 layer" or ("%d layers"):format(count) end

local function noise(row) return 10 ^ (-row.snr / 10) end

-- Indexes of units, those first whose int16 takes away most noise for its work.
function Search:order(best)
  local gain, order = {}, {}
  for i, unit in ipairs(self.units) do
    local row = self:try(best.config.observer, best.config.weight_observer, { i }, "alone: " .. unit.name)
    gain[i], order[i] = (noise(best) - noise(row)) / math.max(unit.work, 1), i
  end
  table.sort(order, function(a, b)
    if gain[a] ~= gain[b] then return gain[a] > gain[b] end
    return a < b
  end)
  return order
end

local function sorted(list)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy)
  return copy
end

-- The first k of the order, as few as meet the goal; all of them are known to (the row `all`).
function Search:shortest(best, order, all)
  local lo, hi, found = 1, #order, all
  while lo < hi do
    local k = (lo + hi) // 2
    local row = self:try(best.config.observer, best.config.weight_observer,
      sorted(table.move(order, 1, k, 1, {})), layers_text(k))
    if self:meets(row) then found, hi = row, k else lo = k + 1 end
  end
  return found
end

-- Takes layers back, the most expensive first, where the goal is met without.
function Search:prune(found)
  local expensive = table.move(found.config.wide, 1, #found.config.wide, 1, {})
  table.sort(expensive, function(a, b)
    local x, y = self.units[a].work, self.units[b].work
    if x ~= y then return x > y end
    return a < b
  end)
  for _, unit in ipairs(expensive) do
    local rest = {}
    for _, i in ipairs(found.config.wide) do
      if i ~= unit then rest[#rest + 1] = i end
    end
    if #rest == 0 then return found end
    local row = self:try(found.config.observer, found.config.weight_observer, rest,
      ("%s, without %s"):format(layers_text(#rest), self.units[unit].name))
    if self:meets(row) then found = row end
  end
  return found
end

-- The subsets of few units, lists of their indexes, the cheapest first.
function Search:subsets()
  local list = {}
  for mask = 1, (1 << #self.units) - 2 do
    local wide = {}
    for i in ipairs(self.units) do
      if mask >> (i - 1) & 1 == 1 then wide[#wide + 1] = i end
    end
    list[mask] = { wide = wide, cost = self:cost(wide), mask = mask }
  end
  table.sort(list, function(a, b)
    if a.cost ~= b.cost then return a.cost < b.cost end
    return a.mask < b.mask
  end)
  return list
end

-- The cheapest subset that meets the goal; the row `all` does.
function Search:cheapest(best, all)
  for _, subset in ipairs(self:subsets()) do
    local row = self:try(best.config.observer, best.config.weight_observer, subset.wide, layers_text(#subset.wide))
    if self:meets(row) then return row end
  end
  return all
end

function Search:run()
  local best = self:observers()
  if self:meets(best) or #self.units == 0 then return best end
  local everything = {}
  for i in ipairs(self.units) do everything[i] = i end
  local all = self:try(best.config.observer, best.config.weight_observer, everything, "int16")
  if not self:meets(all) then return better(best, all) end
  if #self.units <= FEW then return self:cheapest(best, all) end
  return self:prune(self:shortest(best, self:order(best), all))
end

--- Searches; `report(row)` is told of every configuration that was measured. Returns the row of the best one and the
--- list of all; its score is below options.least where nothing meets the goal.
return function(units, options, measure, report)
  local work = 0
  for _, unit in ipairs(units) do work = work + unit.work end
  local self = setmetatable({
    units = units, options = options, measure = measure, report = report or function() end, rows = {}, known = {},
    work = work,
  }, Search)
  return self:run(), self.rows
end
