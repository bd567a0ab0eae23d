--- The report's script: the graph, and the panel of the chosen node.
return [==[
// --- graph -----------------------------------------------------------------------------------------------------------

// From node to node, around those between: vertical at every place.
function edgePath(p, H) {
  let path = `M${p[0]},${p[1] + H / 2}`;
  for (let k = 2; k < p.length; k += 2) {
    const y1 = k === 2 ? p[1] + H / 2 : p[k - 1], y2 = k === p.length - 2 ? p[k + 1] - H / 2 : p[k + 1];
    const middle = (y1 + y2) / 2;
    path += `C${p[k - 2]},${middle} ${p[k]},${middle} ${p[k]},${y2}`;
  }
  return path;
}

function drawNode(node, i) {
  const d = facts.drawing, W = d.box.width, H = d.box.height, { x, y } = d.nodes[i];
  const g = make("g", { class: "node", tabindex: 0, "data-index": i, "aria-label": titleOf(node), role: "button",
    transform: `translate(${x - W / 2},${y - H / 2})` },
    make("rect", { class: "box", width: W, height: H, rx: 6 }),
    make("rect", { class: "mark", width: 4, height: H - 12, x: 6, y: 6, rx: 2 }),
    make("text", { x: 18, y: 17, class: "op" }, fit(node.op, 18)), make("text", { x: W - 10, y: 17, class: "ratio",
      "text-anchor": "end" }), make("text", { x: 18, y: 32, class: "soft" }, fit(node.name, 27)));
  g.addEventListener("click", () => choose(i, false));
  g.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(i, false); });
  follow(g, node);
  return g;
}

function drawGraph() {
  const d = facts.drawing, box = byId("graph");
  const svg = make("svg", { width: d.width, height: d.height, viewBox: `0 0 ${d.width} ${d.height}` });
  for (const e of d.edges) svg.append(make("path", { class: "edge", d: edgePath(e.points, d.box.height),
    "data-from": e.from - 1, "data-to": e.to - 1 }));
  svg.append(...facts.nodes.map(drawNode));
  box.replaceChildren(svg);
  box.scrollLeft = (d.width - box.clientWidth) / 2;
}

function colourGraph() {
  for (const g of document.querySelectorAll("#graph .node")) {
    const index = +g.dataset.index, layer = layerOf(facts.nodes[index]);
    g.setAttribute("class", "node" + (layer ? " " + grade(layer.snr) : "") + (index === chosen ? " chosen" : ""));
    g.querySelector(".ratio").textContent = layer ? decibel(layer.snr) : "";
  }
  for (const e of document.querySelectorAll("#graph .edge"))
    e.classList.toggle("chosen", +e.dataset.from === chosen || +e.dataset.to === chosen);
}

// --- the chosen node -------------------------------------------------------------------------------------------------

// Scrolls a box, not the page, until the element stands in its middle.
function centre(box, element) {
  if (!element) return;
  const a = box.getBoundingClientRect(), b = element.getBoundingClientRect();
  box.scrollTop += b.top + b.height / 2 - a.top - a.height / 2;
  box.scrollLeft += b.left + b.width / 2 - a.left - a.width / 2;
}

// `jump`: also brings the graph into the window.
function choose(index, jump) {
  chosen = index;
  hideTip();
  colourGraph();
  for (const tr of document.querySelectorAll("#layers tbody tr")) tr.classList.toggle("chosen",
    +tr.dataset.index === index);
  drawDetail();
  if (jump) byId("s-graph").scrollIntoView();
  if (jump) centre(byId("graph"), document.querySelector(`#graph .node[data-index="${index}"]`));
  const row = document.querySelector(`#layers tr[data-index="${index}"]`), table = byId("layers");
  if (row) table.scrollTop = row.offsetTop - table.clientHeight / 2;
  if (!jump) byId("detail").scrollIntoView({ block: "nearest" });
}

function exponentText(w) {
  return w ? ", exponent " + (w.min === w.max ? short(w.min) : short(w.min) + " to " + short(w.max)) : "";
}

function ratioTable(node) {
  const list = facts.configs.map((c, i) => [c, i, layerOf(node, i)]).filter((entry) => entry[2]);
  if (!list.length) return "";
  const titles = ["", "exponent", "SNR dB", "saturated", "largest error"].map((title) => make("th", {}, title));
  const body = list.map(([c, i, layer]) => make("tr", { title: c.label }, make("td", { class: "text" }, swatch(i)),
    make("td", {}, short(layer.exponent)), make("td", { class: grade(layer.snr) }, decibel(layer.snr)),
    make("td", {}, percent(layer.saturated)), make("td", {}, short(layer.max_error))));
  return make("table", {}, make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...body));
}

function drawDetail() {
  const node = facts.nodes[chosen];
  if (!node) return;
  const list = make("dl", {}), tensor = tensorOf(node);
  const weights = facts.configs[config] && facts.configs[config].weights;
  const add = (key, value) => { if (value !== "") list.append(make("dt", {}, key), make("dd", {}, value)); };
  add("reads", node.inputs.join(", "));
  add("makes", node.outputs.join(", "));
  add("shape", times(node.shape));
  if (tensor) add("float range", short(tensor.min) + " to " + short(tensor.max));
  if (node.macs) add("MACs", count(node.macs));
  if (node.parameters) add("weights", bytes((node.parameters * widthOf(node)) / 8));
  const figures = [];
  for (const name of node.outputs) if (histogram(name)) figures.push(figureOf(name));
  for (const name of node.weights) {
    const w = own(weights, name);
    const figure = histogram(name) ? figureOf(name) : null;
    if (figure) figures.push(figure);
    else add("constant", name + exponentText(w));
  }
  byId("detail").replaceChildren(make("h3", {}, node.op + " ", make("span", {}, node.name)), list, ratioTable(node),
    ...figures);
}
]==]
