-- Child of spec/hostile_models_spec.lua: espquant spec/hostile/measured.lua MODEL...
-- Puts each model through the commands that read one. A line for each command: model, command, exit code, seconds of
-- the processor, bytes above those that the process had before, and what was said.
local cli = require "espquant.cli"
local core = require "espquant.core"

-- What a process holds that has read a model and started its threads: no model is to blame for it.
local function warm_up()
  local g = core.graph { opset = 13 }
  g:add_output(g:add_node { op_type = "Relu", inputs = { g:add_input("x", "float32", { 1, 4 }) } }:output(1))
  require "espquant".onnx.load(assert(core.onnx_write(g, "warm.onnx")) and "warm.onnx")
end

local data = "data.npy"
require "espquant.npy".save(data, core.tensor({ 2, 4 }, "float32"))
warm_up()

local COMMANDS = {
  { "info" }, { "check" }, { "optimize", "-o", "optimized.onnx" }, { "run", "-d", data, "-j", "1" },
  { "calibrate", "-d", data, "-j", "1", "-o", "table.json" },
}

local stdout, stderr, said = io.stdout, io.stderr, {}
local sink = {
  write = function(self, ...)
    said[#said + 1] = table.concat { ... }
    return self
  end,
  flush = function() return true end,
}

for _, model in ipairs(arg) do
  for _, command in ipairs(COMMANDS) do
    local words = { command[1], model, table.unpack(command, 2) }
    said, io.stdout, io.stderr = {}, sink, sink -- luacheck: ignore 122
    collectgarbage()
    local before, started = core.peak_rss(), os.clock()
    local code = cli.main(words)
    local seconds = os.clock() - started
    io.stdout, io.stderr = stdout, stderr -- luacheck: ignore 122
    local text = table.concat(said):sub(1, 1000):gsub("[\t\n]", " ")
    print(("%s\t%s\t%d\t%.3f\t%d\t%s"):format(model, command[1], code, seconds, core.peak_rss() - before, text))
  end
end
