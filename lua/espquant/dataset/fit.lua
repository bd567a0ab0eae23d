--- Fitting arrays to the inputs of a model: shapes, types, and what to say where they do not go together.
---
--- An input is anything with `name`, `dtype` and `shape` (a list of numbers, with false or a symbol for what is open),
--- such as a graph's value. Views only: nothing is copied before `cast`.

local shape_text = require "espquant.shape".text

local M = {}

--- True for a tensor.
function M.is_tensor(value)
  local meta = type(value) == "userdata" and getmetatable(value)
  return meta and meta.__name == "espquant.tensor" or false
end

local function matches(shape, from, want, first)
  if #shape - from ~= #want - first then return false end
  for i = 0, #want - first do
    local d = want[first + i]
    if math.type(d) == "integer" and d ~= shape[from + i] then return false end
  end
  return true
end

-- The shape with the images' axis first that an array of `shape` has for an input of shape `want`, or nil: as it is, or
-- one image without its axis.
local function with_images(shape, want)
  if #shape == #want and matches(shape, 2, want, 2) then return shape end
  if matches(shape, 1, want, 2) then return { 1, table.unpack(shape) } end
end

-- As `with_images`; or both without a channel axis of 1, which comes first (PyTorch) or last (TensorFlow).
local function fitted_shape(shape, want)
  if #want == 0 then return nil end
  local fitted = with_images(shape, want)
  for _, axis in ipairs { 2, #want } do
    if fitted then return fitted end
    if axis > 1 and want[axis] == 1 then
      local bare = { table.unpack(want) }
      table.remove(bare, axis)
      fitted = with_images(shape, bare)
      fitted = fitted and { table.unpack(fitted) }
      if fitted then table.insert(fitted, axis, 1) end
    end
  end
  return fitted
end

--- The array as a view whose first axis counts images; or nil, message, "format". `where` names the array.
function M.view(tensor, input, where)
  local shape, want = tensor.shape, input.shape
  if not want then return #shape > 0 and tensor or tensor:reshape { 1 } end
  local fitted = fitted_shape(shape, want)
  if not fitted or (input.dtype ~= "float32" and tensor.dtype ~= input.dtype) then
    return nil, ("%s: input '%s' expects %s %s, got %s %s"):format(where, input.name, input.dtype,
      shape_text(want, "any shape"), tensor.dtype, shape_text(shape)), "format"
  end
  return fitted == shape and tensor or tensor:reshape(fitted)
end

--- Rows as the input's numbers: float32, times `scale` where one is given. A float32 tensor without scale is returned
--- as it is. Raises nothing that the shapes allow; a lack of memory is returned as nil, message, code.
function M.cast(tensor, input, scale)
  local message, code
  if input.dtype ~= "float32" then return tensor end
  if tensor.dtype ~= "float32" then
    tensor, message, code = tensor:astype "float32"
    if not tensor then return nil, message, code end
  end
  return scale and tensor * scale or tensor
end

return M
