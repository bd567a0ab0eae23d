--- The report's script: configurations side by side, their ratios along the model, the worst layers.
return [==[
// --- summary ---------------------------------------------------------------------------------------------------------

const milliseconds = (x) => (x < 10 ? x.toFixed(1) : x.toFixed(0));

const FIGURES = [
  ["Accuracy", (c) => percent(c.accuracy)],
  ["Agreement with float", (c) => percent(c.agreement)],
  ["Output SNR", (c) => decibel(c.snr) + " dB", (c) => grade(c.snr)],
  ["Flash", (c) => bytes(c.sizes.flash)],
  ["RAM", (c) => bytes(c.sizes.ram)],
  ["Time, estimated", (c) => (c.sizes.latency
    ? `${milliseconds(c.sizes.latency.low)} to ${milliseconds(c.sizes.latency.high)} ms` : none)],
];

function cell(title, text, kind) {
  return make("td", { "data-title": title, class: kind || null }, text);
}

function summaryRow(c, i) {
  const name = make("td", { class: "text label" }, swatch(i), c.label);
  if (c.refused) {
    const list = make("ul", {}, ...c.refused.problems.map((text) => make("li", {}, text)));
    return make("tr", { class: "refused" }, name, make("td", { class: "text", colspan: FIGURES.length },
      make("details", {}, make("summary", {}, c.refused.message), list)));
  }
  const tr = make("tr", { "data-config": i, tabindex: 0, title: c.sizes.reason },
    name, ...FIGURES.map(([title, text, kind]) => cell(title, text(c), kind && kind(c))));
  tr.addEventListener("click", () => setConfig(i));
  tr.addEventListener("keydown", (event) => { if (event.key === "Enter") setConfig(i); });
  return tr;
}

function drawSummary() {
  const float = make("tr", { class: "float" }, make("td", { class: "text label" }, "float"),
    cell("Accuracy", percent(facts.float_accuracy)), cell("Agreement with float", none), cell("Output SNR", none),
    cell("Weights", bytes(facts.parameters * 4)), cell("RAM", none), cell("Time, estimated", none));
  byId("summary").append(make("table", {},
    make("thead", {}, make("tr", {}, make("th", { class: "text" }, "Configuration"),
      ...FIGURES.map(([title]) => make("th", {}, title)))),
    make("tbody", {}, float, ...facts.configs.map(summaryRow))));
}

function drawChoice() {
  const select = byId("config");
  for (const i of usable) select.append(make("option", { value: i }, letter(i) + "  " + facts.configs[i].label));
  select.value = config;
  select.addEventListener("change", () => setConfig(+select.value));
}

function setConfig(i) {
  config = i;
  byId("config").value = i;
  refresh();
}

function markConfig() {
  for (const tr of document.querySelectorAll("#summary tr[data-config]"))
    tr.classList.toggle("chosen", +tr.dataset.config === config);
}

// --- ratios along the model ------------------------------------------------------------------------------------------

const CHART = { left: 34, right: 10, top: 10, height: 220, bottom: 22, most: 90 };

// One line for each configuration; layers that are none of their own there are left out, those without error stand at
// the top.
function drawRatios() {
  const box = byId("ratios"), width = box.clientWidth, { left, right, top, height, bottom, most } = CHART;
  const all = usable.flatMap((i) => rows.map((r) => layerOf(r.node, i)).filter((l) => l && isNumber(l.snr))
    .map((l) => l.snr));
  const hi = Math.min(most, 10 * Math.ceil(Math.max(40, ...all) / 10)), lo = Math.max(-20, Math.min(0, ...all));
  const x = (k) => left + ((width - left - right) * (k + 0.5)) / rows.length;
  const y = (v) => top + height * (1 - (Math.max(lo, Math.min(hi, v)) - lo) / (hi - lo));
  const svg = make("svg", { width, height: top + height + bottom, role: "img",
    "aria-label": "Signal over noise of every layer" });
  for (let v = Math.ceil(lo / 10) * 10; v <= hi; v += 10) {
    svg.append(make("line", { class: v === 30 ? "enough" : "grid", x1: left, x2: width - right, y1: y(v),
      y2: y(v) }));
    if (v % 20 === 0 || v === 30) svg.append(make("text", { class: "soft", x: left - 6, y: y(v) + 4,
      "text-anchor": "end" }, String(v)));
  }
  const order = usable.filter((i) => i !== config).concat(usable.includes(config) ? [config] : []);
  for (const i of order) {
    const points = rows.map((row, k) => [k, layerOf(row.node, i)]).filter((point) => point[1])
      .map(([k, layer]) => `${x(k).toFixed(1)},${y(layer.snr ?? Infinity).toFixed(1)}`);
    svg.append(make("path", { class: `curve ${colour(i)}${i === config ? " chosen" : ""}`, 
      d: points.length ? "M" + points.join("L") + "h.01" : "M0,0" }));
  }
  const cursor = make("line", { class: "cursor", y1: top, y2: top + height, x1: -9, x2: -9 });
  svg.append(cursor, make("text", { class: "soft", x: left, y: top + height + 16 }, "first layer"),
    make("text", { class: "soft", x: width - right, y: top + height + 16, "text-anchor": "end" }, "last layer"));
  const at = (event) => Math.max(0, Math.min(rows.length - 1, Math.floor(((event.clientX
    - svg.getBoundingClientRect().left - left) / (width - left - right)) * rows.length)));
  svg.addEventListener("mousemove", (event) => {
    if (!rows.length) return;
    const k = at(event);
    cursor.setAttribute("x1", x(k));
    cursor.setAttribute("x2", x(k));
    showTip(event, ...noteOf(rows[k].node));
  });
  svg.addEventListener("mouseleave", hideTip);
  svg.addEventListener("click", (event) => { if (rows.length) choose(rows[at(event)].index, true); });
  box.replaceChildren(svg);
}

function drawLegend() {
  byId("legend").replaceChildren(...usable.map((i) => {
    const button = make("button", { type: "button", class: i === config ? "chosen" : null },
      swatch(i), " " + facts.configs[i].label);
    button.addEventListener("click", () => setConfig(i));
    return button;
  }));
}

// --- worst layers ----------------------------------------------------------------------------------------------------

function commandOf(text) {
  const words = text.split(" ").flatMap((word) => [make("span", {}, word), " "]); // lines break between words only
  const box = make("div", { class: "command" }, make("code", {}, ...words.slice(0, -1)));
  if (!navigator.clipboard) return box;
  const button = make("button", { type: "button" }, "Copy");
  const say = (word) => () => { button.textContent = word; };
  button.addEventListener("click", () => navigator.clipboard.writeText(text).then(say("Copied"), say("Not allowed")));
  box.append(button);
  return box;
}

function drawWorst() {
  const c = facts.configs[config], list = (c && c.worst) || [];
  byId("worst").replaceChildren(...list.map((w) => {
    const node = facts.nodes[w.node - 1], link = make("a", { href: "#s-graph" }, titleOf(node));
    link.addEventListener("click", (event) => { event.preventDefault(); choose(w.node - 1, true); });
    return make("li", { class: grade(w.snr) }, make("div", { class: "head" }, link,
      make("span", { class: "figure" }, decibel(w.snr) + " dB"),
      make("span", { class: "soft" }, w.loss.toFixed(1) + " dB lost here")), make("p", {}, w.cause),
      commandOf(w.command));
  }));
  if (!list.length) byId("worst").append(make("li", { class: "good" },
    "No layer below 30 dB loses more than 3 dB of what it reads."));
}

function drawWarnings() {
  const c = facts.configs[config], list = (c && c.warnings) || [];
  byId("warnings").replaceChildren(...list.map((text) => make("li", {}, text)));
}
]==]
