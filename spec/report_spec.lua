-- The report: its drawing, its facts, and the page in a real browser.

local browser = require "spec.support.browser"
local cause = require "espquant.report.cause"
local core = require "espquant.core"
local espquant = require "espquant"
local layers = require "espquant.report.layers"
local memory = require "espquant.memory"
local process = require "spec.support.process"
local report = require "espquant.report"
local shell = require "espquant.shell"

local SIZE = { width = 100, height = 30 }

local function nodes_of(text)
  local list = {}
  for line in text:gmatch "[^;]+" do
    local inputs = {}
    for n in line:gmatch "%d+" do inputs[#inputs + 1] = tonumber(n) end
    list[#list + 1] = { inputs = inputs }
  end
  return list
end

local function overlaps(drawing)
  local count = 0
  for i, a in ipairs(drawing.nodes) do
    for k = i + 1, #drawing.nodes do
      local b = drawing.nodes[k]
      if math.abs(a.x - b.x) < SIZE.width and math.abs(a.y - b.y) < SIZE.height then count = count + 1 end
    end
  end
  return count
end

describe("the drawing of a graph", function()
  local CASES = {
    chain = " ;1;2;3",
    diamond = " ;1;1;2 3",
    ["skip over three layers"] = " ;1;2;3;4 1",
    ["two inputs"] = " ; ;1;3 2",
    fan = " ;1;1;1;1;1;1;2 3 4 5 6 7",
    none = "",
  }
  for name, text in pairs(CASES) do
    it("places every node below what feeds it, none over another: " .. name, function()
      local nodes = nodes_of(text)
      local drawing = layers(nodes, SIZE)
      assert.equal(#nodes, #drawing.nodes)
      assert.equal(0, overlaps(drawing))
      for i, node in ipairs(nodes) do
        local at = drawing.nodes[i]
        assert.is_true(at.x - SIZE.width / 2 >= 0 and at.x + SIZE.width / 2 <= drawing.width)
        assert.is_true(at.y + SIZE.height / 2 <= drawing.height)
        for _, from in ipairs(node.inputs) do assert.is_true(drawing.nodes[from].y < at.y) end
      end
      assert.same(drawing, layers(nodes, SIZE))
    end)
  end

  it("leads a long edge past the nodes between", function()
    local nodes = nodes_of " ;1;2;3;4 1"
    local drawing = layers(nodes, SIZE)
    local long
    for _, edge in ipairs(drawing.edges) do
      if edge.from == 1 and edge.to == 5 then long = edge.points end
    end
    assert.equal(10, #long)
    for k = 3, 7, 2 do
      for i = 2, 4 do
        local at = drawing.nodes[i]
        assert.is_false(math.abs(long[k] - at.x) < SIZE.width / 2 and math.abs(long[k + 1] - at.y) < SIZE.height / 2)
      end
    end
  end)
end)

-- x [1,1,4,4] -> Conv (2 channels) -> Relu -> Add with the Conv's output -> y
local function residual(name)
  local g = core.graph { name = "residual", opset = 11 }
  local x = g:add_input("x", "float32", { "N", 1, 4, 4 })
  local w = g:add_constant("w", core.tensor_from({ 0.5, -2 }, "float32"):reshape { 2, 1, 1, 1 })
  local conv = g:add_node { op_type = "Conv", name = name, inputs = { x, w }, outputs = { "c" } }
  local relu = g:add_node { op_type = "Relu", name = "relu", inputs = { conv }, outputs = { "r" } }
  local add = g:add_node {
    op_type = "Add", name = "add", inputs = { relu, conv }, outputs = { "y" },
  }
  g:add_output(add:output(1))
  assert(g:infer_shapes())
  return g
end

local function facts_of(model, configs)
  local list = {}
  for i = 1, 8 * 16 do list[i] = ((i * 37) % 101) / 50 - 1 end
  local data = espquant.dataset(core.tensor_from(list, "float32"):reshape { 8, 1, 4, 4 })
  return report.collect(model, require "espquant.dataset".of(data, model), {
    name = "model <b>&", configs = configs or { { bits = "int8", granularity = "per-tensor", method = "minmax" } },
  })
end

describe("memory.timeline", function()
  it("counts what lives at each node", function()
    local steps, peak = memory.timeline(residual "conv")
    local elements = {}
    for i, step in ipairs(steps) do elements[i] = step.elements end
    assert.same({ 16 + 32, 64, 96 }, elements) -- x and c; c and r; c, r and y
    assert.equal(3, peak)
  end)
end)

describe("report.collect", function()
  it("has every node, tensor and layer", function()
    local facts = facts_of(residual "conv")
    assert.equal(4, #facts.nodes) -- the input is one
    assert.equal("Input", facts.nodes[1].op)
    assert.same({ "c" }, table.move(facts.nodes[2].outputs, 1, 1, 1, {}))
    assert.equal(64, #facts.tensors.c.counts)
    assert.is_true(facts.tensors.c.min >= -2 and facts.tensors.c.max <= 2)
    local layer = facts.configs[1].layers.y
    assert.equal("integer", math.type(layer.exponent))
    assert.is_true(layer.snr > 20)
    assert.equal(1.0, facts.configs[1].agreement)
  end)

  it("names the layer that loses most, with a command", function()
    local facts = facts_of(residual "conv", { { bits = "int8", granularity = "per-tensor", method = "entropy" } })
    for _, w in ipairs(facts.configs[1].worst) do
      assert.matches("^espquant ", w.command)
      assert.is_true(w.snr < 30 and #w.cause > 10)
    end
  end)

  it("takes configurations of ESP-DL v3, from the command as well", function()
    local facts = facts_of(residual "conv", { { bits = "int8", runtime = "v3", target = "esp32p4", observer = "mse" } })
    assert.equal("v3 int8 mse esp32p4", facts.configs[1].label)
    assert.is_true(facts.configs[1].layers.y.snr > 20)
    local config = require "argparse"()
    require("espquant.commands.report").configure(config)
    local args = config:parse { "m.onnx", "-d", "x.npy", "-c", "v3:minmax:esp32p4", "-c", "minmax:int16" }
    assert.same({ { runtime = "v3", observer = "minmax", target = "esp32p4", bits = "int8" },
      { method = "minmax", bits = "int16" } }, args.config)
  end)

  it("takes every target of v1, and lists saturating lanes of the ESP32-S3 only", function()
    for _, target in ipairs { "esp32", "esp32s2", "esp32c3" } do
      local config = { bits = "int8", granularity = "per-tensor", method = "minmax" }
      local usual = facts_of(residual "conv", { config }).configs[1]
      config.target = target
      local facts = facts_of(residual "conv", { config }).configs[1]
      assert.equal("v1 int8 per-tensor minmax " .. target, facts.label)
      assert.same(usual.layers, facts.layers)
      assert.same({}, facts.saturating_layers)
      assert.is_true(facts.sizes.flash > 0 and facts.sizes.ram >= 96)
    end
  end)

  it("shows runtimes side by side, one that refuses the model with its reasons", function()
    local g = residual "conv"
    local y = g.outputs[1]
    local elu = g:add_node { op_type = "Elu", name = "elu", inputs = { y }, outputs = { "z" } }
    g:add_output(elu:output(1))
    assert(g:infer_shapes())
    local v1 = { bits = "int8", granularity = "per-tensor", method = "minmax" }
    local facts = facts_of(g, { v1, { bits = "int8", runtime = "v3" } })
    assert.equal("unsupported", facts.configs[1].refused.code)
    assert.matches("'elu'.*Elu", table.concat(facts.configs[1].refused.problems, "\n"))
    assert.is_nil(facts.configs[1].layers)
    assert.is_true(facts.configs[2].layers.z.snr > 20)
    assert.has_error(function() facts_of(g, { v1 }) end)
  end)

  it("has weights and thresholds beside the tensors", function()
    local g = residual "conv"
    local facts = facts_of(g)
    assert.is_true(facts.tensors.c.threshold > 0)
    assert.same({ 2, 1, 1, 1 }, facts.tensors.w.shape)
    assert.same({ -2, 0.5 }, { facts.tensors.w.min, facts.tensors.w.max })
    assert.is_nil(facts.tensors.w.threshold)
  end)

  it("names an input that is cut off, and no layer that only hands the error on", function()
    local g = residual "conv"
    local list = {}
    for i = 1, 8 * 16 do list[i] = ((i * 37) % 101) / 10 - 5 end
    local data = espquant.dataset(core.tensor_from(list, "float32"):reshape { 8, 1, 4, 4 })
    local facts = report.collect(g, require "espquant.dataset".of(data, g), {
      name = "m", path = "m.onnx", configs = { { bits = "int8", granularity = "per-tensor", method = "minmax" } } })
    local worst = facts.configs[1].worst
    assert.equal(1, #worst)
    assert.equal("conv", facts.nodes[worst[1].node].name)
    assert.matches("input 'x' reaches 5", worst[1].cause)
    assert.matches("--input-exponent measured", worst[1].command, 1, true)
  end)

  -- x -> Conv of two channels -> Relu -> Conv -> y; -2 or another weight in the second channel.
  local function rectified(second)
    local g = core.graph { name = "rectified", opset = 11 }
    local w = g:add_constant("w", core.tensor_from({ 0.5, second or -2 }, "float32"):reshape { 2, 1, 1, 1 })
    local x = g:add_input("x", "float32", { "N", 1, 4, 4 })
    local conv = g:add_node { op_type = "Conv", name = "conv", inputs = { x, w }, outputs = { "c" } }
    local relu = g:add_node { op_type = "Relu", name = "relu", inputs = { conv }, outputs = { "r" } }
    local last = g:add_node { op_type = "Conv", name = "last", inputs = { relu, g:add_constant("v",
      core.tensor_from({ 0.25, 0.5 }, "float32"):reshape { 1, 2, 1, 1 }) }, outputs = { "y" } }
    g:add_output(last:output(1))
    assert(g:infer_shapes())
    return g
  end

  local function worst_of(layers)
    local g = rectified()
    local facts, config = facts_of(g), { bits = "int8", runtime = "v3" }
    return cause.worst(g, facts, config, { layers = layers, exponents = {}, bits = 8 }, {}), facts
  end

  it("judges a layer behind its activation, and inputs through what is no layer of its own", function()
    local clean, poor = { snr = 40, saturated = 0 }, { snr = 12, saturated = 0.1 }
    assert.same({}, worst_of { c = poor, r = clean, y = clean }) -- what Relu cuts away did no harm
    assert.equal(1, #worst_of { c = poor, y = { snr = 11, saturated = 0 } }) -- r is none of its own
    local worst, facts = worst_of { r = poor, y = { snr = 11, saturated = 0 } } -- v3: Conv and Relu are one
    assert.equal(1, #worst)
    assert.equal("conv", facts.nodes[worst[1].node].name)
    assert.equal(12, worst[1].snr)
    assert.matches("10 %% of its values", worst[1].cause)
  end)

  it("names a weight whose channels differ too much for one exponent, where the chip has one only", function()
    local g = rectified(100)
    local tables = { layers = { r = { snr = 9, saturated = 0 } }, exponents = {}, bits = 8 }
    local function first(config)
      config.bits = "int8"
      return cause.worst(g, facts_of(g), config, tables, { path = "m.onnx", data_words = "--data d.npy" })[1]
    end
    assert.matches("200 times", first({ runtime = "v3" }).cause)
    assert.equal("espquant optimize --equalize m.onnx --data d.npy --runtime v3 --target esp32c3 --bits int8",
      first({ runtime = "v3", target = "esp32c3" }).command)
    assert.matches("--granularity per-channel", first({ granularity = "per-tensor" }).command, 1, true)
    for _, target in ipairs { "esp32p4", "esp32s31" } do
      assert.matches("8 bits are too coarse", first({ runtime = "v3", target = target }).cause)
    end
  end)

  it("quotes what a shell would read otherwise", function()
    assert.equal([['it'\''s $x']], shell.quoted "it's $x")
    assert.same({ "--scale 0.00390625", "--size 2x3", "--header no" }, shell.options({ { "--scale", "scale" },
      { "--size", "size", "x" }, { "--header", "header" }, { "--none", "none" } },
      { scale = 1 / 256, size = { 2, 3 }, header = false }))
  end)

  it("gives the same page twice", function()
    assert.equal(report.page(facts_of(residual "conv")), report.page(facts_of(residual "conv")))
  end)
end)

-- The page's text must not contain anything that names could have become.
local EVIL = "</script><script>document.title='broken'</script><img src=x onerror=document.title='broken'>"

describe("the page #unit", function()
  if browser.missing then
    pending("in a browser: there is no " .. browser.missing)
    return
  end

  local folder
  setup(function() folder = process.folder() end)
  teardown(function() process.remove(folder) end)

  local function open(facts, width, height)
    local path = folder .. "/report.html"
    assert(core.write_file(path, report.page(facts)))
    return browser.open(path, width, height)
  end

  local function count(page, selector)
    return page:run(("return document.querySelectorAll(%q).length"):format(selector))
  end

  local function check_page(page, facts, layers_count, tensors)
    assert.same({}, page:log())
    assert.equal(layers_count, count(page, "#layers tbody tr"))
    assert.equal(#facts.nodes, count(page, "#graph .node"))
    assert.equal(tensors, count(page, "#histograms svg"))
    assert.equal(#facts.configs + 1, count(page, "#summary tbody tr"))
    assert.equal(#facts.timeline, count(page, "#memory rect"))
  end

  it("shows rows, nodes and histograms, sorts, searches and follows a click", function()
    local facts = facts_of(residual "conv")
    local page <close> = open(facts, 1280, 900)
    check_page(page, facts, 3, 5)
    page:run [[document.querySelector("th[data-key=name] button").click()]]
    local function names()
      return page:run [[return [...document.querySelectorAll("#layers td.name")].map((td) => td.textContent).join(" ")]]
    end
    assert.equal("add conv relu", names())
    page:run [[document.querySelector("th[data-key=name] button").click()]]
    assert.equal("relu conv add", names())
    page:run [[const s = document.getElementById("search"); s.value = "REL"; s.dispatchEvent(new Event("input"))]]
    assert.equal("relu", names())
    page:run [[document.querySelector("#layers tbody tr").click()]]
    assert.matches("Relu relu", page:run [[return document.getElementById("detail").textContent]])
    assert.equal(1, count(page, "#graph .node.chosen"))
    assert.same({}, page:log())
  end)

  it("shows a name that is HTML as text, and lets no foreign script run", function()
    local facts = facts_of(residual(EVIL))
    local page <close> = open(facts, 1280, 900)
    check_page(page, facts, 3, 5)
    assert.equal("model <b>& - espquant report", page:run "return document.title")
    assert.equal(0, count(page, "img"))
    assert.equal(EVIL, page:run [[return document.querySelectorAll("#layers td.name")[0].textContent]])
    page:run [[const s = document.createElement("script"); s.textContent = "document.title='broken'";
      document.body.append(s)]]
    assert.equal("model <b>& - espquant report", page:run "return document.title")
  end)

  it("looks nothing up but what the facts have", function()
    local facts = facts_of(residual "\xff\xfe\u{2028}")
    for i, name in ipairs { "__proto__", "constructor", "toString" } do facts.nodes[i + 1].outputs[1] = name end
    facts.nodes[2].weights[1], facts.nodes[3].inputs[1] = "valueOf", "__proto__"
    local page <close> = open(facts, 1280, 900)
    page:run [[document.querySelector('#graph .node[data-index="1"]').dispatchEvent(new MouseEvent("click"))]]
    assert.same({}, page:log())
    assert.equal("yes", page:run "return document.body.dataset.ready")
    assert.equal(3, count(page, "#layers tbody tr"))
  end)

  for _, width in ipairs { 1440, 390 } do
    it(("fits a window of %d pixels"):format(width), function()
      local page <close> = open(facts_of(residual "conv"), width, 844)
      assert.equal(width, page:run "return document.documentElement.scrollWidth")
    end)
  end
end)
