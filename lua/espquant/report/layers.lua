--- A drawing of a graph in layers: where each node stands and how each edge runs.
---
---     local drawing = layers(nodes, { width = 150, height = 36 })
---
--- `nodes` is a list in topological order of { inputs = { indexes of nodes that feed it } }. The result has a list
--- `nodes` of { x, y } (centres), a list `edges` of { from, to, points = { x1, y1, ... } }, `width` and `height`. Every
--- node stands below all that feed it; an edge over several layers goes through a place of its own in each of them, so
--- that it crosses no node. The same graph gives the same drawing.

local GAP_X, GAP_Y = 24, 34
local MOST_PLACES = 20000 -- beyond, long edges are drawn straight
local SWEEPS = 8

-- The layer of each node: one below the lowest of those that feed it.
local function ranks_of(nodes)
  local ranks = {}
  for i, node in ipairs(nodes) do
    local rank = 0
    for _, from in ipairs(node.inputs) do rank = math.max(rank, ranks[from] + 1) end
    ranks[i] = rank
  end
  return ranks
end

-- A node that nothing feeds (a second input) stands just above the first that reads it.
local function lower_sources(nodes, ranks)
  local lowest = {}
  for i, node in ipairs(nodes) do
    for _, from in ipairs(node.inputs) do lowest[from] = math.min(lowest[from] or math.huge, ranks[i] - 1) end
  end
  for i, node in ipairs(nodes) do
    if #node.inputs == 0 and lowest[i] then ranks[i] = lowest[i] end
  end
end

-- Places: one for each node, and one for each layer that an edge passes. Returns the places (index = node for the first
-- ones) and the edges, each a list of places.
local function places_of(nodes, ranks)
  local places, edges, extra = {}, {}, 0
  for i, rank in ipairs(ranks) do places[i] = { rank = rank, above = {}, below = {} } end
  for to, node in ipairs(nodes) do
    for _, from in ipairs(node.inputs) do
      local path = { from }
      for rank = ranks[from] + 1, ranks[to] - 1 do
        if extra >= MOST_PLACES then break end
        extra = extra + 1
        places[#places + 1] = { rank = rank, above = {}, below = {}, thin = true }
        path[#path + 1] = #places
      end
      path[#path + 1] = to
      edges[#edges + 1] = { from = from, to = to, path = path }
    end
  end
  return places, edges
end

local function link(places, edges)
  for _, edge in ipairs(edges) do
    for k = 2, #edge.path do
      local a, b = edge.path[k - 1], edge.path[k]
      table.insert(places[a].below, b)
      table.insert(places[b].above, a)
    end
  end
end

local function rows_of(places)
  local rows, last = {}, 0
  for i, place in ipairs(places) do
    rows[place.rank] = rows[place.rank] or {}
    table.insert(rows[place.rank], i)
    last = math.max(last, place.rank)
  end
  return rows, last
end

local function number(row, places)
  for order, i in ipairs(row) do places[i].order = order end
end

-- Sorts a row by the mean order of the neighbours on one side; places without any keep theirs.
local function sort_row(row, places, side)
  local key = {}
  for _, i in ipairs(row) do
    local sum, n = 0, #places[i][side]
    for _, k in ipairs(places[i][side]) do sum = sum + places[k].order end
    key[i] = n > 0 and sum / n or places[i].order
  end
  table.sort(row, function(a, b)
    if key[a] ~= key[b] then return key[a] < key[b] end
    return places[a].order < places[b].order
  end)
  number(row, places)
end

local function order_rows(rows, last, places)
  for rank = 0, last do number(rows[rank], places) end
  for sweep = 1, SWEEPS do
    local down = sweep % 2 == 1
    for rank = down and 0 or last, down and last or 0, down and 1 or -1 do
      sort_row(rows[rank], places, down and "above" or "below")
    end
  end
end

local function mean_x(place, places, side)
  local sum, n = 0, 0
  for _, k in ipairs(place[side]) do sum, n = sum + places[k].x, n + 1 end
  return n > 0 and sum / n or place.x
end

-- Moves the places of a row towards their neighbours without changing their order: pushed to the right from the left
-- end, to the left from the right end, and the mean of both.
local function settle_row(row, places, side, distance)
  local left, right = {}, {}
  for k, i in ipairs(row) do
    left[k] = mean_x(places[i], places, side)
    if k > 1 then left[k] = math.max(left[k], left[k - 1] + distance(row[k - 1], i)) end
  end
  for k = #row, 1, -1 do
    right[k] = mean_x(places[row[k]], places, side)
    if k < #row then right[k] = math.min(right[k], right[k + 1] - distance(row[k], row[k + 1])) end
  end
  for k, i in ipairs(row) do places[i].x = (left[k] + right[k]) / 2 end
end

local function set_x(rows, last, places, width)
  local function half(i) return (places[i].thin and 8 or width) / 2 end
  local function distance(a, b) return half(a) + half(b) + GAP_X end
  for rank = 0, last do
    local x = 0
    for k, i in ipairs(rows[rank]) do
      x = k > 1 and x + distance(rows[rank][k - 1], i) or 0
      places[i].x = x
    end
  end
  for sweep = 1, SWEEPS do
    local down = sweep % 2 == 1
    for rank = down and 1 or last - 1, down and last or 0, down and 1 or -1 do
      settle_row(rows[rank], places, down and "above" or "below", distance)
    end
  end
end

local function round(x) return math.floor(x + 0.5) end

-- Everything to the right of 0; returns the width.
local function shift(places, width)
  local lo, hi = math.huge, -math.huge
  for _, place in ipairs(places) do lo, hi = math.min(lo, place.x), math.max(hi, place.x) end
  for _, place in ipairs(places) do place.x = round(place.x - lo + width / 2 + GAP_X) end
  return round(hi - lo + width + 2 * GAP_X)
end

return function(nodes, size)
  if #nodes == 0 then return { nodes = {}, edges = {}, width = 0, height = 0 } end
  local ranks = ranks_of(nodes)
  lower_sources(nodes, ranks)
  local places, edges = places_of(nodes, ranks)
  link(places, edges)
  local rows, last = rows_of(places)
  order_rows(rows, last, places)
  set_x(rows, last, places, size.width)
  local drawing = { nodes = {}, edges = {}, width = shift(places, size.width) }
  local step = size.height + GAP_Y
  drawing.height = (last + 1) * step + GAP_Y
  for _, place in ipairs(places) do place.y = round(GAP_Y + place.rank * step + size.height / 2) end
  for i in ipairs(nodes) do drawing.nodes[i] = { x = places[i].x, y = places[i].y } end
  for k, edge in ipairs(edges) do
    local points = {}
    for _, i in ipairs(edge.path) do
      points[#points + 1] = places[i].x
      points[#points + 1] = places[i].y
    end
    drawing.edges[k] = { from = edge.from, to = edge.to, points = points }
  end
  return drawing
end
