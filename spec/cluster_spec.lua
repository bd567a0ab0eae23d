-- scripts/cluster/parallel gives the table and the figures of one run, on several hosts, and goes on after a shard was killed.
-- scripts/cluster/slurm is tested by scripts/cluster/test_slurm.
local process = require "spec.support.process"

local DIGITS = process.root .. "/examples/data/mnist/"
local PARALLEL = process.root .. "/scripts/cluster/parallel"
local folder

local function read(name)
  local file <close> = assert(io.open(folder .. "/" .. name, "rb"))
  return file:read "a"
end

local function put_script(name, text)
  process.write_file(folder .. "/" .. name, "#!/bin/sh\n" .. text)
  process.run({ "chmod", "+x", folder .. "/" .. name }, {})
  return folder .. "/" .. name
end

-- Runs the script; `env` are variables beside the usual ones.
local function parallel(env, ...)
  env.ESPQUANT = env.ESPQUANT or process.espquant
  return process.run({ PARALLEL, ... }, { cwd = folder, env = env })
end

local function calibrate(env, ...)
  local words = { "-n", "3", "-o", "t.json", ... }
  for _, word in ipairs { "calibrate", "m.onnx", "-d", DIGITS .. "calib-images-idx3-ubyte.gz", "--scale", "1/256",
    "--method", "entropy", "-j", "1" } do words[#words + 1] = word end
  return parallel(env, table.unpack(words))
end

local function good(r)
  assert.equal(0, r.status, r.stderr)
  return r.stdout
end

setup(function()
  folder = process.folder()
  local function run(...) good(process.run({ process.espquant, ... }, { cwd = folder })) end
  run("optimize", process.root .. "/examples/mnist.onnx", "-o", "m.onnx")
  run("calibrate", "m.onnx", "-d", DIGITS .. "calib-images-idx3-ubyte.gz", "--scale", "1/256", "--method", "entropy",
    "-o", "whole.json")
end)

teardown(function() process.remove(folder) end)

describe("scripts/cluster/parallel #unit", function()
  it("calibrates in two rounds to the table of one run", function()
    assert.matches("t.json: 29 entries from 500 images in 3 parts", good(calibrate({}, "--work", "a")))
    assert.equal(read "whole.json", read "t.json")
  end)

  it("spreads shards over hosts", function()
    -- A host is asked by ssh: this one is always there, and notes who was asked.
    local ssh = put_script("ssh", [[while [ "${1#-}" != "$1" ]; do shift; done
echo "$1" >>"]] .. folder .. [[/hosts.seen"
shift
[ "$1" != -- ] || shift
exec sh -c "$*"
]])
    process.write_file(folder .. "/hosts", "1/first\n1/second\n")
    os.remove(folder .. "/t.json")
    good(calibrate({ PARALLEL_SSH = ssh }, "--work", "b", "--hosts", "hosts"))
    assert.equal(read "whole.json", read "t.json")
    local seen = read "hosts.seen"
    assert.matches("first", seen)
    assert.matches("second", seen)
  end)

  it("goes on where a shard was killed, and measures no other again", function()
    local breaking = put_script("breaking", ([[echo "$*" >>"%s/calls"
case "$*" in
  *'--shard 2/3'*)
    if [ ! -e "%s/broken" ]; then
      touch "%s/broken"
      "%s" "$@" &
      kill -KILL $!
      wait $!
      exit 137
    fi ;;
esac
exec "%s" "$@"
]]):format(folder, folder, folder, process.espquant, process.espquant))
    os.remove(folder .. "/t.json")
    local r = calibrate({ ESPQUANT = breaking }, "--work", "c", "--jobs", "1")
    assert.equal(1, r.status)
    assert.matches("run this again to try them once more %(.*/c/round1.log tells which", r.stderr)
    assert.is_nil(io.open(folder .. "/t.json"))
    os.remove(folder .. "/calls")
    good(calibrate({ ESPQUANT = breaking }, "--work", "c", "--jobs", "1"))
    assert.equal(read "whole.json", read "t.json")
    local again = {}
    for shard in read("calls"):gmatch "%-%-shard (%d/%d) %-o %S+round1%-" do again[#again + 1] = shard end
    assert.same({ "2/3" }, again)
  end)

  it("evaluates to the figures of one run", function()
    local data = { "-d", DIGITS .. "test-images-idx3-ubyte.gz", "--scale", "1/256", "-l",
      DIGITS .. "test-labels-idx1-ubyte.gz", "-t", "whole.json" }
    local function figures(text)
      local list = {}
      for number in text:gmatch "[%d.]+ %%" do list[#list + 1] = number end
      return list
    end
    local whole = figures(good(process.run({ process.espquant, "evaluate", "m.onnx", table.unpack(data) },
      { cwd = folder })))
    assert.same(whole, figures(good(parallel({}, "-n", "4", "evaluate", "m.onnx", table.unpack(data)))))
    assert.equal(3, #whole)
  end)

  it("refuses what it cannot do, before anything runs", function()
    for message, words in pairs {
      ["what to do: calibrate or evaluate"] = { "-n", "3" },
      ["'0' is no number of shards"] = { "-n", "0", "-o", "x", "calibrate", "m.onnx" },
      ["-o TABLE: where to?"] = { "calibrate", "m.onnx" },
      ["unknown option: --fast"] = { "--fast", "1", "calibrate", "m.onnx" },
      ["a is of another job"] = { "--work", "a", "-o", "x.json", "calibrate", "m.onnx" },
    } do
      local r = parallel({}, table.unpack(words))
      assert.equal(2, r.status, message)
      assert.matches(message, r.stderr, 1, true)
    end
    assert.matches("usage: scripts/cluster/slurm", good(process.run({ process.root .. "/scripts/cluster/slurm", "-h" }, {})))
  end)
end)
