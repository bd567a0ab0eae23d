--- Lists of axes, permutations and dimensions: what passes that move, cut or reshape have in common. Axes are 0-based,
--- as ONNX counts them.

local M = {}

--- Input i as a list of integers: of a constant of rank 1 and type int64 or int32. Nil otherwise.
function M.constant_list(node, i)
  local value = node:input(i)
  local t = value and value.constant
  if not t or t.rank ~= 1 or (t.dtype ~= "int64" and t.dtype ~= "int32") then return nil end
  return t:totable()
end

--- An attribute that is a list of integers; nil for every other.
function M.attribute(node, name)
  local list = node:attr(name)
  if type(list) ~= "table" then return nil end
  for _, entry in ipairs(list) do
    if math.type(entry) ~= "integer" then return nil end
  end
  return list
end

--- The list that newer opsets have in input i and older ones in the attribute of that name; nil where it is absent or
--- not known.
function M.read(node, name, i)
  if node:input(i) then return M.constant_list(node, i) end
  return M.attribute(node, name)
end

--- Ascending axes from 0 to rank - 1; nil where there is no rank, or one axis is out of range or twice there.
function M.normalize(list, rank)
  local result, seen = {}, {}
  if not list or not rank then return nil end
  for i, axis in ipairs(list) do
    axis = axis < 0 and axis + rank or axis
    if axis < 0 or axis >= rank or seen[axis] then return nil end
    result[i], seen[axis] = axis, true
  end
  table.sort(result)
  return result
end

function M.equal(a, b)
  if #a ~= #b then return false end
  for i, entry in ipairs(a) do
    if entry ~= b[i] then return false end
  end
  return true
end

--- The permutation of a Transpose of that rank (reversed axes where it names none); nil where it is none.
function M.permutation(node, rank)
  local perm = M.attribute(node, "perm")
  if not perm then
    perm = {}
    if node:has_attr "perm" or not rank then return nil end
    for i = 1, rank do perm[i] = rank - i end
  end
  return (not rank or #perm == rank) and M.normalize(perm, #perm) and perm
end

--- One permutation for `first` and then `second`.
function M.compose(first, second)
  local result = {}
  if #first ~= #second then return nil end
  for i, axis in ipairs(second) do result[i] = first[axis + 1] end
  return result
end

function M.rank(value)
  return value and value.shape and #value.shape
end

--- The list if all of its dimensions are numbers; nil otherwise.
function M.known(dims)
  for _, d in ipairs(dims or {}) do
    if math.type(d) ~= "integer" then return nil end
  end
  return dims
end

--- What a Shape node gives: a list of numbers, names and false; nil where the rank is not known.
function M.dimensions(node)
  local shape = node:input(1).shape
  local first, last = node:attr("start", 0), node:attr("end", shape and #shape)
  if not shape or math.type(first) ~= "integer" or math.type(last) ~= "integer" then return nil end
  local dims = {}
  for i, place in ipairs(M.places(first, last, 1, #shape)) do dims[i] = shape[place + 1] end
  return dims
end

--- Axes of an intermediate tensor and those taken out to get there, as axes of the first: `outer` are gone, and
--- `inner` count what is left of `rank`. Ascending.
function M.insert(outer, inner, rank)
  local left, is_outer, result = {}, {}, { table.unpack(outer) }
  for _, axis in ipairs(outer) do is_outer[axis] = true end
  for axis = 0, rank - 1 do
    if not is_outer[axis] then left[#left + 1] = axis end
  end
  for _, axis in ipairs(inner) do result[#result + 1] = left[axis + 1] end
  table.sort(result)
  return result
end

-- One bound of a slice as Python and ONNX take it: from the end when negative, cut to low..high.
local function bound(n, size, low, high)
  return math.max(low, math.min(n < 0 and n + size or n, high))
end

--- The 0-based places that start:stop:step takes of an axis of that size.
function M.places(start, stop, step, size)
  local list, up = {}, step > 0
  local first = bound(start, size, 0, up and size or size - 1)
  local last = bound(stop, size, up and 0 or -1, up and size or size - 1)
  for place = first, last + (up and -1 or 1), step do list[#list + 1] = place end
  return list
end

--- The parts of a Slice: {starts =, ends =, axes =, steps =}, axes from 0 to rank - 1; nil where not all are known.
function M.slice(node)
  local rank, s = M.rank(node:input(1)), {}
  s.starts, s.ends = M.read(node, "starts", 2), M.read(node, "ends", 3)
  if not rank or not s.starts or not s.ends then return nil end
  s.axes, s.steps = M.read(node, "axes", 4), M.constant_list(node, 5)
  if (node:input(4) and not s.axes) or (node:input(5) and not s.steps) then return nil end
  local axes, steps = {}, {}
  for i in ipairs(s.starts) do
    axes[i] = s.axes and s.axes[i] or i - 1
    axes[i] = axes[i] < 0 and axes[i] + rank or axes[i]
    steps[i] = s.steps and s.steps[i] or 1
    if steps[i] == 0 then return nil end
  end
  s.axes, s.steps = axes, steps
  return #s.ends == #s.starts and M.normalize(axes, rank) and s
end

return M
