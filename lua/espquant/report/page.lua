--- The facts of a report as one HTML file that needs nothing else: style, script and facts are in it, and its policy
--- lets nothing else run or load.

local core = require "espquant.core"
local json = require "espquant.json"
local layers = require "espquant.report.layers"
local style = require "espquant.report.style"

-- In this order.
local script = require "espquant.report.script_base" .. require "espquant.report.script_summary"
  .. require "espquant.report.script_graph" .. require "espquant.report.script_layers"
  .. require "espquant.report.script_tensors"

local BOX = { width = 190, height = 40 } -- of a node

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local list = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 1, 4 do
      local digit = bits >> (24 - 6 * k) & 63
      local known = k <= 2 or k == 3 and b or k == 4 and c
      list[#list + 1] = known and DIGITS:sub(digit + 1, digit + 1) or "="
    end
  end
  return table.concat(list)
end

-- What a policy names a text by.
local function hash_of(text)
  return "'sha256-" .. base64((core.sha256(text):gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)))
    .. "'"
end

local function escape(text)
  return (tostring(text):gsub("[&<>\"']", {
    ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;",
  }))
end

-- The number of each node that makes a tensor.
local function drawing_of(nodes)
  local maker, list = {}, {}
  for i, node in ipairs(nodes) do
    list[i] = { inputs = {} }
    local seen = {}
    for _, name in ipairs(node.inputs) do
      local from = maker[name]
      if from and not seen[from] then
        seen[from] = true
        table.insert(list[i].inputs, from)
      end
    end
    for _, name in ipairs(node.outputs) do maker[name] = i end
  end
  local drawing = layers(list, BOX)
  drawing.box = BOX
  return drawing
end

local function section(id, title, body)
  return ('<section id="s-%s"><h2>%s</h2>\n%s</section>\n'):format(id, title, body)
end

local SECTIONS = {
  { "summary", "Summary", '<div id="summary" class="scroll"></div>\n' },
  { "ratios", "Signal over noise", '<p class="soft">Of every layer, in dB, against the float model; above 30 dB an '
    .. 'error rarely matters.</p>\n<div id="ratios"></div><div id="legend"></div>\n' },
  { "worst", "Worst layers", '<ol id="worst"></ol><ul id="warnings" class="soft"></ul>\n' },
  { "graph", "Graph", '<div class="pair"><div id="graph" class="scroll" tabindex="0"></div>\n'
    .. '<div id="detail" aria-live="polite"><p class="soft">Choose a node: its figures appear here.</p></div>'
    .. '</div>\n' },
  { "layers", "Layers", '<div class="tools"><input id="search" type="search" placeholder="Search name or operator" '
    .. 'aria-label="Search layers"><span id="found" class="soft"></span></div>\n'
    .. '<div id="layers" class="scroll" tabindex="0"></div>\n' },
  { "memory", "Memory", '<p id="peak" class="soft"></p><div id="memory"></div>\n' },
  { "histograms", "Histograms", '<p class="soft">Float values on the data, and of weights: logarithm of the counts. '
    .. '<span class="key limit">Dashed</span>: what the exponent holds. <span class="key threshold">Dotted</span>: '
    .. 'where the entropy method cuts.</p>\n<div id="histograms"></div>'
    .. '<button id="more" type="button" hidden></button>\n' },
}

local function thousands(n)
  local text = ("%d"):format(n)
  repeat
    local count
    text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until count == 0
  return text
end

local function fact(value, title)
  return ("<div><dt>%s</dt><dd>%s</dd></div>\n"):format(title, value)
end

local function body_of(facts)
  local parts = {
    ('<div id="bar"><div><b>%s</b><label>Configuration <select id="config"></select></label></div></div>\n'):format(
      escape(facts.name)),
    ("<header><h1>%s</h1>\n"):format(escape(facts.name)),
    ('<p class="soft">%s</p>\n'):format(facts.data ~= json.null and "measured on " .. escape(facts.data) or ""),
    '<dl class="facts">', fact(thousands(#facts.nodes - facts.inputs), "layers"),
    fact(thousands(facts.parameters), "parameters"), fact(thousands(facts.macs), "multiply-accumulates"),
    fact(thousands(facts.images or 0), "images"), "</dl>\n<nav>",
  }
  for _, s in ipairs(SECTIONS) do parts[#parts + 1] = ('<a href="#s-%s">%s</a>\n'):format(s[1], s[2]) end
  parts[#parts + 1] = "</nav></header>\n<main>\n"
  for _, s in ipairs(SECTIONS) do parts[#parts + 1] = section(table.unpack(s)) end
  parts[#parts + 1] = ('</main>\n<div id="tip" hidden></div>\n<footer>%s, %s; model %s</footer>\n'):format(
    escape(facts.tool), escape(facts.isa), escape(facts.model_hash))
  return table.concat(parts)
end

--- The page as a text; the same facts give the same bytes.
return function(facts)
  facts.drawing = drawing_of(facts.nodes)
  -- "<" starts nothing inside of a script element that it could end.
  local data = json.encode(facts):gsub("<", "\\u003c")
  facts.drawing = nil
  local policy = ("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'"):format(
    hash_of(style), hash_of(script))
  return table.concat {
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n',
    '<meta http-equiv="Content-Security-Policy" content="', escape(policy):gsub("&#39;", "'"), '">\n',
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>', escape(facts.name),
    " - espquant report</title>\n<style>", style, "</style></head>\n<body>\n", body_of(facts),
    '<script type="application/json" id="facts">', data, "</script>\n<script>", script, "</script>\n</body></html>\n",
  }
end
