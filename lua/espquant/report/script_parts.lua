--- The rest of the report's script: histograms, memory, details, worst layers.
return [==[
// --- histograms ------------------------------------------------------------------------------------------------------

function limitsOf(name) {
  const c = facts.configs[config], layer = c && c.layers[name];
  const e = layer ? layer.exponent : null;
  return isNumber(e) ? [-(2 ** (c.bits - 1)) * 2 ** e, (2 ** (c.bits - 1) - 1) * 2 ** e] : null;
}

// Counts as bars of the logarithm, with the limits of the exponent as dashed lines.
function histogram(name, width, height) {
  const t = facts.tensors[name];
  if (!t || !t.counts.length) return null;
  const limits = limitsOf(name), span = t.hi - t.lo;
  let lo = t.lo - 0.05 * span, hi = t.hi + 0.05 * span;
  const svg = make("svg", { width: "100%", viewBox: `0 0 ${width} ${height + 16}`, role: "img", class: "histogram" });
  const x = (v) => ((v - lo) / (hi - lo)) * width;
  const top = Math.log1p(Math.max(...t.counts)) || 1, step = span / t.counts.length;
  t.counts.forEach((n, i) => {
    if (!n) return;
    const h = Math.max(1, (Math.log1p(n) / top) * (height - 4));
    svg.append(make("rect", { class: "bar", x: x(t.lo + i * step), y: height - h, height: h,
      width: Math.max(0.5, x(t.lo + step) - x(t.lo) - 0.4) }));
  });
  svg.append(make("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }));
  for (const v of limits || [])
    if (v > lo && v < hi) svg.append(make("line", { class: "limit", x1: x(v), x2: x(v), y1: 0, y2: height }));
  svg.append(make("text", { x: 2, y: height + 13, class: "soft" }, short(t.lo)),
    make("text", { x: width - 2, y: height + 13, class: "soft", "text-anchor": "end" }, short(t.hi)));
  return svg;
}

function drawHistograms() {
  const figures = [];
  facts.nodes.forEach((node, i) => {
    for (const name of node.outputs) {
      const svg = histogram(name, 240, 70);
      if (!svg) continue;
      const limits = limitsOf(name), shown = limits && limits[1] > facts.tensors[name].hi * 1.05
        ? ", holds " + short(limits[1]) : "";
      const figure = make("figure", { "data-index": i },
        make("figcaption", { title: name }, name), svg, make("div", { class: "soft" }, node.op + shown));
      figure.addEventListener("click", () => choose(i, "graph"));
      figures.push(figure);
    }
  });
  byId("histograms").replaceChildren(...figures);
}

// --- memory ----------------------------------------------------------------------------------------------------------

function drawMemory() {
  const steps = facts.timeline, width = 1000, height = 150, peak = Math.max(...steps.map((s) => s.elements), 1);
  const svg = make("svg", { width: "100%", viewBox: `0 0 ${width} ${height + 4}`, preserveAspectRatio: "none",
    role: "img" });
  const w = width / Math.max(steps.length, 1);
  steps.forEach((step, i) => {
    const h = (step.elements / peak) * height, node = facts.nodes[step.node - 1];
    const bar = make("rect", { class: step.elements === peak ? "area peak" : "area", x: i * w, y: height - h, height: h,
      width: Math.max(w - 0.5, 0.3) },
      make("title", {}, `${node.op} ${node.name}\n${bytes((step.elements * bits()) / 8)} in ${count(step.live)}`));
    bar.addEventListener("click", () => choose(step.node - 1, "graph"));
    svg.append(bar);
  });
  const at = steps.find((s) => s.elements === peak);
  byId("memory").replaceChildren(svg);
  byId("peak").textContent = at ? "Peak: " + bytes((peak * bits()) / 8) + " at " + facts.nodes[at.node - 1].op + " " +
    facts.nodes[at.node - 1].name + "; what lives at once, before any plan of buffers" : "";
}

// --- details and worst layers --------------------------------------------------------------------------------------

function choose(index, scrollTo) {
  chosen = index;
  colourGraph();
  for (const tr of document.querySelectorAll("#layers tbody tr")) tr.classList.toggle("chosen",
    +tr.dataset.index === index);
  drawDetail();
  const target = scrollTo === "graph" ? document.querySelector(`#graph .node[data-index="${index}"]`)
    : document.querySelector(`#layers tr[data-index="${index}"]`);
  if (target) target.scrollIntoView({ block: "center", inline: "center", behavior: "smooth" });
}

function drawDetail() {
  const node = facts.nodes[chosen];
  if (!node) return;
  const list = make("dl", {});
  const add = (key, value) => { if (value !== "") list.append(make("dt", {}, key), make("dd", {}, value)); };
  add("inputs", node.inputs.join(", "));
  add("outputs", node.outputs.join(", "));
  add("shape", node.shape.join(" \u00d7 "));
  const tensor = facts.tensors[node.outputs[0]];
  if (tensor) add("float range", short(tensor.min) + " to " + short(tensor.max));
  add("multiply-accumulates", count(node.macs));
  for (const name of node.weights) {
    const w = facts.configs[config] && facts.configs[config].weights[name];
    add("constant", name + (w ? `: exponent ${w.min === w.max ? w.min : w.min + " to " + w.max}` : ""));
  }
  facts.configs.forEach((c, i) => {
    const layer = layerOf(node, i);
    if (layer) add(c.label, `exponent ${layer.exponent ?? none}, SNR ${decibel(layer.snr)} dB, saturated ` +
      `${percent(layer.saturated)}, largest error ${short(layer.max_error)}`);
  });
  const svg = histogram(node.outputs[0], 480, 90);
  byId("detail").replaceChildren(make("strong", {}, node.op + " " + node.name), list, ...(svg ? [svg] : []));
}

function drawWorst() {
  const c = facts.configs[config], list = c ? c.worst : [];
  byId("worst").replaceChildren(...list.map((w) => {
    const node = facts.nodes[w.node - 1], link = make("a", { href: "#graph" }, node.op + " " + node.name);
    link.addEventListener("click", (event) => { event.preventDefault(); choose(w.node - 1, "graph"); });
    return make("div", { class: "worst" }, link, ` \u2013 SNR ${decibel(w.snr)} dB,`,
      ` ${w.loss.toFixed(1)} dB lost here. ${w.cause}`,
      make("div", {}, make("code", {}, w.command)));
  }));
  if (!list.length) byId("worst").textContent = "No layer below 30 dB loses more than 3 dB of what it reads.";
}

function drawWarnings() {
  const c = facts.configs[config];
  byId("warnings").replaceChildren(...(c ? c.warnings : []).map((text) => make("li", {}, text)));
}

function refresh() {
  drawLayers(); drawHistograms(); drawMemory(); drawWorst(); drawWarnings(); colourGraph(); drawDetail();
}

byId("search").addEventListener("input", drawLayers);
drawSummary(); drawChoice(); drawGraph(); refresh();
document.body.dataset.ready = "yes";
]==]
