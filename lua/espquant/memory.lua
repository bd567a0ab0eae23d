--- What lies in memory while a model runs, node by node, in elements or bytes; and where a planner puts it.
---
---     local steps, peak = memory.timeline(model)
---     print(steps[peak].node:label(), steps[peak].elements)
---     local plan = memory.plan(model, bytes_of)          -- plan.size, plan.blocks[1].offset
---
--- A tensor lives from the node that makes it (inputs: from the start) to the last that reads it (outputs: to the end).
--- Operators that only rename their input share its memory. Unknown dimensions count as 1: a batch is one image.

local M = {}

-- These give their input another shape.
local RENAMES = { Reshape = true, Flatten = true, Squeeze = true, Unsqueeze = true, Identity = true, Dropout = true }

local function elements(shape)
  local n = 1
  for _, d in ipairs(shape or {}) do n = n * (math.type(d) == "integer" and d or 1) end
  return n
end

--- A list of { name =, elements = (by `size_of(value)`, if given), first =, last = } for every block of memory:
--- `first` and `last` are numbers of nodes in graph order, 0 before the first. Blocks are in the order in which they
--- appear; a block has the name of the first tensor in it.
function M.blocks(model, size_of)
  local blocks, of, step = {}, {}, 0
  local function make(value)
    local size = size_of and size_of(value) or elements(value.shape)
    local block = { name = value.name, elements = size, first = step, last = step }
    blocks[#blocks + 1], of[value.name] = block, block
  end
  for _, input in ipairs(model.inputs) do make(input) end
  for node in model:nodes() do
    step = step + 1
    for _, input in ipairs(node.inputs) do
      if input and of[input.name] then of[input.name].last = step end
    end
    local from = RENAMES[node.op_type] and of[node:input(1).name]
    for _, output in ipairs(node.outputs) do
      if output and not output.constant then
        if from then of[output.name] = from else make(output) end
      end
    end
  end
  for _, output in ipairs(model.outputs) do
    if of[output.name] then of[output.name].last = step end
  end
  return blocks, step
end

--- For each node in graph order { node =, elements = in all blocks that live, live = how many }; and the number of the
--- step with the most elements.
function M.timeline(model)
  local blocks, count = M.blocks(model)
  local steps, add, drop = {}, {}, {}
  for _, block in ipairs(blocks) do
    local first = math.max(block.first, 1)
    add[first] = add[first] or {}
    table.insert(add[first], block)
    drop[block.last] = drop[block.last] or {}
    table.insert(drop[block.last], block)
  end
  local sum, live, peak = 0, 0, nil
  local nodes = model:node_list()
  for step = 1, count do
    for _, block in ipairs(add[step] or {}) do sum, live = sum + block.elements, live + 1 end
    steps[step] = { node = nodes[step], elements = sum, live = live }
    if not peak or sum > steps[peak].elements then peak = step end
    for _, block in ipairs(drop[step] or {}) do sum, live = sum - block.elements, live - 1 end
  end
  return steps, peak
end

local ALIGNMENT = 16

local function live_together(a, b) return a.first <= b.last and b.first <= a.last end

-- The lowest aligned offset at which the block fits between those that live with it; `placed` is sorted by offset.
local function lowest_offset(block, placed)
  local offset = 0
  for _, other in ipairs(placed) do
    if live_together(block, other) then
      if offset + block.elements <= other.offset then break end
      offset = math.max(offset, (other.offset + other.elements + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    end
  end
  return offset
end

local function insert(placed, block)
  local low, high = 1, #placed + 1
  while low < high do
    local middle = (low + high) // 2
    if placed[middle].offset <= block.offset then low = middle + 1 else high = middle end
  end
  table.insert(placed, low, block)
end

-- The blocks, small or large ones first.
local function sorted(blocks, small)
  local order = table.move(blocks, 1, #blocks, 1, {})
  for i, block in ipairs(order) do block.index = i end
  table.sort(order, function(a, b)
    if a.elements == b.elements then return a.index < b.index end
    return (a.elements < b.elements) == small
  end)
  return order
end

-- Puts blocks into one arena, each as low as it fits; returns its size and the blocks that would go beyond `limit`.
local function fill(order, limit)
  local placed, left, size = {}, {}, 0
  for _, block in ipairs(order) do
    local offset = lowest_offset(block, placed)
    local stop = offset + block.elements
    if stop > limit then left[#left + 1] = block
    else
      block.offset = offset
      insert(placed, block)
      size = math.max(size, stop)
    end
  end
  return size, left
end

--- An arena for all blocks, as a greedy planner makes it: large blocks first, each as low as it fits. With `internal`,
--- small blocks go into a first arena of that size as long as they fit, the others into a second. Returns { size = of
--- both, internal = bytes or nil, external = or nil, blocks = (of M.blocks, with `offset`, and `is_internal`), least =
--- what no plan of one arena can be below }. `size_of(value)`: bytes.
function M.plan(model, size_of, internal)
  local blocks, least, live = M.blocks(model, size_of), 0, {}
  for _, block in ipairs(blocks) do
    for step = block.first, block.last do live[step] = (live[step] or 0) + block.elements end
  end
  for _, bytes in pairs(live) do least = math.max(least, bytes) end
  local plan, rest = { blocks = blocks, least = least }, blocks
  if internal then
    plan.internal, rest = fill(sorted(blocks, true), internal)
    for _, block in ipairs(blocks) do block.is_internal = block.offset ~= nil end
  end
  local size = fill(sorted(rest, false), math.huge)
  plan.external = internal and size
  plan.size = size + (plan.internal or 0)
  return plan
end

return M
