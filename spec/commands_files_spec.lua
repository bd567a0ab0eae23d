--- What commands make of files: of another kind than expected, of another model, that cannot be put in place.
local cjson = require "cjson"
local core = require "espquant.core"
local file_kind = require "espquant.file_kind"
local npy = require "espquant.npy"
local process = require "spec.support.process"

local folder

local function espquant(...) return process.run({ process.espquant, ... }, { cwd = folder }) end

local function put(name, bytes) return process.write_file(folder .. "/" .. name, bytes) end

local function read(name)
  local file <close> = assert(io.open(folder .. "/" .. name, "rb"))
  return file:read "a"
end

-- x -> Gemm of these weights -> y
local function put_model(name, number)
  local g = core.graph { name = "m", opset = 13 }
  local w = core.tensor { 4, 2 }
  w:fill(number)
  g:add_output(g:add_node { op_type = "Gemm", name = "fc 1", inputs = { g:add_input("x", "float32", { "N", 4 }),
    g:add_constant("w", w) }, outputs = { "y" } }:output(1))
  assert(core.onnx_write(g, folder .. "/" .. name))
end

setup(function()
  folder = process.folder()
  put_model("a.onnx", 0.5)
  put_model("b.onnx", 0.75)
  npy.save(folder .. "/x.npy", core.tensor_from({ { 1, 2, 3, 4 }, { 0, 0.5, 1, 0 } }, "float32"))
  assert.equal(0, espquant("calibrate", "a.onnx", "-d", "x.npy", "-o", "a.json").status)
end)
teardown(function() process.remove(folder) end)

-- Beginnings of files, and what they are taken for.
local KINDS = {
  { "\x89PNG\r\n\x1a\n....", "a PNG image" }, { "\xff\xd8\xff\xe0", "a JPEG image" },
  { "PK\3\4....", "a zip archive, such as .npz or a model of PyTorch" }, { "\x1f\x8b\8", "a gzip file" },
  { "\x93NUMPY\1", "a .npy array" }, { "\x89HDF\r\n\x1a\n", "an HDF5 file, such as a model of Keras" },
  { "\x1c\0\0\0TFL3", "a TensorFlow Lite model" }, { "EDL2....", "a .espdl model" },
  { "PDL2", "a packed .espdl model" }, { "\x7fELF", "a program" }, { "<!DOCTYPE html>", "a page of HTML or XML" },
  { "hello world\n", "text" },
  { "version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS: fetch the file itself (git lfs pull)" },
}

describe("a file of another kind", function()
  for _, case in ipairs(KINDS) do
    it("is named where it is given as a model or a table: " .. case[2], function()
      put("odd", case[1])
      assert.equal(case[2], file_kind.of(folder .. "/odd"))
      for _, words in ipairs { { "check", "odd" }, { "evaluate", "a.onnx", "-t", "odd", "-d", "x.npy" } } do
        local r = espquant(table.unpack(words))
        assert.equal(3, r.status, r.stderr)
        assert.matches("; it looks like " .. case[2], r.stderr, 1, true)
        assert.is_nil(r.stderr:find("traceback", 1, true))
      end
    end)
  end

  it("is named where a model is given as a table, and a table as a model", function()
    assert.matches("a.onnx: .*; it looks like an ONNX model\n$",
      espquant("evaluate", "a.onnx", "-t", "a.onnx", "-d", "x.npy").stderr)
    assert.matches("a.json: .*; it looks like JSON\n$", espquant("check", "a.json").stderr)
  end)

  it("is not guessed at where it is what was expected, or cannot be told", function()
    put("cut.onnx", read "a.onnx":sub(1, -20))
    assert.is_nil(espquant("info", "cut.onnx").stderr:find("looks like", 1, true))
    assert.is_nil(file_kind.of(folder .. "/nowhere"))
    assert.is_nil(file_kind.of(put("none", "\0\1\2")))
  end)
end)

describe("a table", function()
  it("has a name that says its form", function()
    for _, words in ipairs { { "calibrate", "a.onnx", "-d", "x.npy" }, { "table", "a.json" } } do
      words[#words + 1], words[#words + 2] = "-o", "t.txt"
      local r = espquant(table.unpack(words))
      assert.same({ 2, "" }, { r.status, r.stdout })
      assert.matches("--output: 't.txt' does not end in .json (espquant's form) or .pickle, .pkl", r.stderr, 1, true)
    end
    assert.equal(0, espquant("table", "a.json", "-o", "t.pkl").status)
  end)

  it("of another model is used with a warning; of this one, or where it cannot tell, without", function()
    for _, words in ipairs { { "evaluate", "-d", "x.npy" }, { "run", "-d", "x.npy" }, { "export" },
      { "codegen", "-d", "x.npy" } } do
      local function with(model, t) return espquant(words[1], model, "-t", t, table.unpack(words, 2)) end
      local r = with("b.onnx", "a.json")
      assert.equal(0, r.status, r.stderr)
      assert.matches("^espquant: warning: a.json was made for another model %(its hash begins with %x+%): calibrate "
        .. "this one\n$", r.stderr)
      assert.same({ 0, "" }, { with("a.onnx", "a.json").status, with("a.onnx", "a.json").stderr })
    end
    assert.equal(0, espquant("table", "a.json", "-o", "t.pickle").status)
    assert.equal("", espquant("evaluate", "b.onnx", "-t", "t.pickle", "-d", "x.npy").stderr)
  end)

  it("is in the facts of an evaluation, with model and data, by their hashes", function()
    local t = cjson.decode(read "a.json")
    local f = cjson.decode(espquant("evaluate", "a.onnx", "-t", "a.json", "-d", "x.npy", "--json").stdout)
    assert.same({ t.model, t.data, core.sha256(read "a.json") }, { f.model, f.data, f.table })
    assert.equal(64, #f.model)
  end)
end)

describe("exporters", function()
  it("warn of nothing in files that they could not put in place", function()
    assert.equal(0, process.run { "mkdir", "-p", folder .. "/out/new.hpp" }.status)
    local r = espquant("export", "a.onnx", "-t", "a.json", "-o", "out", "--name", "new")
    assert.equal(3, r.status)
    assert.matches("^Converting [^\n]*\n$", r.stdout)
    assert.is_nil(r.stderr:find("warning", 1, true))
    assert.matches("\nwarning: 'new' cannot be a namespace in C++; it is called 'new_'\n",
      espquant("export", "a.onnx", "-t", "a.json", "--name", "new").stdout, 1, true)
  end)
end)
