--- The report's script: the table of layers, which sorts and searches.
return [==[
// --- table of layers -------------------------------------------------------------------------------------------------

let sortKey = "index", sortDown = false;

const largest = (node) => {
  const t = tensorOf(node);
  return t && isNumber(t.max) ? Math.max(Math.abs(t.min), Math.abs(t.max)) : undefined;
};
const rangeOf = (t) => short(t.min) + " to " + short(t.max);
const ratio = (node, i) => { const layer = layerOf(node, i); return layer ? layer.snr ?? Infinity : undefined; };
const ratioText = (x) => (x === Infinity ? "\u221e" : isNumber(x) ? x.toFixed(1) : none);

// key, title, what is sorted by, its text (none: it is one), the configuration's number where it is of one only
const COLUMNS = [
  ["index", "#", (r) => r.index - facts.inputs + 1, count],
  ["name", "Layer", (r) => r.node.name, null],
  ["op", "Operator", (r) => r.node.op, null],
  ["shape", "Shape", (r) => times(r.node.shape), null],
  ...usable.map((i) => ["snr" + i, letter(i), (r) => ratio(r.node, i), ratioText, i]),
  ["exponent", "Exponent", (r) => (layerOf(r.node) || {}).exponent, short],
  ["range", "Range", (r) => largest(r.node), (x, r) => (isNumber(x) ? rangeOf(tensorOf(r.node)) : none)],
  ["saturated", "Saturated", (r) => (layerOf(r.node) || {}).saturated, (x) => percent(x)],
  ["macs", "MACs", (r) => r.node.macs, count],
  ["bytes", "Weight bytes", (r) => (r.node.parameters * widthOf(r.node)) / 8, count],
];

function compare(a, b) {
  if (a === b) return 0;
  return isNumber(a) && isNumber(b) ? a - b : String(a).localeCompare(String(b));
}

// Rows without a value come last in both directions.
function sorted(list) {
  const value = COLUMNS.find((c) => c[0] === sortKey)[2];
  const missing = (row) => { const x = value(row); return x === undefined || x === null ? 1 : 0; };
  return list.sort((a, b) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b) || a.index - b.index;
    const order = compare(value(a), value(b));
    return (sortDown ? -order : order) || a.index - b.index;
  });
}

const found = () => {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  return ({ node }) => {
    const text = (node.name + " " + node.op + " " + node.outputs.join(" ")).toLowerCase();
    return words.every((word) => text.includes(word));
  };
};

function headOf([key, title, , format, i]) {
  const label = i === undefined ? [title] : [swatch(i), " dB"];
  const button = make("button", { type: "button" }, ...label);
  button.addEventListener("click", () => {
    sortDown = sortKey === key ? !sortDown : false;
    sortKey = key;
    drawLayers();
  });
  const sort = key === sortKey ? (sortDown ? "descending" : "ascending") : "none";
  const words = [format ? "" : "text", key === "name" ? "name" : ""].join(" ").trim();
  return make("th", { "aria-sort": sort, "data-key": key, class: words || null,
    title: i === undefined ? null : "SNR of " + facts.configs[i].label }, button);
}

function cellOf([key, , value, format, i], row) {
  const x = value(row), text = format ? format(x, row) : String(x), isName = key === "name";
  if (i !== undefined)
    return make("td", { class: (x === undefined ? "" : grade(x)) + (i === config ? " current" : "") }, text);
  return make("td", { class: isName ? "text name" : format ? null : "text", title: isName ? text : null }, text);
}

function drawLayers() {
  const list = sorted(rows.filter(found()));
  const body = list.map((row) => {
    const tr = make("tr", { "data-index": row.index, class: row.index === chosen ? "chosen" : null },
      ...COLUMNS.map((column) => cellOf(column, row)));
    tr.addEventListener("click", () => choose(row.index, true));
    return tr;
  });
  byId("layers").replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...COLUMNS.map(headOf))),
    make("tbody", {}, ...body)));
  byId("found").textContent = count(list.length) + " of " + count(rows.length) + " layers";
}
]==]
