--- The original's convert tool: a folder of .npy files and a config.json become coefficients for ESP-DL v1.
---
---     local convert = require "espquant.export.convert"
---     local ok, message, code, problems = convert.write {
---       folder = "model/npy", config = "config.json", target = "esp32s3", granularity = "per-tensor",
---       path = ".", name = "coefficient", log = print,
---     }
---
--- config.json is an object layer name -> {operation, feature_type, bias, activation, filter_exponent,
--- output_exponent, input_exponent}; layers are written in its order. `<layer>_filter.npy` (or `<layer>_kernel.npy`)
--- holds H, W, I, O for conv2d, H, W, C, 1 for depthwise_conv2d, and 1, 1, I, O or I, O for fully_connected;
--- `<layer>_bias.npy` and `<layer>_activation.npy` one number per channel. An exponent that is not given is the
--- smallest that holds the largest number. Every problem is one line with the layer's name; all are found in one run,
--- and then nothing is written.

local core = require "espquant.core"
local cpp_names = require "espquant.export.cpp_names"
local cpp_text = require "espquant.export.cpp_text"
local json = require "espquant.json"
local npy = require "espquant.npy"
local output = require "espquant.export.output"
local quant = require "espquant.quant"

local M = {}

local FIELDS = {
  operation = true, feature_type = true, bias = true, activation = true,
  filter_exponent = true, output_exponent = true, input_exponent = true,
}
local BITS = { s8 = 8, s16 = 16 }

-- What each axis of a filter is, for pack_filter, and which of them counts the channels.
local OPERATIONS = {
  conv2d = { shape = "H, W, I, O", axes = "hwio", axis = 4 },
  depthwise_conv2d = { shape = "H, W, C, 1", axes = "hwoi", axis = 3, grouped = true },
  fully_connected = { shape = "1, 1, I, O or I, O", axes = "hwio", axis = 4 },
}

-- A value of config.json in a message.
local function shown(value)
  if value == nil then return "is missing" end
  if type(value) == "string" then return json.encode(value:sub(1, 60)) end
  return type(value) == "table" and "is no text" or tostring(value)
end

-- --- one layer ------------------------------------------------------------------------------------------------------

-- name, facts (its object in config.json), bits, objects and problems of all layers.
local Layer = {}
Layer.__index = Layer

-- Returns nothing, for `return self:problem(...)`.
function Layer:problem(text, ...)
  self.problems[#self.problems + 1] = ("layer '%s': %s"):format(self.name, text:format(...))
end

-- A given exponent, or nil where there is none or it cannot be one.
function Layer:given(key, facts)
  local e = (facts or self.facts)[key]
  if e == nil or e == json.null then return nil end
  if math.type(e) == "integer" and e >= -127 and e <= 127 then return e end
  self:problem("%s is %s, expected an integer from -127 to 127", key, shown(e))
end

function Layer:path(part)
  return ("%s/%s_%s.npy"):format(self.folder, self.name, part)
end

-- A file as finite float32 numbers, or nil after adding a problem.
function Layer:load(path)
  local t, message = npy.load(path)
  local numbers = t
  if t and t.dtype ~= "float32" then numbers, message = t:astype "float32" end
  if not numbers then
    return self:problem("%s", message)
  end
  if numbers.count == 0 then return self:problem("%s is empty", path) end
  if not numbers:isfinite() then return self:problem("%s holds NaN or an infinity", path) end
  return numbers
end

-- The exponent that holds the largest of these numbers, or nil after adding a problem.
function Layer:measure(path, absmax, remedy)
  local e = core.exponent_of_absmax(absmax, self.bits)
  if math.type(e) ~= "integer" then
    return self:problem("%s holds only zeros, which have no exponent: give %s", path, remedy)
  end
  return e
end

function Layer:add(class, part, bits, object)
  object.class, object.type, object.name = class, ("int%d_t"):format(bits), self.name .. "_" .. part
  self.objects[#self.objects + 1] = object
end

-- The filter with four axes, or nil after adding a problem.
function Layer:four_axes(path, filter, operation)
  local shape = filter.shape
  if self.facts.operation == "fully_connected" then
    if #shape == 2 then return filter:reshape { 1, 1, shape[1], shape[2] } end
    if #shape == 4 and shape[1] * shape[2] ~= 1 then shape[5] = true end
  end
  if #shape == 4 and not (operation.grouped and shape[4] ~= 1) then return filter end
  self:problem("%s has the shape (%s), expected (%s)", path, table.concat(filter.shape, ", "), operation.shape)
end

-- One exponent for each channel; where all numbers are zero, any does.
function Layer:channel_exponents(filter, axis)
  local largest, list = filter:maxabs(axis - 1):totable(), {}
  for c, absmax in ipairs(largest) do list[c] = absmax == 0 and 0 or core.exponent_of_absmax(absmax, self.bits) end
  return list
end

-- Adds the filter; returns its exponents and the number of channels, or nil after adding a problem.
function Layer:filter(operation)
  local path = self:path "filter"
  local found = io.open(path, "rb")
  if found then found:close() else path = self:path "kernel" end
  local filter = self:load(path)
  filter = filter and self:four_axes(path, filter, operation)
  if not filter then return end
  local e
  if self.per_channel then
    e = self:channel_exponents(filter, operation.axis)
  else
    e = { self:given "filter_exponent" or self:measure(path, filter:maxabs(), "filter_exponent") }
  end
  if not e[1] then return end
  local q = assert(filter:quantize(e, self.bits, #e > 1 and operation.axis - 1 or nil))
  local dims = ("{%s}, {1, 1}"):format(table.concat(filter.shape, ", "))
  local layout = { axes = operation.axes, target = self.target, grouped = operation.grouped }
  self:add("Filter", "filter", self.bits, {
    elements = assert(core.pack_filter(q, layout)),
    exponents = self.per_channel and e or nil, exponents_first = true,
    arguments = self.per_channel and dims or ("%d, %s"):format(e[1], dims),
  })
  return e, filter.shape[operation.axis]
end

-- The exponents of the bias, or nil after adding a problem.
function Layer:bias_exponents(e_filter)
  local key = self.per_channel and "input_exponent" or "output_exponent"
  local before = #self.problems
  local e, list = self:given(key), {}
  if not e then
    if #self.problems == before then self:problem("must provide %s for quantization of bias", key) end
    return
  end
  if not self.per_channel then return { e } end
  for c, e_c in ipairs(e_filter) do list[c] = core.exponent_of_bias(e, e_c) end
  return list
end

function Layer:values(part, channels)
  local path = self:path(part)
  local t = self:load(path)
  if t and t.count ~= channels then
    return self:problem("%s holds %d numbers, expected %d", path, t.count, channels)
  end
  return t and t:reshape { -1 }, path
end

function Layer:bias(e_filter, channels)
  local wanted = self.facts.bias
  if wanted == nil or wanted == json.null or wanted == false or wanted == "" then return end
  local bits = self.per_channel and 16 or self.bits
  local e, values = self:bias_exponents(e_filter), (self:values("bias", channels))
  if not (e and values) then return end
  self:add("Bias", "bias", bits, {
    elements = assert(values:quantize(e, bits, #e > 1 and 0 or nil)),
    arguments = ("%d, {%d,}"):format(self.per_channel and -128 or e[1], channels),
  })
end

function Layer:activation(channels)
  local facts = self.facts.activation
  if facts == nil or facts == json.null then return end
  local kind = type(facts) == "table" and facts.type
  if kind == "ReLU" then return self:add("Activation", "activation", self.bits, { kind = kind }) end
  if kind ~= "LeakyReLU" and kind ~= "PReLU" then
    local got = facts
    if type(facts) == "table" then got = facts.type end
    return self:problem("activation type %s, expected ReLU, LeakyReLU or PReLU", shown(got))
  end
  local values, path = self:values("activation", kind == "LeakyReLU" and 1 or channels)
  if not values then return end
  local e = self:given("exponent", facts) or self:measure(path, values:maxabs(), "activation.exponent")
  if not e then return end
  self:add("Activation", "activation", self.bits, {
    kind = kind, elements = assert(values:quantize({ e }, self.bits)),
    arguments = ("%d, {%d,}"):format(e, values.count),
  })
end

-- What config.json says of the layer, checked; the row of OPERATIONS, or nil after adding problems.
function Layer:check()
  local facts, before = self.facts, #self.problems
  if type(facts) ~= "table" or facts == json.null or #facts > 0 then return self:problem "is no object" end
  if not self.name:match "^[%a_][%w_]*$" then self:problem "its name is no identifier of C++" end
  if self.all[self.name:match "^get_(.+)$"] then
    self:problem("its objects are called as the getters of '%s'; rename one of them", self.name:sub(5))
  end
  local operation = OPERATIONS[facts.operation]
  if not operation then
    self:problem("operation %s, expected conv2d, depthwise_conv2d or fully_connected", shown(facts.operation))
  end
  self.bits = BITS[facts.feature_type]
  if not self.bits then
    self:problem("feature_type %s, expected s8 or s16", shown(facts.feature_type))
  elseif self.bits == 16 and self.per_channel then
    self:problem "feature_type s16 knows only per-tensor quantization (-q 0)"
  end
  for key in pairs(facts) do
    if not FIELDS[key] then
      self.warnings[#self.warnings + 1] = ("layer '%s': '%s' is unknown"):format(self.name, key)
    end
  end
  return #self.problems == before and operation or nil
end

function Layer:convert()
  local operation = self:check()
  if not operation then return end
  local e, channels = self:filter(operation)
  if not e then return end
  self:bias(e, channels)
  self:activation(channels)
end

-- --- the folder -----------------------------------------------------------------------------------------------------

-- The layers of config.json and their names in order; or nil, message, code.
local function read_config(path)
  local text, message, code = core.read_file(path)
  if not text then return nil, message, code end
  local layers
  layers, message, code = json.decode(text)
  if layers and (type(layers) ~= "table" or layers == json.null or #layers > 0 or not next(layers)) then
    layers, message, code = nil, "expected an object: layer name -> {operation, feature_type, ...}", "format"
  end
  if not layers then return nil, ("%s: %s"):format(path, message), code end
  return layers, json.keys(text)
end

local function convert_all(layers, order, o)
  local objects, problems, warnings = {}, {}, {}
  for _, name in ipairs(order) do
    setmetatable({
      name = name, facts = layers[name], all = layers, folder = o.folder, target = o.target,
      per_channel = o.granularity == "per-channel", objects = objects, problems = problems, warnings = warnings,
    }, Layer):convert()
  end
  table.sort(warnings)
  for _, warning in ipairs(warnings) do o.log("warning: " .. warning) end
  return objects, problems
end

local function read_options(options)
  local o = {
    folder = options.folder or ".", config = options.config or "config.json", target = options.target or "esp32s3",
    granularity = options.granularity or "per-tensor", path = options.path or ".",
    name = options.name or "coefficient", log = options.log or print,
  }
  quant.options.check("granularity", o.granularity)
  return o
end

local function write(o, layers, order)
  local objects, problems = convert_all(layers, order, o)
  if #problems > 0 then return output.refuse("the coefficients cannot be written", problems, "format") end
  local namespace = cpp_names.new({ chip = true, log = o.log }):namespace(o.name)
  local paths = { ("%s/%s.cpp"):format(o.path, o.name), ("%s/%s.hpp"):format(o.path, o.name) }
  local ok, message, code = output.write(paths, {
    cpp_text.cpp(o.name, namespace, objects), cpp_text.hpp(namespace, objects),
  })
  if not ok then return nil, message, code end
  o.log(("%d layers for %s: %s, %s"):format(#order, o.target, paths[1], paths[2]))
  return true
end

--- Writes `<path>/<name>.cpp` and `.hpp`. `options`: folder ("."), config ("config.json", in the folder), target
--- ("esp32s3"), granularity ("per-tensor"), path ("."), name ("coefficient"), log (print). Returns true, or nil,
--- message, code and the list of all problems; then no file has changed.
function M.write(options)
  local o = read_options(options)
  local ok, message, code = output.check_target(o.target)
  if ok then ok, message, code = output.check_name(o.name) end
  if ok then ok, message, code = core.check_folder(o.path) end
  if not ok then return nil, message, code end
  local layers, order, fault = read_config(o.folder .. "/" .. o.config)
  if not layers then return nil, order, fault end
  return output.write_then_log(o, write, layers, order)
end

return M
