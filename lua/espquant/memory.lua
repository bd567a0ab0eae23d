--- What lies in memory while a model runs, node by node, in elements: the basis of a memory plan.
---
---     local steps, peak = memory.timeline(model)
---     print(steps[peak].node:label(), steps[peak].elements)
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

--- A list of { name =, elements =, first =, last = } for every block of memory: `first` and `last` are numbers of nodes
--- in graph order, 0 before the first. Blocks are in the order in which they appear; a block has the name of the first
--- tensor in it.
function M.blocks(model)
  local blocks, of, step = {}, {}, 0
  local function make(value)
    local block = { name = value.name, elements = elements(value.shape), first = step, last = step }
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

return M
