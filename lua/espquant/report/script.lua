--- The report's script: draws the facts that the page carries as JSON. Names come from strangers: they reach the page
--- as text nodes and attributes only, never as HTML.
return [==[
"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

// make("td", {class: "text"}, "words", child...)
function make(tag, attributes, ...children) {
  const isSvg = /^(svg|g|rect|path|line|text|title|polygon)$/.test(tag);
  const element = isSvg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {}))
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  for (const child of children) element.append(child);
  return element;
}

// --- numbers ---------------------------------------------------------------------------------------------------------

const none = "\u2013";
const isNumber = (x) => typeof x === "number";
const count = (n) => (isNumber(n) ? n.toLocaleString("en-US") : none);
const percent = (x, digits = 2) => (isNumber(x) ? (100 * x).toFixed(digits) + " %" : none);
const decibel = (x) => (isNumber(x) ? x.toFixed(1) : "\u221e");
const short = (x) => (isNumber(x) ? String(+x.toPrecision(4)) : none);
function bytes(n) {
  if (!isNumber(n)) return none;
  if (n < 10240) return count(n) + " B";
  return n < 10485760 ? (n / 1024).toFixed(1) + " KiB" : (n / 1048576).toFixed(1) + " MiB";
}
const grade = (snr) => (!isNumber(snr) || snr >= 30 ? "good" : snr >= 15 ? "fair" : "bad");
const fit = (text, n) => (text.length > n ? text.slice(0, n - 1) + "\u2026" : text);

// --- what is shown ---------------------------------------------------------------------------------------------------

let config = 0;
let chosen = -1;
let sortKey = "index", sortDown = false;

const layerOf = (node, c = config) => {
  for (const name of node.outputs) {
    const layer = facts.configs[c] && facts.configs[c].layers && facts.configs[c].layers[name];
    if (layer) return layer;
  }
  return null;
};
const snrOf = (node) => { const layer = layerOf(node); return layer ? layer.snr : undefined; };

const rows = facts.nodes.map((node, index) => ({ node, index })).filter((row) => row.node.op !== "Input");

const COLUMNS = [
  ["index", "#", (r) => r.index - facts.inputs + 1, count],
  ["name", "layer", (r) => r.node.name, null],
  ["op", "operator", (r) => r.node.op, null],
  ["shape", "shape", (r) => r.node.shape.join("\u00d7"), null],
  ["exponent", "exponent", (r) => (layerOf(r.node) || {}).exponent, (x) => (isNumber(x) ? String(x) : none)],
  ["range", "largest value", (r) => rangeOf(r.node), short],
  ["saturated", "saturated", (r) => (layerOf(r.node) || {}).saturated, (x) => percent(x)],
  ["snr", "SNR dB", (r) => (layerOf(r.node) ? layerOf(r.node).snr ?? Infinity : undefined),
    (x) => (x === Infinity ? "\u221e" : isNumber(x) ? x.toFixed(1) : none)],
  ["macs", "MACs", (r) => r.node.macs, count],
  ["bytes", "weight bytes", (r) => (r.node.parameters * bits()) / 8, count],
];
const bits = () => (facts.configs[config] ? facts.configs[config].bits : 8);
function rangeOf(node) {
  const tensor = facts.tensors[node.outputs[0]];
  return tensor && isNumber(tensor.max) ? Math.max(Math.abs(tensor.min), Math.abs(tensor.max)) : undefined;
}

// --- summary ---------------------------------------------------------------------------------------------------------

function drawSummary() {
  const head = ["configuration", "accuracy", "agreement with float", "output SNR dB", "weights"];
  const body = facts.configs.map((c) => c.refused ? make("tr", {}, make("td", { class: "text" }, c.label),
    make("td", { class: "text bad", colspan: 4, title: c.refused.problems.join("\n") }, c.refused.message))
    : make("tr", {},
    make("td", { class: "text" }, c.label), make("td", {}, percent(c.accuracy)), make("td", {}, percent(c.agreement)),
    make("td", { class: grade(c.snr) }, decibel(c.snr)), make("td", {}, bytes((facts.parameters * c.bits) / 8))));
  body.unshift(make("tr", {}, make("td", { class: "text" }, "float"), make("td", {}, percent(facts.float_accuracy)),
    make("td", {}, none), make("td", {}, none), make("td", {}, bytes(facts.parameters * 4))));
  byId("summary").append(make("table", {},
    make("thead", {}, make("tr", {}, ...head.map((t, i) => make("th", i ? {} : { class: "text" }, t)))),
    make("tbody", {}, ...body)));
}

function drawChoice() {
  const select = byId("config");
  config = facts.configs.findIndex((c) => !c.refused);
  facts.configs.forEach((c, i) => c.refused || select.append(make("option", { value: i }, c.label)));
  select.value = config;
  select.addEventListener("change", () => { config = +select.value; refresh(); });
}

// --- table of layers -------------------------------------------------------------------------------------------------

function compare(a, b) {
  if (a === undefined || a === null) return b === undefined || b === null ? 0 : 1;
  if (b === undefined || b === null) return -1;
  return isNumber(a) && isNumber(b) ? a - b : String(a).localeCompare(String(b));
}

function drawLayers() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const column = COLUMNS.find((c) => c[0] === sortKey);
  const list = rows.filter(({ node }) => {
    const text = (node.name + " " + node.op + " " + node.outputs.join(" ")).toLowerCase();
    return words.every((word) => text.includes(word));
  });
  list.sort((a, b) => {
    const order = compare(column[2](a), column[2](b));
    return (sortDown ? -order : order) || a.index - b.index;
  });
  const head = COLUMNS.map(([key, title, , format]) => {
    const button = make("button", { type: "button" }, title);
    button.addEventListener("click", () => {
      sortDown = sortKey === key ? !sortDown : false;
      sortKey = key;
      drawLayers();
    });
    const sort = key === sortKey ? (sortDown ? "descending" : "ascending") : "none";
    return make("th", { "aria-sort": sort, "data-key": key, class: format ? null : "text" }, button);
  });
  const body = list.map((row) => {
    const cells = COLUMNS.map(([key, , value, format]) => {
      const x = value(row), text = format ? format(x) : String(x);
      if (key === "snr") return make("td", { class: layerOf(row.node) ? grade(snrOf(row.node)) : null }, text);
      return make("td", { class: key === "name" ? "text name" : format ? null : "text", title: key === "name" ? text
        : null },
        text);
    });
    const tr = make("tr", { "data-index": row.index, class: row.index === chosen ? "chosen" : null }, ...cells);
    tr.addEventListener("click", () => choose(row.index, "graph"));
    return tr;
  });
  byId("layers").replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {},
    ...body)));
  byId("found").textContent = count(list.length) + " of " + count(rows.length) + " layers";
}

// --- graph -----------------------------------------------------------------------------------------------------------

function drawGraph() {
  const d = facts.drawing, W = d.box.width, H = d.box.height;
  const svg = make("svg", { width: d.width, height: d.height, viewBox: `0 0 ${d.width} ${d.height}`, role: "img" });
  for (const e of d.edges) {
    const p = e.points;
    let path = `M${p[0]},${p[1] + H / 2}`;
    for (let k = 2; k < p.length; k += 2) {
      const y1 = k === 2 ? p[1] + H / 2 : p[k - 1], y2 = k === p.length - 2 ? p[k + 1] - H / 2 : p[k + 1];
      const middle = (y1 + y2) / 2;
      path += ` C${p[k - 2]},${middle} ${p[k]},${middle} ${p[k]},${y2}`;
    }
    svg.append(make("path", { class: "edge", d: path }));
  }
  facts.nodes.forEach((node, i) => {
    const { x, y } = d.nodes[i];
    const g = make("g", { class: "node", tabindex: 0, "data-index": i,
      transform: `translate(${x - W / 2},${y - H / 2})` },
      make("title", {}, describe(node)), make("rect", { width: W, height: H, rx: 5 }),
      make("text", { x: 8, y: 15 }, fit(node.op, 22)), make("text", { x: 8, y: 29, class: "soft" }, fit(node.name,
        24)));
    g.addEventListener("click", () => choose(i, "table"));
    g.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(i, "table"); });
    svg.append(g);
  });
  byId("graph").replaceChildren(svg);
  byId("graph").scrollLeft = (d.width - byId("graph").clientWidth) / 2;
}

function describe(node) {
  const layer = layerOf(node);
  const lines = [node.op + " " + node.name, node.shape.join("\u00d7")];
  if (layer)
    lines.push(`exponent ${layer.exponent ?? none}, SNR ${decibel(layer.snr)} dB`,
      `saturated ${percent(layer.saturated)}`);
  return lines.join("\n");
}

function colourGraph() {
  for (const g of document.querySelectorAll("#graph .node")) {
    const node = facts.nodes[g.dataset.index], layer = layerOf(node);
    g.setAttribute("class", "node" + (layer ? " " + grade(layer.snr) : "") + (+g.dataset.index === chosen ? " chosen"
      : ""));
    g.querySelector("title").textContent = describe(node);
  }
}
]==]
