--- The report's script, last part: histograms, memory, and the first drawing of everything.
return [==[
// --- histograms ------------------------------------------------------------------------------------------------------

const HISTOGRAM = { width: 260, height: 70, most: 60 };

// What the exponent of a tensor holds, in the chosen configuration: of a layer, a model's input or a weight.
function limitsOf(name) {
  const c = facts.configs[config], layer = own(c && c.layers, name), weight = own(c && c.weights, name);
  const e = layer ? layer.exponent : weight ? weight.max : own(c && c.inputs, name);
  const bits = (layer && layer.bits) || (c && c.bits);
  return isNumber(e) ? [-(2 ** (bits - 1)) * 2 ** e, (2 ** (bits - 1) - 1) * 2 ** e] : null;
}

// Counts as bars of their logarithm; dashed what the exponent holds, dotted where the entropy method cuts.
function histogram(name) {
  const t = own(facts.tensors, name);
  if (!t || !t.counts.length) return null;
  const { width, height } = HISTOGRAM, span = t.hi - t.lo || 1, lo = t.lo - 0.06 * span, hi = t.hi + 0.06 * span;
  const x = (v) => ((v - lo) / (hi - lo)) * width, step = span / t.counts.length;
  const top = Math.log1p(Math.max(...t.counts)) || 1, w = Math.max(0.5, x(step) - x(0) - 0.5);
  let bars = "";
  t.counts.forEach((n, i) => {
    if (!n) return;
    const h = Math.max(1, (Math.log1p(n) / top) * (height - 6));
    bars += `M${x(t.lo + i * step).toFixed(1)},${height}v${-h.toFixed(1)}h${w.toFixed(2)}v${h.toFixed(1)}z`;
  });
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
    class: "histogram", "aria-label": "Histogram of " + name }, make("path", { class: "bar", d: bars || "M0,0" }),
    make("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }));
  const mark = (v, kind) => {
    if (v > lo && v < hi) svg.append(make("line", { class: kind, x1: x(v), x2: x(v), y1: 0, y2: height }));
  };
  for (const v of limitsOf(name) || []) mark(v, "limit");
  if (isNumber(t.threshold)) for (const v of [-t.threshold, t.threshold]) mark(v, "threshold");
  return svg;
}

function figureOf(name, op) {
  const limits = limitsOf(name), t = own(facts.tensors, name), words = [];
  if (op) words.push(op);
  if (limits) words.push("holds \u00b1" + short(-limits[0]));
  if (isNumber(t.threshold)) words.push("entropy cuts at " + short(t.threshold));
  return make("figure", {}, make("figcaption", { title: name }, name), histogram(name),
    make("div", { class: "ends" }, make("span", {}, short(t.lo)), make("span", {}, short(t.hi))),
    make("div", { class: "soft" }, words.join(" \u00b7 ")));
}

// Every tensor, in the order of the nodes: what a node makes, then its weights. Many are drawn when they are asked for.
let shown = HISTOGRAM.most;
function drawHistograms() {
  const list = [], seen = new Set();
  facts.nodes.forEach((node, i) => {
    for (const name of [...node.outputs, ...node.weights]) {
      const t = own(facts.tensors, name);
      if (t && t.counts.length && !seen.has(name)) list.push([name, node, i]);
      seen.add(name);
    }
  });
  byId("histograms").replaceChildren(...list.slice(0, shown).map(([name, node, i]) => {
    const figure = figureOf(name, node.outputs.includes(name) ? node.op : "weight of " + node.name);
    figure.addEventListener("click", () => choose(i, true));
    return figure;
  }));
  byId("more").hidden = list.length <= shown;
  byId("more").textContent = "Show all " + count(list.length);
}

// --- memory ----------------------------------------------------------------------------------------------------------

function drawMemory() {
  const steps = facts.timeline, box = byId("memory"), width = box.clientWidth, height = 160, top = 18;
  const c = facts.configs[config] || {}, sizes = c.sizes || {}, wide = (c.bits || 8) / 8;
  const peak = Math.max(...steps.map((s) => s.elements), 1), w = width / Math.max(steps.length, 1);
  const svg = make("svg", { width, height: height + top + 2, role: "img", "aria-label": "Memory at every node" });
  for (const share of [0.5, 1]) {
    const y = top + height * (1 - share);
    svg.append(make("line", { class: "grid", x1: 0, x2: width, y1: y, y2: y }),
      make("text", { class: "soft", x: width, y: y - 4, "text-anchor": "end" }, bytes(peak * share * wide)));
  }
  steps.forEach((step, i) => {
    const h = Math.max(1, (step.elements / peak) * height), node = facts.nodes[step.node - 1];
    const bar = make("rect", { class: step.elements === peak ? "area peak" : "area", x: i * w,
      y: top + height - h, height: h, width: Math.max(w - (w > 4 ? 1.5 : 0.3), 0.3) });
    bar.addEventListener("mousemove", (event) => showTip(event, make("strong", {}, fit(titleOf(node), 60)),
      make("div", {}, `${bytes(step.elements * wide)} in ${count(step.live)} tensors`)));
    bar.addEventListener("mouseleave", hideTip);
    bar.addEventListener("click", () => choose(step.node - 1, true));
    svg.append(bar);
  });
  box.replaceChildren(svg);
  const at = steps.find((s) => s.elements === peak);
  const plan = isNumber(sizes.ram) ? `; ${bytes(sizes.ram)} in a plan of buffers of the integer model.` : ".";
  byId("peak").textContent = at ? `Peak: ${bytes(peak * wide)} live at once at ${titleOf(facts.nodes[at.node - 1])}`
    + plan : "";
}

// --- all of it -------------------------------------------------------------------------------------------------------

function refresh() {
  for (const draw of [markConfig, drawRatios, drawLegend, drawLayers, drawHistograms, drawMemory, drawWorst,
    drawWarnings, colourGraph, drawDetail]) draw();
}

byId("search").addEventListener("input", drawLayers);
byId("more").addEventListener("click", () => { shown = Infinity; drawHistograms(); });
let drawnWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === drawnWidth) return;
  drawnWidth = innerWidth;
  drawRatios(); drawMemory();
});
drawSummary(); drawChoice(); drawGraph(); refresh();
document.body.dataset.ready = "yes";
]==]
