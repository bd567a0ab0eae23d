--- The facts of a report as one HTML file that needs nothing else: style, script and facts are in it, and its policy
--- lets nothing else run or load.

local core = require "espquant.core"
local json = require "espquant.json"
local layers = require "espquant.report.layers"
local style = require "espquant.report.style"

local script = require "espquant.report.script" .. require "espquant.report.script_parts"

local BOX = { width = 170, height = 36 } -- of a node

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
  { "worst", "Worst layers", '<div class="tools"><label>Configuration <select id="config"></select></label></div>\n'
    .. '<div id="worst"></div><ul id="warnings" class="soft"></ul>\n' },
  { "graph", "Graph", '<div id="graph" class="scroll" tabindex="0"></div>\n'
    .. '<div id="detail" aria-live="polite"><span class="soft">Choose a node or a layer.</span></div>\n' },
  { "layers", "Layers", '<div class="tools"><input id="search" type="search" placeholder="Search name or operator" '
    .. 'aria-label="Search layers"><span id="found" class="soft"></span></div>\n'
    .. '<div id="layers" class="scroll"></div>\n' },
  { "memory", "Memory", '<div id="memory"></div><p id="peak" class="soft"></p>\n' },
  { "histograms", "Histograms", '<p class="soft">Float values on the data, logarithm of the count; dashed: what the '
    .. 'exponent holds.</p><div id="histograms"></div>\n' },
}

local function body_of(facts)
  local parts = {
    ("<header><h1>%s</h1>\n"):format(escape(facts.name)),
    ('<p class="soft">%d layers, %d parameters, %d multiply-accumulates an image; %d images of %s</p>\n'):format(
      #facts.nodes - facts.inputs, facts.parameters, facts.macs, facts.images or 0, escape(facts.data)),
    "<nav>",
  }
  for _, s in ipairs(SECTIONS) do parts[#parts + 1] = ('<a href="#s-%s">%s</a>\n'):format(s[1], s[2]) end
  parts[#parts + 1] = "</nav></header>\n<main>\n"
  for _, s in ipairs(SECTIONS) do parts[#parts + 1] = section(table.unpack(s)) end
  parts[#parts + 1] = ('</main>\n<footer>%s, %s; model %s</footer>\n'):format(escape(facts.tool), escape(facts.isa),
    escape(facts.model_hash))
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
