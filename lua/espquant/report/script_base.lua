--- The report's script, first part: elements, numbers, what is chosen. Names come from strangers: they reach the page
--- as text nodes and attributes only, never as HTML, and are looked up as own properties only.
return [==[
"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const own = (object, key) => (object && Object.hasOwn(object, key) ? object[key] : undefined);

// make("td", {class: "text"}, "words", child...)
function make(tag, attributes, ...children) {
  const isSvg = /^(svg|g|rect|path|line|text|circle)$/.test(tag);
  const element = isSvg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {}))
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// --- numbers ---------------------------------------------------------------------------------------------------------

const none = "\u2013";
const isNumber = (x) => typeof x === "number";
const count = (n) => (isNumber(n) ? n.toLocaleString("en-US") : none);
const percent = (x, digits = 2) => (isNumber(x) ? (100 * x).toFixed(digits) + " %" : none);
const decibel = (x) => (isNumber(x) ? x.toFixed(1) : "\u221e");
const short = (x) => (isNumber(x) ? String(+x.toPrecision(4)).replace("-", "\u2212") : none);
function bytes(n) {
  if (!isNumber(n)) return none;
  if (n < 1024) return count(Math.round(n)) + " B";
  return n < 1048576 ? (n / 1024).toFixed(1) + " KiB" : (n / 1048576).toFixed(2) + " MiB";
}
const grade = (snr) => (!isNumber(snr) || snr >= 30 ? "good" : snr >= 15 ? "fair" : "bad");
const fit = (text, n) => (text.length > n ? text.slice(0, n - 1) + "\u2026" : text);
const times = (shape) => shape.map((d) => d ?? "?").join("\u00d7");

// --- what is chosen --------------------------------------------------------------------------------------------------

const letter = (i) => (i < 26 ? String.fromCharCode(65 + i) : String(i + 1));
const colour = (i) => "k" + (i % 6);
const swatch = (i) => make("span", { class: "swatch " + colour(i) }, letter(i));
const usable = facts.configs.map((c, i) => (c.refused ? -1 : i)).filter((i) => i >= 0);
let config = usable.length ? usable[0] : 0;
let chosen = -1;

const layerOf = (node, c = config) => {
  for (const name of node.outputs) {
    const layer = own(facts.configs[c] && facts.configs[c].layers, name);
    if (layer) return layer;
  }
  return null;
};
const widthOf = (node, c = config) => (layerOf(node, c) || {}).bits ?? (facts.configs[c] ? facts.configs[c].bits : 8);
const tensorOf = (node) => own(facts.tensors, node.outputs[0]);
const titleOf = (node) => node.op + " " + node.name;
const rows = facts.nodes.map((node, index) => ({ node, index })).filter((row) => row.node.op !== "Input");

// --- the note beside the pointer -------------------------------------------------------------------------------------

const tip = byId("tip");
function showTip(event, ...children) {
  tip.replaceChildren(...children);
  tip.hidden = false;
  const w = tip.offsetWidth, h = tip.offsetHeight, edge = document.documentElement.clientWidth;
  tip.style.left = Math.max(8, Math.min(event.clientX + 14, edge - w - 8)) + "px";
  tip.style.top = (event.clientY + 18 + h > innerHeight ? event.clientY - h - 10 : event.clientY + 18) + "px";
}
const hideTip = () => { tip.hidden = true; };

// The facts of a node that fit beside the pointer.
function noteOf(node) {
  const tensor = tensorOf(node), layer = layerOf(node), list = [make("strong", {}, fit(titleOf(node), 60)),
    make("div", {}, times(node.shape))];
  if (tensor) list.push(make("div", {}, short(tensor.min) + " to " + short(tensor.max)));
  if (layer) list.push(make("div", {}, `exponent ${short(layer.exponent)}, saturated ${percent(layer.saturated)}`));
  facts.configs.forEach((c, i) => {
    const each = layerOf(node, i);
    if (each) list.push(make("div", {}, swatch(i), ` ${decibel(each.snr)} dB`));
  });
  return list;
}

function follow(element, node) {
  element.addEventListener("mousemove", (event) => showTip(event, ...noteOf(node)));
  element.addEventListener("mouseleave", hideTip);
}
]==]
