--- The style sheet of the report: one column of text width, two beside the graph, a light and a dark set of colours.
return [==[
:root { color-scheme: light dark; --ink: #1d2129; --soft: #667080; --line: #e3e6ea; --paper: #fbfbfa; --card: #fff;
  --accent: #2456c9; --tint: #eef2fb; --field: #f2f3f5;
  --good: #23784a; --fair: #9a6a00; --bad: #c0342b; --bar: #7d96c8;
  --k0: #2456c9; --k1: #0f8a8a; --k2: #6b4fbb; --k3: #d0682a; --k4: #b03a6f; --k5: #5d7a1f;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ec; --soft: #97a1b0; --line: #2c323c; --paper: #12151a; --card: #191d24; --accent: #82a8ff;
    --tint: #202a3e; --field: #0d1014; --good: #5cc48a; --fair: #dca63c; --bad: #f5857b; --bar: #5b76ad;
    --k0: #82a8ff; --k1: #4cc3c3; --k2: #b49cf2; --k3: #f09a63; --k4: #ec86b4; --k5: #a9c764; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 60px; -webkit-text-size-adjust: 100%; }
body { margin: 0; font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif;
  color: var(--ink); background: var(--paper); }
header, main, footer, #bar > div { max-width: 1240px; margin: 0 auto; padding: 0 24px; }
#bar { position: sticky; top: 0; z-index: 3; background: var(--card); border-bottom: 1px solid var(--line); }
#bar > div { display: flex; align-items: center; justify-content: space-between; gap: 16px; height: 50px; }
#bar b { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
#bar label { color: var(--soft); font-size: 13px; white-space: nowrap; }
header { padding-top: 32px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -.02em; font-weight: 650; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 19px; letter-spacing: -.01em; font-weight: 650; margin: 48px 0 10px; }
h3 { font-size: 16px; margin: 0 0 10px; overflow-wrap: anywhere; }
h3 span { display: block; color: var(--soft); font: 13px/1.4 var(--mono); }
p { margin: 4px 0 10px; }
.soft, footer { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
footer { padding-top: 40px; padding-bottom: 32px; }
.facts { display: flex; flex-wrap: wrap; gap: 12px 40px; margin: 18px 0; }
.facts div { display: flex; flex-direction: column-reverse; }
.facts dt { color: var(--soft); font-size: 13px; }
.facts dd { margin: 0; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 14px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 7px;
  padding: 4px 12px; cursor: pointer; }
input, select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 7px; padding: 5px 10px; max-width: 100%; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
code { font: 12.5px/1.5 var(--mono); overflow-wrap: anywhere; }
.scroll { overflow: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
th { font-size: 12.5px; font-weight: 600; color: var(--soft); }
th.text, td.text { text-align: left; }
.good { color: var(--good); } .fair { color: var(--fair); } .bad { color: var(--bad); }
.k0 { --k: var(--k0); } .k1 { --k: var(--k1); } .k2 { --k: var(--k2); }
.k3 { --k: var(--k3); } .k4 { --k: var(--k4); } .k5 { --k: var(--k5); }
.swatch { display: inline-block; min-width: 20px; padding: 0 5px; border-radius: 5px; background: var(--k);
  color: var(--card); font: 700 11.5px/20px system-ui, sans-serif; text-align: center; }
#summary .label .swatch { margin-right: 10px; }
#summary td { padding-top: 10px; padding-bottom: 10px; }
#summary tr[data-config] { cursor: pointer; }
#summary tr[data-config]:hover, #layers tbody tr:hover { background: var(--tint); }
#summary tr.chosen, #layers tbody tr.chosen { background: var(--tint); box-shadow: inset 3px 0 var(--accent); }
.float td { color: var(--soft); }
.refused td { white-space: normal; } .refused summary { color: var(--bad); cursor: pointer; }
.refused ul { padding-left: 18px; font-size: 13px; max-height: 240px; overflow: auto; overflow-wrap: anywhere; }
svg { display: block; }
svg text { fill: var(--ink); font: 12.5px system-ui, "Liberation Sans", sans-serif; }
svg text.soft { fill: var(--soft); font-size: 11.5px; }
.grid { stroke: var(--line); } .axis { stroke: var(--line); }
.enough { stroke: var(--good); stroke-dasharray: 2 4; }
.curve { fill: none; stroke: var(--k); stroke-width: 1.4; opacity: .55; stroke-linejoin: round; stroke-linecap: round; }
.curve.chosen { stroke-width: 2.6; opacity: 1; }
.cursor { stroke: var(--soft); stroke-width: 1; }
#ratios { cursor: crosshair; }
#legend { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 8px; font-size: 13px; }
#legend button { border-color: transparent; background: none; padding: 2px 8px 2px 4px; }
#legend button.chosen { background: var(--tint); }
#worst { list-style: none; margin: 0; padding: 0; display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); }
#worst li { border: 1px solid var(--line); border-left: 4px solid currentColor; border-radius: 10px; padding: 12px 16px;
  background: var(--card); min-width: 0; }
#worst li > * { color: var(--ink); }
#worst .head { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 12px; }
#worst .head a { font-weight: 600; overflow-wrap: anywhere; }
#worst .figure { font-weight: 600; font-variant-numeric: tabular-nums; }
#worst .head .soft { color: var(--soft); }
.command { display: flex; align-items: flex-start; gap: 8px; background: var(--paper); border-radius: 7px;
  padding: 8px 8px 8px 12px; }
.command code { flex: 1; min-width: 0; } .command span { display: inline-block; max-width: 100%; }
.command button { font-size: 12px; padding: 1px 8px; }
#warnings { padding-left: 18px; } #warnings li { white-space: pre-line; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr) 400px; gap: 16px; }
#graph, #detail { height: min(680px, 80vh); }
#graph { background: var(--field); }
#graph svg { margin: 0 auto; }
#detail { border: 1px solid var(--line); border-radius: 10px; padding: 16px; background: var(--card); overflow: auto; }
#detail dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 3px 14px; margin: 0 0 12px;
  font-size: 14px; }
#detail dt { color: var(--soft); } #detail dd { margin: 0; overflow-wrap: anywhere; }
#detail table { margin-bottom: 14px; font-size: 13px; } #detail th, #detail td { padding: 4px 6px; }
#detail th { font-weight: 400; }
#detail figure { border: 0; padding: 0; margin-top: 14px; cursor: default; }
.node { cursor: pointer; outline: none; color: var(--line); }
.node .box { fill: var(--card); stroke: var(--line); }
.node.good { color: var(--good); } .node.fair { color: var(--fair); } .node.bad { color: var(--bad); }
.node .mark { fill: currentColor; }
.node .op { font-weight: 600; } .node .ratio { fill: currentColor; font-size: 11.5px; font-weight: 600; }
.node:hover .box, .node:focus-visible .box { stroke: var(--accent); }
.node.chosen .box { stroke: var(--accent); stroke-width: 2; fill: var(--tint); }
.edge { fill: none; stroke: var(--soft); opacity: .45; stroke-width: 1.3; }
.edge.chosen { stroke: var(--accent); opacity: 1; stroke-width: 2; }
.tools { display: flex; flex-wrap: wrap; gap: 12px; margin: 8px 0; align-items: center; }
#search { width: 300px; }
#layers { max-height: 640px; position: relative; font-size: 14px; }
#layers tbody tr { cursor: pointer; }
#layers thead th { position: sticky; top: 0; background: var(--card); z-index: 2;
  box-shadow: inset 0 -1px var(--line); }
#layers th button { border: 0; background: none; padding: 0; font-weight: 600; color: inherit; white-space: nowrap; }
#layers .name { position: sticky; left: 0; background: var(--card); z-index: 1; max-width: 230px; overflow: hidden;
  text-overflow: ellipsis; }
#layers thead .name { z-index: 3; }
#layers tr.chosen .name, #layers tbody tr:hover .name { background: var(--tint); }
#layers td.current { font-weight: 650; }
th[aria-sort=ascending] button::after { content: " \2191"; }
th[aria-sort=descending] button::after { content: " \2193"; }
.area { fill: var(--bar); cursor: pointer; } .area.peak { fill: var(--bad); } .area:hover { fill: var(--accent); }
#histograms { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 12px; }
#more { margin-top: 12px; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 10px; padding: 12px; min-width: 0; cursor: pointer;
  background: var(--card); }
figcaption { font: 12.5px/1.5 var(--mono); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
figure .soft { font-size: 12px; }
.histogram { width: 100%; height: 72px; margin-top: 6px; } .histogram * { vector-effect: non-scaling-stroke; }
.ends { display: flex; justify-content: space-between; color: var(--soft); font-size: 12px;
  font-variant-numeric: tabular-nums; }
.bar { fill: var(--bar); }
.limit { stroke: var(--bad); stroke-width: 1.3; stroke-dasharray: 5 3; }
.threshold { stroke: var(--ink); stroke-width: 1.3; stroke-dasharray: 1.5 3; }
.key { border-bottom: 2px dashed var(--bad); } .key.threshold { border-bottom: 2px dotted var(--ink); }
#tip { position: fixed; z-index: 5; max-width: min(340px, 90vw); padding: 8px 12px; border-radius: 8px; font-size: 13px;
  background: var(--card); border: 1px solid var(--line); box-shadow: 0 4px 18px #0003; pointer-events: none;
  overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
#tip .swatch { transform: scale(.85); }
[hidden] { display: none !important; }
@media (max-width: 900px) { .pair { grid-template-columns: minmax(0, 1fr); } #graph { height: 440px; }
  #detail { height: auto; max-height: none; } }
@media (max-width: 640px) {
  header, main, footer, #bar > div { padding-left: 14px; padding-right: 14px; }
  header { padding-top: 20px; } h1 { font-size: 24px; } h2 { margin-top: 36px; }
  #bar b { display: none; } #bar label { display: contents; font-size: 0; }
  #bar select { flex: 1; min-width: 0; font-size: 14px; }
  .facts { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; } .facts dd { font-size: 18px; }
  #search { width: 100%; font-size: 16px; } #layers { font-size: 13px; } #layers .name { max-width: 120px; }
  th, td { padding: 6px 9px; }
  #summary { border: 0; background: none; } #summary thead { display: none; }
  #summary table, #summary tbody { display: block; }
  #summary tr { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 12px; border: 1px solid var(--line);
    border-radius: 10px; background: var(--card); padding: 12px 14px; margin-bottom: 10px; }
  #summary td { display: block; text-align: left; border: 0; padding: 0; white-space: normal; }
  #summary .label { grid-column: 1 / -1; font-weight: 600; } #summary .refused td { grid-column: 1 / -1; }
  #summary td[data-title]::before { content: attr(data-title); display: block; color: var(--soft); font-size: 12px; }
  .float td[data-title]:not(:nth-child(2)):not([data-title=Weights]) { display: none !important; }
  #histograms { grid-template-columns: 1fr 1fr; gap: 8px; } figure { padding: 8px; }
}
@media print { #bar, nav, .tools { display: none; } .scroll, #graph, #detail { height: auto; max-height: none; } }
]==]
