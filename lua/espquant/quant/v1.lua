--- Which exponent each tensor gets: the policy of the original toolkit (ESP-DL v1).
---
---     local t = v1.build(graph, { bits = 8, granularity = "per-channel", mode = "chip" }, measure)
---
--- `measure(names, by_range)` returns name -> exponent for tensors that are computed (minmax or entropy, the caller's
--- business; those of the set `by_range` are too small for a search: their range counts).
--- The steps carry the names S1 to S5 and must run in this order, since later ones overwrite earlier ones: that is
--- what the original does, and order of entries is part of its file.
---   S1 measure   S2 Concat inputs share   S3 activations pass their exponent up   S4 the rest follows input 0
---   S5 weights, biases, slopes
--- "chip" mode adds one step between S4 and S5: tensors that an operator treats as one scale get one exponent,
--- to a fixed point; in "original" mode one pass in graph order can leave them different.

local core = require "espquant.core"
local inputs = require "espquant.quant.inputs"
local lift = require "espquant.quant.lift"
local qtable = require "espquant.qtable"
local roles = require "espquant.quant.roles"

local rule, is_activation, single_act = roles.rule, roles.is_activation, roles.single_act

local M = {}

local ZERO_CHANNEL = -15 -- of a weight's channel that is all zero

local Policy = {}
Policy.__index = Policy

-- The original gives GlobalAveragePool its input's exponent; the chip's takes one of the output, like AveragePool.
function Policy:passes(node)
  return rule(node).pass and not (self.mode == "chip" and node.op_type == "GlobalAveragePool")
end

-- One number per channel is too little for a histogram. `node` may be the activation after the average.
function Policy:is_pooled(node)
  while node and is_activation(node) do node = node:input(1).producer end
  return node and rule(node).pass and not self:passes(node)
end

-- On the chip also MatMul, which the original does not know.
function Policy:is_measured(node)
  local r = rule(node)
  return r.arithmetic or r.activation or (self.mode == "chip" and r.chip and not r.shares)
end

function Policy:set(value, exponent, kind)
  self.table:set(value.name, kind or (value.is_input and "input" or "activation"), { exponent })
end

function Policy:get(value) return self.table:exponent(value.name) end

-- S1 ---------------------------------------------------------------------------------------------------------------

-- The tensors that calibration measures, in order; and the set of those by their range.
function Policy:measured()
  local names, by_range = {}, {}
  for node in self.graph:nodes() do
    if self:is_measured(node) and not single_act(node) then
      names[#names + 1] = node:output(1).name
      by_range[names[#names]] = self:is_pooled(node) or nil
    end
  end
  return names, by_range
end

function Policy:measure(measure)
  local ok, message, code, problems = inputs.check(self.graph, self)
  if not ok then return nil, message, code, problems end
  local names, by_range = self:measured()
  local wanted = {}
  for _, input in ipairs(self.graph.inputs) do
    if inputs.exponent(self, input.name) == "measured" then wanted[#wanted + 1] = input.name end
  end
  local found, why, kind, causes = measure(table.move(names, 1, #names, #wanted + 1, wanted), by_range)
  if not found then return nil, why, kind, causes end
  for _, input in ipairs(self.graph.inputs) do
    self:set(input, found[input.name] or inputs.exponent(self, input.name))
  end
  for _, name in ipairs(names) do self.table:set(name, "activation", { found[name] }) end
  return true
end

-- S2 ---------------------------------------------------------------------------------------------------------------

-- What lies above a value as long as its producer is a pass-through operator, at the end of the walk.
function Policy:root(value)
  local path, producer = {}, value.producer
  while not self.roots[value.name] and producer and self:passes(producer) do
    path[#path + 1] = value.name
    value = producer:input(1)
    producer = value.producer
  end
  local root = self.roots[value.name] or value
  for _, name in ipairs(path) do self.roots[name] = root end
  return root
end

-- The coarsest exponent of the inputs' roots becomes that of the roots, and waits for all on the way to them: `last`
-- has by name the Concat that came last, by number, and its exponent.
function Policy:share_concat(node, number, last)
  local s, variable = -math.huge, {}
  for _, input in ipairs(node.inputs) do
    if input and not input.constant then
      local root = self:root(input)
      variable[#variable + 1] = { value = input, root = root }
      local e = self:get(root)
      if e and e > s then s = e end
    end
  end
  for _, each in ipairs(variable) do
    last[each.value.name] = { number = number, exponent = s, value = each.value }
    if self:get(each.root) then self:set(each.root, s) end
  end
end

-- What lies between the inputs of Concats and their roots has the exponent of the last Concat below it.
function Policy:share_concats()
  local last, number, nodes = {}, 0, self.graph:node_list()
  self.roots = {}
  for _, node in ipairs(nodes) do
    if node.op_type == "Concat" then
      number = number + 1
      self:share_concat(node, number, last)
    end
  end
  if number == 0 then return end
  for i = #nodes, 1, -1 do
    local node = nodes[i]
    for _, output in ipairs(self:passes(node) and node.outputs or {}) do
      local mine, input = output and last[output.name], node:input(1)
      local above = mine and last[input.name]
      if mine and not (above and above.number > mine.number) then
        last[input.name] = { number = mine.number, exponent = mine.exponent, value = input }
      end
    end
  end
  for _, mark in pairs(last) do
    if self:get(mark.value) then self:set(mark.value, mark.exponent) end
  end
end

-- S4 ---------------------------------------------------------------------------------------------------------------

-- The exponent of what node reads: the first input's. On the chip that of a constant too, and of Max and Min the
-- coarsest, since the original's choice cuts off the other inputs.
function Policy:followed_exponent(node)
  if self.mode ~= "chip" then return self:get(node:input(1)) end
  local s
  for i, input in ipairs(node.inputs) do
    local e = (i == 1 or rule(node).aligns) and (self:get(input) or self:constant_exponent(input))
    if e and (not s or e > s) then s = e end
  end
  return s
end

function Policy:follow_input(node)
  local out = node:output(1)
  if node.op_type == "Shape" then
    self.table:set(out.name, "shape", {})
  elseif self:passes(node) and node.op_type == "GlobalAveragePool" or (rule(node).shares and not self:get(out)) then
    local e = self:followed_exponent(node)
    if e then self:set(out, e) end
  end
end

-- Of a constant's values; nil for other values.
function Policy:constant_exponent(value)
  if not value.constant or value.dtype ~= "float32" then return nil end
  return core.exponent_of_absmax(value.constant:maxabs(), self.bits)
end

-- Between S4 and S5, "chip" mode: groups of one scale --------------------------------------------------------------

--- The tensors that the chip treats as one scale in this node, since its output is the input's integers moved or
--- chosen; constants left out. Nil when each may have its own.
function M.one_scale(node)
  local r = rule(node)
  if not r.chip or r.aligns or not (r.activation or r.shares) then return nil end
  local values = { node:output(1) }
  for i, input in ipairs(node.inputs) do
    if input and not input.constant and (i == 1 or node.op_type == "Concat") then values[#values + 1] = input end
  end
  return values
end

-- What the constants need that a Concat or Pad puts beside its data: they have the output's exponent, and must fit.
function Policy:beside_exponent(node)
  local s = -math.huge
  for i, input in ipairs(node.inputs) do
    local is_beside = node.op_type == "Concat" or node.op_type == "Pad" and i > 1
    local e = is_beside and input and self:constant_exponent(input)
    if e then s = math.max(s, e) end
  end
  return s
end

-- Groups of tensors that operators tie together, however long the chain: a function from a tensor's name to the one
-- that stands for its group.
function Policy:groups()
  local above = {}
  local function top(name)
    while above[name] do
      above[name] = above[above[name]] or above[name] -- shorter the next time
      name = above[name]
    end
    return name
  end
  for node in self.graph:nodes() do
    local values = M.one_scale(node) or {}
    for i = 2, #values do
      local a, b = top(values[1].name), top(values[i].name)
      if a ~= b then above[a] = b end
    end
  end
  return top
end

-- The coarsest exponent for each group: the fixed point at which no operator's tensors differ, in linear time.
function Policy:unify()
  local top, coarsest = self:groups(), {}
  for node in self.graph:nodes() do
    for i, value in ipairs(M.one_scale(node) or {}) do
      local group, least = top(value.name), i == 1 and self:beside_exponent(node) or -math.huge
      coarsest[group] = math.max(coarsest[group] or -math.huge, least, self:get(value) or -math.huge)
    end
  end
  for node in self.graph:nodes() do
    for _, value in ipairs(M.one_scale(node) or {}) do
      local s = coarsest[top(value.name)]
      if self:get(value) ~= s then self:set(value, s) end
    end
  end
end

-- S5 ---------------------------------------------------------------------------------------------------------------

--- The axis of a weight along which output channels lie (0-based).
function M.weight_axis(node)
  if node.op_type == "Gemm" then return node:attr("transB", 0) ~= 0 and 0 or 1 end
  if node.op_type == "MatMul" then return node:input(2).constant.rank - 1 end
  return 0
end

--- The exponents of a node's weight, a tensor: one, or one for each output channel. Its values alone decide.
function M.weight_exponents(node, weight, bits, per_channel)
  if not per_channel then return { core.exponent_of_absmax(weight:maxabs(), bits) } end
  local list = {}
  for c, absmax in ipairs(weight:maxabs(M.weight_axis(node)):totable()) do
    list[c] = core.exponent_of_channel(absmax, bits)
  end
  return list
end

function Policy:set_weight_and_bias(node)
  local op = core.op(node.op_type, node.domain)
  local weight, bias = node:input(op.weight + 1), op.bias >= 0 and node:input(op.bias + 1)
  if not weight or not weight.constant then return end
  local e_w = M.weight_exponents(node, weight.constant, self.bits, self.per_channel)
  self.table:set(weight.name, "weight", e_w)
  if not bias or not bias.constant then return end
  if not self.per_channel then
    self.table:set(bias.name, "bias", { self:get(node:output(1)) })
    return
  end
  local list, e_in = {}, self:get(node:input(1))
  for c, e in ipairs(e_w) do list[c] = core.exponent_of_bias(e_in, e) end
  self.table:set(bias.name, "bias", list)
end

-- Constants that the original leaves without an exponent: on the chip they are quantized like weights. Those of Concat
-- and Pad have no entry, since theirs is the output's.
function Policy:set_operand_constants(node)
  for _, input in ipairs(node.inputs) do
    local e = input and self:constant_exponent(input)
    if e and not self.table:get(input.name) then self.table:set(input.name, "weight", { e }) end
  end
end

--- The names of the table's entries for the slopes of LeakyRelus: node -> "<node name>_alpha", as in the original. On
--- the chip no two may share one, nor have a tensor's: then the output's name stands for the node's.
function M.alpha_names(graph, mode)
  local names, taken = {}, {}
  local function free(name) return mode == "original" or not (taken[name] or graph:value(name)) end
  for node in graph:nodes() do
    if node.op_type == "LeakyRelu" then
      local name = node.name .. "_alpha"
      if not free(name) then name = node:output(1).name .. "_alpha" end
      while not free(name) do name = name .. "_" end
      names[node], taken[name] = name, true
    end
  end
  return names
end

function Policy:set_slope(node)
  if node.op_type == "PRelu" then
    local slope = node:input(2)
    if slope.constant then
      self.table:set(slope.name, "alpha", { core.exponent_of_absmax(slope.constant:maxabs(), self.bits) })
    end
  elseif node:has_attr "alpha" or self.mode == "chip" then
    self.table:set(self.alpha_names[node], "alpha", { core.exponent_of_alpha(node:attr "alpha", self.bits) })
  end
end

function Policy:parameters()
  for node in self.graph:nodes() do
    local op = core.op(node.op_type, node.domain)
    if op and op.weight >= 0 then self:set_weight_and_bias(node)
    elseif self.mode == "chip" and rule(node).aligns then
      self:set_operand_constants(node)
    end
  end
  for node in self.graph:nodes() do
    if node.op_type == "LeakyRelu" or node.op_type == "PRelu" then self:set_slope(node) end
  end
end

-- On the chip a scale of 0 cannot be: a tensor that was zero on all images gets the range [-1, 1), a zero weight the
-- exponent of a zero channel. The names go into the table's `warnings`.
function Policy:replace_zero_scales()
  for _, entry in ipairs(self.table.entries) do
    for i, e in ipairs(entry.exponents) do
      if e == -math.huge then
        local is_data = entry.kind == "activation" or entry.kind == "input"
        local new = is_data and inputs.FIXED[self.bits] or ZERO_CHANNEL
        entry.exponents[i] = new
        table.insert(self.table.warnings, ("'%s' is all zero; its exponent is set to %d"):format(entry.name, new))
      end
    end
  end
end

-- NaN and infinite scales are the world's fault: name all of them.
function Policy:check_finite()
  local problems = {}
  for _, entry in ipairs(self.table.entries) do
    for _, e in ipairs(entry.exponents) do
      if e ~= e or e == math.huge then
        problems[#problems + 1] = ("%s '%s' holds NaN or infinity"):format(entry.kind, entry.name)
        break
      end
    end
  end
  if #problems == 0 then return true end
  return nil, ("%d tensor%s cannot be quantized"):format(#problems, #problems == 1 and "" or "s"), "format", problems
end

-- S2 to S4, in which later steps overwrite what earlier ones wrote.
function Policy:share()
  self:share_concats()
  lift.share(self)
  for node in self.graph:nodes() do self:follow_input(node) end
end

-- What the chip's mode adds to S2 to S5.
function Policy:share_on_chip()
  local ok, message, code, problems = self:check_finite()
  if not ok then return nil, message, code, problems end
  self:unify()
  self:replace_zero_scales()
  self:parameters()
  self:replace_zero_scales()
  return self:check_finite()
end

--- Builds the table. `options`: bits, granularity, method, mode ("chip" or "original"), input_exponent (an integer,
--- "measured", a table of these by input, or nil for -7 and -15). Returns a qtable with `warnings`, or nil, message,
--- code[, problems].
function M.build(graph, options, measure)
  local self = setmetatable({
    graph = graph, bits = options.bits, mode = options.mode, per_channel = options.granularity == "per-channel",
    alpha_names = M.alpha_names(graph, options.mode),
    input_exponent = options.input_exponent,
    table = qtable.new {
      runtime = "v1", mode = options.mode, bits = options.bits, granularity = options.granularity,
      method = options.method,
    },
  }, Policy)
  self.table.warnings = {}
  local ok, message, code, problems = self:measure(measure)
  if not ok then return nil, message, code, problems end
  self:share()
  if self.mode == "original" then self:parameters()
  else ok, message, code, problems = self:share_on_chip() end
  if not ok then return nil, message, code, problems end
  return self.table
end

return M
