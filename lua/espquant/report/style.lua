--- The style sheet of the report.
return [==[
:root { --ink: #1c2430; --soft: #5d6b7c; --line: #d5dce4; --paper: #fff; --panel: #f5f7f9; --blue: #1f6feb;
  --good: #1a7f37; --fair: #9a6700; --bad: #cf222e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9aa7b4; --line: #30363d; --paper: #0d1117; --panel: #161b22; --blue: #58a6ff;
    --good: #3fb950; --fair: #d29922; --bad: #ff7b72; }
}
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
header, main, footer { max-width: 1200px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 20px; }
h1 { font-size: 24px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 32px 0 10px; }
p, ul { margin: 6px 0; }
.soft, footer { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
footer { padding-top: 24px; padding-bottom: 24px; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 10px; }
a { color: var(--blue); }
code { font: 13px/1.4 ui-monospace, monospace; background: var(--panel); padding: 1px 4px; border-radius: 4px;
  overflow-wrap: anywhere; }
.scroll { overflow: auto; border: 1px solid var(--line); border-radius: 6px; max-width: 100%; }
#graph { max-height: 560px; background: var(--panel); }
#layers { max-height: 620px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th.text, td.text { text-align: left; }
td.name { max-width: 260px; overflow: hidden; text-overflow: ellipsis; }
thead th { position: sticky; top: 0; background: var(--panel); z-index: 1; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
th[aria-sort=ascending] button::after { content: " \25b2"; }
th[aria-sort=descending] button::after { content: " \25bc"; }
tbody tr { cursor: pointer; }
tbody tr:hover, tbody tr.chosen { background: var(--panel); }
#summary tbody tr, #weights tbody tr { cursor: default; }
.good { color: var(--good); } .fair { color: var(--fair); } .bad { color: var(--bad); }
.tools { display: flex; flex-wrap: wrap; gap: 10px; margin: 8px 0; align-items: center; }
input, select { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line);
  border-radius: 6px; padding: 5px 8px; max-width: 100%; }
svg { display: block; }
#graph svg { margin: 0 auto; }
#search { width: 260px; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg text.soft { fill: var(--soft); font-size: 11px; }
.node rect { fill: var(--paper); stroke: var(--soft); }
.node { cursor: pointer; }
.node:hover rect, .node.chosen rect, .node:focus rect { stroke: var(--blue); stroke-width: 2; }
.node:focus { outline: none; }
.node.good rect { stroke: var(--good); } .node.fair rect { stroke: var(--fair); } .node.bad rect { stroke: var(--bad); }
.edge { fill: none; stroke: var(--line); stroke-width: 1.5; }
.bar { fill: var(--blue); } .limit { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 4 3; }
.axis { stroke: var(--line); } .area { fill: var(--blue); opacity: .75; } .area.peak { fill: var(--bad); }
#histograms { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 12px; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: 8px; min-width: 0; }
figcaption { font-size: 13px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
#detail { border: 1px solid var(--line); border-radius: 6px; padding: 10px 14px; margin-top: 10px;
  background: var(--panel);
  min-height: 60px; }
#detail dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 6px 0; }
#detail dt { color: var(--soft); } #detail dd { margin: 0; overflow-wrap: anywhere; }
#warnings li { white-space: pre-line; }
.worst { border-left: 3px solid var(--line); padding: 2px 12px; margin: 10px 0; }
@media (max-width: 640px) {
  body { font-size: 14px; } header, main, footer { padding-left: 12px; padding-right: 12px; }
  th, td { padding: 4px 7px; } td.name { max-width: 140px; }
  #detail dl { grid-template-columns: 1fr; } #detail dd { margin-bottom: 4px; }
}
]==]
