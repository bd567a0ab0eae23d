--- Holds the code to the arrows of docs/architecture.md: every #include and every require is an edge, every edge
--- must be in one of the tables below. A new module needs a row here; that is the moment to ask where it belongs.

-- C: a module includes itself and the groups before its own; there is no edge inside a group.
local C_GROUPS = {
  { "base" },
  { "tensor", "stats", "infer", "sim", "image" },
  { "graph" },
  { "onnx", "ops" },
  { "quant" },
  { "run" },
  { "lua" },
}

-- Libraries that only one module may see: Lua pattern of the header -> module.
local C_OWNED = {
  ["^lua%.h$"] = "lua",
  ["^lauxlib%.h$"] = "lua",
  ["^lualib%.h$"] = "lua",
  ["%.pb%-c%.h$"] = "onnx",
  ["^protobuf%-c/"] = "onnx",
  ["^dnnl"] = "infer",
  ["^oneapi/"] = "infer",
  ["^png%.h$"] = "image",
  ["^jpeglib%.h$"] = "image",
  ["^jerror%.h$"] = "image",
  ["^nettle/"] = "base",
}

-- Lua: module (or "folder.*") -> what it may require beside itself; "*" allows all but cli and repl. Names are
-- without "espquant."; "espquant" is init.lua; a name with "@" is somebody else's library.
local LIBRARY = { "core", "errors", "version", "codec.*", "json", "qtable", "quant" }
local LUA_EDGES = {
  ["version"] = {},
  ["errors"] = {},
  ["shape"] = {},
  ["doc"] = {},
  ["json"] = { "core", "@cjson" },
  ["progress"] = { "core" },
  ["columns"] = {},
  ["complete"] = {},
  ["help"] = { "core", "doc" },
  ["repl"] = { "complete", "help", "version", "espquant", "@readline" },
  ["cli"] = { "*", "repl", "@argparse" },
  ["command"] = { "*" },
  ["command_parser"] = { "*", "@argparse" },
  ["command_options"] = { "auto.config", "core", "errors", "quant.*" },
  ["commands.*"] = { "*" },
  ["espquant"] = { "*" },
  ["pattern"] = { "core" },
  ["pass"] = { "core", "pattern" },
  ["passes"] = { "core", "pattern", "pass", "passes.*" },
  ["batchnorm"] = { "core" }, -- arithmetic that two passes share
  ["channels"] = { "core" },
  ["weight_channels"] = { "core" },
  ["gemm"] = { "core", "pattern", "pass" },
  ["numbers"] = { "pattern" },
  ["normalization"] = { "core", "axes", "numbers", "pattern", "pass" },
  ["shape_vectors"] = { "pass" }, -- the arithmetic of shapes, which passes fold
  ["axes"] = {},
  ["node_names"] = {},
  ["padding"] = { "axes" },
  ["passes.*"] = { "core", "pattern", "pass", "axes", "batchnorm", "channels", "gemm", "node_names", "normalization",
    "numbers", "padding", "shape_vectors", "transpose_rules", "weight_channels" },
  ["transpose_rules"] = { "axes", "core" }, -- what operators become behind a Transpose
  ["codec.*"] = { "core", "codec.*" },
  ["codec.stat"] = { "core", "codec.fault", "json" },
  ["quant"] = { "core", "quant.*", "qtable" },
  ["quant.*"] = { "core", "quant.*", "qtable", "shape" },
  ["quant.v3.prepare"] = { "passes", "quant.v3.forms.*" },
  ["quant.v3.forms.*"] = { "core", "axes", "batchnorm", "pass", "pattern" },
  ["quant.v3.restrictions"] = { "axes" },
  ["quant.v3"] = { "quant.v3.*" },
  ["quant.v3.*"] = { "core", "quant.*", "quant.v3.*", "qtable", "shape" },
  ["auto"] = { "auto.*", "calibrator", "core", "dataset", "dataset.digest", "errors", "evaluator", "quant.v3.*",
    "version" },
  ["auto.*"] = { "auto.*", "core", "errors", "json", "quant.v3.*", "size" },
  ["calibration.*"] = { "calibration.*", "core", "dataset.digest", "dataset.part", "errors", "model_scales", "progress",
    "quant", "quant.v3.*", "statistics", "version" },
  ["statistics"] = { "core", "dataset.digest", "json" },
  ["evaluation_text"] = { "command", "version" },
  ["calibration_options"] = { "command", "errors", "quant.*" },
  ["dataset"] = { "core", "errors", "codec.*", "dataset.*", "shape" },
  ["dataset.raw"] = { "core", "errors", "codec.*", "dataset.folder" },
  ["dataset.images"] = { "core", "errors", "dataset.folder" },
  ["dataset.folder"] = { "@lfs" },
  ["dataset.open"] = { "core", "dataset.*" },
  ["dataset.*"] = { "core", "errors", "codec.*", "shape" },
  ["model"] = { "core", "errors", "quant.*" },
  ["npy"] = { "core", "codec.*" },
  ["size"] = {},
  ["espdl_tensors"] = { "core", "codec.*" },
  ["espdl_operand"] = {},
  ["espdl_test"] = { "core", "espdl_tensors" },
  ["espdl_graph"] = { "core", "errors", "espdl_filters", "espdl_operand", "espdl_tensors" },
  ["espdl_filters"] = { "core" },
  ["espdl"] = { "core", "codec.*", "json" },
  ["onnx"] = { "control_flow", "core", "defaults", "file_kind", "input_shapes", "model", "node_names", "qdq",
    "upgrade", "widen" },
  ["file_kind"] = { "core" },
  ["widen"] = { "core" },
  ["control_flow"] = { "core" },
  ["upgrade"] = {},
  ["defaults"] = { "core" },
  ["qdq"] = { "core", "model_scales" },
  ["model_scales"] = {},
  ["input_shapes"] = { "shape" },
  ["folded_names"] = { "core", "pattern", "passes.fuse_bn_into_conv" },
  ["proof"] = { "core" },
  ["optimizer"] = { "core", "errors", "folded_names", "help", "node_names", "onnx", "pass", "passes", "proof" },
  ["qtable"] = { "core", "errors", "codec.*", "file_kind", "qtable_json" },
  ["qtable_json"] = { "json" },
  ["calibrator"] = { "calibration.*", "core", "errors", "dataset", "export.*", "qtable", "quant", "version" },
  ["evaluation.*"] = { "core", "errors", "quant", "quant.v3" },
  ["evaluator"] = { "core", "errors", "dataset", "evaluation.*", "layer_report", "qtable", "quant" },
  ["accuracy"] = { "core", "errors", "dataset", "dataset.digest", "progress" },
  ["bias_correction"] = { "calibrator", "core", "errors", "evaluator", "gain", "pass", "progress", "weight_channels" },
  ["diagnosis"] = { "calibrator", "core", "errors", "evaluator", "gain", "json", "suggest", "weight_channels" },
  ["suggest"] = {},
  ["gain"] = { "auto.goal", "calibrator", "core", "errors", "evaluator" },
  ["memory"] = {},
  ["provenance"] = { "codec.stat", "core", "errors", "espdl", "json", "onnx", "qtable", "version" },
  ["difference"] = { "core", "errors", "espdl", "json", "onnx", "qtable", "size" },
  ["latency"] = { "size" },
  ["estimate"] = { "calibrator", "core", "dataset", "errors", "evaluator", "export.cpp_layers", "export.cpp_names",
    "export.espdl", "latency", "memory", "size" },
  ["report"] = { "report.*" },
  ["report.collect"] = {
    "memory", "report.cause", "report.configuration", "report.tensors", "size", "version", table.unpack(LIBRARY),
  },
  ["report.configuration"] = {
    "accuracy", "calibrator", "estimate", "evaluator", "quant.lanes", table.unpack(LIBRARY),
  },
  ["report.tensors"] = { "progress", table.unpack(LIBRARY) },
  ["report.cause"] = { "json", "shell", "quant.v3.target" },
  ["shell"] = {},
  ["report.page"] = { "core", "json", "report.*" },
  ["report.*"] = {},
  ["layer_report"] = { "columns", "core", "errors", "dataset", "progress" },
  ["export"] = { "core", "errors", "export.*" },
  ["export.cpp"] = {
    "export.cpp_layers", "export.cpp_names", "export.cpp_text", "export.output", table.unpack(LIBRARY),
  },
  ["export.codegen"] = {
    "export.codegen_plan", "export.codegen_text", "export.cpp_layers", "export.cpp_names", "export.cpp_text",
    "export.output", table.unpack(LIBRARY),
  },
  ["export.codegen_plan"] = { "core", "errors", "export.codegen_rules" },
  ["export.codegen_rules"] = { "core", "export.codegen_window" },
  ["export.convert"] = { "npy", "export.cpp_names", "export.cpp_text", "export.output", table.unpack(LIBRARY) },
  ["export.espdl"] = { "export.espdl_layout", "export.espdl_matmul", "export.espdl_nodes", "export.espdl_tensor",
    "input_shapes", "provenance", "quant.*", "shape", table.unpack(LIBRARY) },
  ["export.espdl_project"] = { "core", "export.espdl", "export.output" },
  ["export.espdl_nodes"] = { "core", "export.espdl_tensor" },
  ["export.*"] = { table.unpack(LIBRARY) },
}

local MAX_LINES = { c = 600, h = 600, lua = 400 }

-- Globals that code may read: those of Lua. Only the command line and the REPL, which own the process, touch
-- _G, and who loads LuaFileSystem, to undo that it does.
local GLOBALS = {}
for name in pairs(_G) do GLOBALS[name] = name ~= "_G" and name ~= "_TEST" end
for _, name in ipairs { "describe", "it", "setup", "teardown", "pending", "spy", "mock", "stub" } do
  GLOBALS[name] = nil
end
local MAY_TOUCH_G = { cli = true, repl = true, ["dataset.folder"] = true }

-- --- the checker: pure functions of a name and a text, so that it can be tested ----------------------------------

local function group_of(module)
  for rank, group in ipairs(C_GROUPS) do
    for _, name in ipairs(group) do
      if name == module then return rank end
    end
  end
end

local function include_problem(module, header)
  for pattern, owner in pairs(C_OWNED) do
    if header:match(pattern) then
      return module ~= owner and ("only csrc/%s includes <%s>"):format(owner, header) or nil
    end
  end
  local target = header:match "^(%w+)/"
  if not target or not group_of(target) then return nil end
  if target == module or group_of(target) < group_of(module) then return nil end
  return ("an arrow from %s to %s"):format(module, target)
end

-- Problems of one C file: path is "csrc/<module>/<file>".
local function c_problems(path, text)
  local module = path:match "^csrc/(%w+)/"
  local problems = {}
  if not module or not group_of(module) then return { path .. ": a module without a row" } end
  for kind, header in ("\n" .. text):gmatch '\n%s*#%s*include%s*([<"])([^>"]+)[>"]' do
    local problem = include_problem(module, header)
    if kind == '"' and not header:match "^%w+/" and not header:match "%.pb%-c%.h$" then
      problem = ('write "%s" with its module'):format(header)
    end
    if problem then problems[#problems + 1] = path .. ": " .. problem end
  end
  return problems
end

-- The module of "lua/espquant/a/b.lua": "a.b"; "passes/init.lua" is "passes", "init.lua" is "espquant".
local function lua_module(path)
  local name = path:match "^lua/espquant/(.*)%.lua$":gsub("/", ".")
  return name == "init" and "espquant" or (name:gsub("%.init$", ""))
end

-- Every required name in a text: "x", "x.*" for a prefix that is completed at run time, "?" for any other expression.
local function requires(text)
  local found = {}
  text = text:gsub("%-%-[^\n]*", "")
  for rest in text:gmatch "%f[%w_.:]require%f[^%w_]([^\n]*)" do
    local name, after = rest:match "^%s*[(,]?%s*[\"']([^\"']+)[\"']%s*(.?.?)"
    if not name then
      found[#found + 1] = "?"
    else
      found[#found + 1] = after == ".." and name:gsub("%.$", "") .. ".*" or name
    end
  end
  return found
end

-- "espquant.codec.npy" -> "codec.npy", "espquant" -> "espquant", "lfs" -> "@lfs"
local function short_name(name)
  if name == "espquant" or name == "?" then return name end
  return name:match "^espquant%.(.+)$" or "@" .. name
end

local function row_of(module)
  return LUA_EDGES[module] or LUA_EDGES[module:gsub("%.[^.]+$", ".*")]
end

local function allows(row, target)
  for _, allowed in ipairs(row) do
    if allowed == target then return true end
    if allowed == "*" and not target:match "^@" and target ~= "cli" and target ~= "repl" then return true end
    local folder = allowed:match "^(.*)%.%*$"
    if folder and (target == folder or target:sub(1, #folder + 1) == folder .. ".") then return true end
  end
  return false
end

local function lua_problems(path, text)
  local module = lua_module(path)
  local row = row_of(module)
  if not row then return { ("%s: module %s without a row"):format(path, module) } end
  local problems = {}
  for _, name in ipairs(requires(text)) do
    local target = short_name(name)
    if target ~= module and not allows(row, target) then
      problems[#problems + 1] = ("%s: an arrow from %s to %s"):format(path, module, target)
    end
  end
  return problems
end

-- Problems in the listing of luac: globals written, or read though Lua has none of that name.
local function global_problems(path, listing)
  local problems = {}
  for operation, name in listing:gmatch '([GS]ETTABUP)[^\n]-; _ENV "([^"]+)"' do
    local fine = operation == "GETTABUP" and (GLOBALS[name] or name == "arg" or name == "_G" and
      MAY_TOUCH_G[lua_module(path)])
    if not fine then
      problems[#problems + 1] = ("%s: global %s %s"):format(path, name, operation == "SETTABUP" and "set" or "read")
    end
  end
  return problems
end

local function length_problems(path, text)
  local _, lines = text:gsub("\n", "")
  local most = MAX_LINES[path:match "%.(%w+)$"]
  if most and lines >= most then return { ("%s: %d lines, the limit is %d"):format(path, lines, most) } end
  return {}
end

-- --- the files ----------------------------------------------------------------------------------------------------

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return text
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

-- Runs check(path, text) on every file of a folder with one of the endings; returns all problems and the file count.
local function over(folder, endings, check)
  local problems, count = {}, 0
  for path in output_of("find " .. folder .. " -type f | sort"):gmatch "[^\n]+" do
    if endings[path:match "%.(%w+)$"] then
      count = count + 1
      for _, problem in ipairs(check(path, read(path))) do problems[#problems + 1] = problem end
    end
  end
  return problems, count
end

local C_FILES, LUA_FILES = { c = true, h = true, def = true }, { lua = true }

describe("the architecture #unit", function()
  it("holds every #include in csrc", function()
    local problems, count = over("csrc", C_FILES, c_problems)
    assert.same({}, problems)
    assert.is_true(count > 10, "only " .. count .. " C files found")
  end)

  it("holds every require in lua", function()
    local problems, count = over("lua", LUA_FILES, lua_problems)
    assert.same({}, problems)
    assert.is_true(count > 5, "only " .. count .. " Lua files found")
  end)

  it("limits the length of files", function()
    assert.same({}, (over("csrc", C_FILES, length_problems)))
    assert.same({}, (over("lua", LUA_FILES, length_problems)))
    assert.same({}, (over("spec/c", C_FILES, length_problems)))
  end)

  it("has no global variable in lua", function()
    assert.same({}, (over("lua", LUA_FILES, function(path)
      return global_problems(path, output_of("luac5.4 -p -l '" .. path .. "'"))
    end)))
  end)

  it("sets no global when espquant or any module of it is required", function()
    local process = require "spec.support.process"
    local modules = {}
    over("lua", LUA_FILES, function(path)
      local module = lua_module(path)
      modules[#modules + 1] = module == "espquant" and module or "espquant." .. module
      return {}
    end)
    local r = process.run({ "lua5.4", "-e", [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      for i = 1, #arg do require(arg[i]) end
      for name in pairs(_G) do if not before[name] then print(name) end end]], "/dev/null", table.unpack(modules) },
      { env = process.lua_env })
    assert.same({ status = 0, stdout = "", stderr = "" }, r)
  end)
end)

describe("the architecture's checker #unit", function()
  local function c(path, line) return c_problems(path, "#include <stdio.h>\n" .. line .. "\n") end
  local function lua(path, line) return lua_problems(path, line .. "\n") end

  it("accepts the edges of the design", function()
    assert.same({}, c("csrc/run/exec.c", '#include "ops/op.h"\n#include "base/error.h"\n#include "run/plan.h"'))
    assert.same({}, c("csrc/lua/core.c", "#include <lua.h>"))
    assert.same({}, c("csrc/onnx/read.c", '#include "onnx.pb-c.h"'))
    assert.same({}, c("csrc/infer/conv.c", "#include <dnnl.h>"))
    assert.same({}, lua("lua/espquant/passes/fuse.lua", 'local P = require "espquant.pattern"'))
    assert.same({}, lua("lua/espquant/passes/init.lua", 'require("espquant.passes." .. name)'))
    assert.same({}, lua("lua/espquant/codec/zip.lua", 'require("espquant.core").inflate'))
  end)

  it("refuses arrows to the right and inside a group", function()
    assert.same({ "csrc/base/a.c: an arrow from base to graph" }, c("csrc/base/a.c", '#include "graph/graph.h"'))
    assert.same({ "csrc/stats/a.c: an arrow from stats to tensor" },
      c("csrc/stats/a.c", '  # include "tensor/tensor.h"'))
    assert.equal(1, #c("csrc/ops/a.c", '#include "onnx/read.h"'))
    assert.equal(1, #c("csrc/quant/a.c", '#include "run/exec.h"'))
  end)

  it("refuses foreign libraries outside of their module, unknown modules and bare names", function()
    assert.equal(1, #c("csrc/run/a.c", "#include <lua.h>"))
    assert.equal(1, #c("csrc/quant/a.c", '#include "lauxlib.h"'))
    assert.equal(1, #c("csrc/graph/a.c", '#include "onnx.pb-c.h"'))
    assert.equal(1, #c("csrc/graph/a.c", "#include <protobuf-c/protobuf-c.h>"))
    assert.equal(1, #c("csrc/ops/a.c", "#include <dnnl.h>"))
    assert.equal(1, #c("csrc/ops/a.c", '#include "oneapi/dnnl/dnnl.h"'))
    assert.equal(1, #c("csrc/newmodule/a.c", ""))
    assert.equal(1, #c("csrc/ops/a.c", '#include "op.h"'))
  end)

  it("refuses what passes, exporters, datasets and the quantization policy may not require", function()
    local bad = {
      ["lua/espquant/passes/a.lua"] = 'require "espquant.optimizer"',
      ["lua/espquant/passes/b.lua"] = "require('espquant.passes.a')",
      ["lua/espquant/export/cpp.lua"] = 'local json = require "espquant.export.json"',
      ["lua/espquant/dataset/npy.lua"] = 'pcall(require, "espquant.dataset.idx")',
      ["lua/espquant/quant/v1.lua"] = 'require "espquant.calibrator"',
      ["lua/espquant/commands/run.lua"] = 'require"espquant.cli".main()',
      ["lua/espquant/init.lua"] = 'require "espquant.cli"',
      ["lua/espquant/codec/npy.lua"] = 'require "lfs"',
      ["lua/espquant/pass.lua"] = "require(name)",
      ["lua/espquant/pattern.lua"] = 'require("espquant.passes." .. name)',
      ["lua/espquant/brand_new.lua"] = "",
    }
    for path, line in pairs(bad) do assert.equal(1, #lua(path, line), path) end
  end)

  it("ignores comments and other words", function()
    assert.same({}, requires '--- require "a"\nlocal x = y.require "b" -- require "c"\nrequired "d"')
    assert.same({ "a", "b", "c.*", "?" }, requires 'require"a"\nrequire ("b").x\nrequire("c." .. d)\nrequire(e)')
  end)

  it("refuses globals that are set, unknown, or _G itself", function()
    local path = os.tmpname()
    local function listing(code)
      local file = assert(io.open(path, "w"))
      file:write(code)
      file:close()
      return global_problems("lua/espquant/pass.lua", output_of("luac5.4 -p -l " .. path))
    end
    assert.same({ "lua/espquant/pass.lua: global x set" }, listing "local function f() x = 1 end")
    assert.same({ "lua/espquant/pass.lua: global pritn read" }, listing "return function() pritn(1) end")
    assert.same({ "lua/espquant/pass.lua: global _G read" }, listing "_G.x = 1")
    assert.same({}, listing "local y = string.format('%d', #arg) print(y)")
    os.remove(path)
  end)

  it("refuses long files", function()
    assert.same({}, length_problems("lua/espquant/a.lua", ("\n"):rep(399)))
    assert.equal(1, #length_problems("lua/espquant/a.lua", ("\n"):rep(400)))
    assert.equal(1, #length_problems("csrc/base/a.c", ("\n"):rep(600)))
  end)
end)
