-- The reports of two models as users have them, made by the command and looked at in a browser #unit.

local browser = require "spec.support.browser"
local core = require "espquant.core"
local json = require "espquant.json"
local models = dofile "scripts/bench/models.lua"
local npy = require "espquant.npy"
local process = require "spec.support.process"

local MNIST = "examples/data/mnist/test-images-idx3-ubyte.gz"
local LABELS = "examples/data/mnist/test-labels-idx1-ubyte.gz"

describe("the report of #unit", function()
  local folder
  setup(function() folder = process.folder() end)
  teardown(function() process.remove(folder) end)

  local function run(...)
    local r = process.run { "build/bin/espquant", ... }
    assert.equal(0, r.status, r.stderr)
    return r.stdout
  end

  -- The optimized model's path, and the words that name its data.
  local CASES = {
    ["MNIST's network"] = { nodes = 17, right = true, make = function()
      run("optimize", "examples/mnist.onnx", "-o", folder .. "/m.onnx")
      return { "--data", MNIST, "--scale", "1/256", "--labels", LABELS }
    end },
    ["a MobileNetV2"] = { nodes = 101, make = function()
      local graph = models.build("mobilenet_v2_0.35_96", "chip")
      assert(core.write_file(folder .. "/f.onnx", assert(core.onnx_encode(graph))))
      assert(npy.save(folder .. "/x.npy", models.images("mobilenet_v2_0.35_96", 4)))
      run("optimize", folder .. "/f.onnx", "-o", folder .. "/m.onnx")
      return { "--data", folder .. "/x.npy", "-c", "int8:minmax", "-c", "v3:int8", "-c", "v3:int16:esp32p4" }
    end },
  }

  local function report(words)
    local all = { "report", folder .. "/m.onnx", "-o", folder .. "/r.html", "--json" }
    return json.decode(run(table.unpack(table.move(words, 1, #words, #all + 1, all))))
  end

  local function count(page, selector)
    return page:run(("return document.querySelectorAll(%q).length"):format(selector))
  end

  local function count_tensors(facts)
    local n = 0
    for _ in pairs(facts.tensors) do n = n + 1 end
    return n
  end

  -- What the columns show of the first row, sorted by a column.
  local function first_row(page, key)
    return page:run(([[document.querySelector('th[data-key="%s"] button').click();
      return document.querySelector("#layers tbody tr").dataset.index]]):format(key))
  end

  local function most_macs(facts)
    local most = 1
    for i, node in ipairs(facts.nodes) do
      if node.macs > facts.nodes[most].macs then most = i end
    end
    return most - 1
  end

  for name, case in pairs(CASES) do
    it(name .. " has every row, node and histogram, sorts, searches and logs nothing", function()
      local facts = report(case.make())
      assert.equal(case.nodes, #facts.nodes)
      if case.right then assert.is_true(facts.float_accuracy > 0.99 and facts.configs[1].accuracy > 0.98) end
      local runtimes = {}
      for _, c in ipairs(facts.configs) do runtimes[c.runtime] = true end
      assert.same({ v1 = true, v3 = true }, runtimes)
      if browser.missing then return end
      local page <close> = browser.open(folder .. "/r.html", 1440, 900)
      page:run [[document.getElementById("more").click()]]
      assert.equal(#facts.nodes - 1, count(page, "#layers tbody tr"))
      assert.equal(#facts.nodes, count(page, "#graph .node"))
      assert.equal(count_tensors(facts), count(page, "#histograms svg"))
      assert.equal(#facts.configs + 1, count(page, "#summary tbody tr"))
      assert.equal(#facts.configs, count(page, "#ratios .curve"))
      assert.equal(#facts.timeline, count(page, "#memory rect"))
      first_row(page, "macs")
      assert.equal(most_macs(facts), tonumber(first_row(page, "macs"))) -- the second click: largest first
      page:run [[const s = document.getElementById("search"); s.value = "gemm"; s.dispatchEvent(new Event("input"))]]
      assert.equal(1, count(page, "#layers tbody tr"))
      page:run [[document.querySelector('#graph .node[data-index="1"]').dispatchEvent(new MouseEvent("click"))]]
      assert.matches(facts.nodes[2].name, page:run [[return document.getElementById("detail").textContent]], 1, true)
      page:run [[document.querySelector('#graph .node[data-index="1"]').dispatchEvent(
        new MouseEvent("mousemove", { clientX: 90, clientY: 90 }))]]
      assert.matches(facts.nodes[2].name, page:run [[return document.getElementById("tip").textContent]], 1, true)
      page:run(([[document.querySelector('#summary tr[data-config="%d"]').click()]]):format(#facts.configs - 1))
      assert.equal(#facts.configs[#facts.configs].worst, count(page, "#worst li a"))
      assert.same({}, page:log())
      assert.equal(1440, page:run "return document.documentElement.scrollWidth")
    end)
  end

  it("a model is followed by commands that work", function()
    local words = CASES["MNIST's network"].make()
    for _, c in ipairs(report(words).configs) do
      for _, w in ipairs(c.worst) do
        assert.matches("--scale 0.00390625", w.command, 1, true)
        local line = w.command:gsub("^espquant ", "build/bin/espquant ") .. " -o " .. folder .. "/t.json"
        assert.equal(0, process.run({ "sh", "-c", line }).status, line)
      end
    end
  end)
end)
