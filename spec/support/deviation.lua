--- Where we may differ from the original, and by how much: elements before their floor, and exponents whose maximum or
--- threshold lies within float error of a boundary.
local core = require "espquant.core"
local net = require "spec.support.net"

local M = {}

-- What stands between a result and its floor.
local PASSED = { Clip = true, Add = true }

--- The values of a rewritten graph's tensor before its floor, of the tensor's shape; nil where it has no floor of its
--- own. A bias that is added after the floor is not in them.
function M.before_floor(graph, name, images)
  local producer = graph:value(name).producer
  while producer and PASSED[producer.op_type] do producer = producer:input(1).producer end
  if not producer or producer.op_type ~= "Floor" then return nil end
  local exec <close> = assert(core.executor(graph, { outputs = { producer:input(1).name } }))
  return assert(exec:run(images))[1]
end

--- The elements that differ: a list of { index = (from 1), want, got, before = (a text) }.
function M.list(want, got, graph, name, images)
  local before = M.before_floor(graph, name, images)
  local a, b, list = want:reshape({ -1 }):totable(), got:reshape({ -1 }):totable(), {}
  local floats = before and before:reshape({ -1 }):totable()
  for i, x in ipairs(a) do
    if x ~= b[i] then
      list[#list + 1] = { index = i, want = x, got = b[i], before = floats and ("%.9g"):format(floats[i]) or "none" }
    end
  end
  return list
end

-- Relative error of a float32 tensor that another order of sums makes, and how many of such are tried.
local FLOAT_ERROR, TRIALS = 2.0 ^ -20, 24

-- Exponent and figure (maximum or threshold) of a measured tensor; the exponent is nil where the search finds none.
local function measure(tensor, bits, method)
  if method == "minmax" then
    local figure = tensor:maxabs()
    return core.exponent_of_absmax(figure, bits), figure
  end
  local figure = core.entropy_threshold(tensor)
  return figure and core.exponent_of_threshold(figure), figure
end

--- The exponents of a measured tensor within float error: exponent -> figure.
function M.reachable(tensor, bits, method)
  local found = {}
  for seed = 0, TRIALS do
    local noise = tensor * net.tensor(tensor.shape, seed + 1, seed == 0 and 0 or FLOAT_ERROR)
    local e, figure = measure(tensor + noise, bits, method)
    if e then found[e] = found[e] or figure end
  end
  return found
end

--- Measured again for v1.build: name -> exponent, the recorded one where it is within float error; that is printed with
--- both figures. `recorded` is name -> exponents.
function M.measure_again(label, model, data, config, recorded)
  return function(names)
    local exec <close> = assert(core.executor(model, { outputs = names }))
    local found, bits = {}, config[1] == "int8" and 8 or 16
    for i, tensor in ipairs(assert(exec:run(data))) do
      local own, figure = measure(tensor, bits, config[3])
      local other = math.tointeger(recorded[names[i]][1])
      local theirs = other ~= own and M.reachable(tensor, bits, config[3])[other]
      if theirs then
        print(("%s '%s': exponent %s by %.9g, recorded %d as by %.9g within float error"):format(label, names[i],
          tostring(own), figure or 0 / 0, other, theirs))
      end
      found[names[i]] = theirs and other or own
    end
    return found
  end
end

return M
