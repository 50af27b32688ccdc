#pragma once
// The page that to_html() fills: @TITLE@ and @TAPE@ (a JSON list of entries, inputs before their readers).
//
// What is drawn: a card for each operator, or for a folded module as a whole. A leaf with one reader is a line on that
// reader's card. Cards are layered by the longest path from the inputs, ordered in their layers by the mean position of
// their neighbours (Sugiyama, Tagawa and Toda 1981); edges over several layers pass through invisible points.

namespace gradus {

inline constexpr const char* kGraphPage = R"PAGE(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>@TITLE@</title>
<style>
  :root { --ink: #1d2733; --soft: #667485; --line: #d5dce5; --paper: #f7f9fb; --accent: #2f6fb3; }
  * { box-sizing: border-box; }
  body { margin: 0; height: 100vh; display: flex; flex-direction: column; background: var(--paper); color: var(--ink);
         font: 14px/1.4 system-ui, "Helvetica Neue", Helvetica, Arial, sans-serif; overflow: hidden; }
  header { display: flex; align-items: center; gap: 18px; padding: 10px 18px; background: #fff;
           border-bottom: 1px solid var(--line); flex-wrap: wrap; }
  h1 { font-size: 16px; margin: 0; }
  .facts { color: var(--soft); }
  .grow { flex: 1; }
  button { font: inherit; color: var(--ink); background: #fff; border: 1px solid var(--line); border-radius: 6px;
           padding: 3px 10px; cursor: pointer; }
  button:hover { border-color: var(--accent); color: var(--accent); }
  button.on { background: var(--accent); border-color: var(--accent); color: #fff; }
  svg { flex: 1; width: 100%; cursor: grab; }
  svg.drag { cursor: grabbing; }
  .card rect.body { fill: #fff; stroke: var(--line); stroke-width: 1.2; }
  .card.fold rect.body { fill: #eef4fb; stroke: #9dbbdc; cursor: pointer; }
  .card.leaf rect.body { fill: #fdf6e8; stroke: #e3cf9f; }
  .card:hover rect.body { stroke: var(--accent); stroke-width: 2; }
  .card text { font-size: 12px; fill: var(--ink); }
  .card text.title { font-size: 13.5px; font-weight: 600; }
  .card text.path { font-size: 11px; fill: var(--accent); cursor: pointer; }
  .card text.soft { fill: var(--soft); font-size: 11px; }
  .card rect.bar { fill: #e9edf2; }
  .card rect.fill { fill: #e08a4b; }
  path.edge { fill: none; stroke: #93a1b1; stroke-width: 1.4; }
  path.edge.hot { stroke: var(--accent); stroke-width: 2.4; }
  footer { color: var(--soft); font-size: 12px; padding: 3px 18px 6px; }
</style>
</head>
<body>
<header>
  <h1>@TITLE@</h1><span class="facts" id="facts"></span><span class="grow"></span>
  <span class="facts">unfold</span><span id="depths"></span><button id="fit">fit</button>
</header>
<svg id="view"><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
  <path d="M0,0.8 L7.4,4 L0,7.2 z" fill="#93a1b1"/></marker></defs><g id="world"></g></svg>
<footer>wheel: zoom &middot; drag: move &middot; click a folded module to unfold it, a blue path to fold it</footer>
<script>
"use strict";
const tape = @TAPE@;

// ---- Modules -------------------------------------------------------------------------------------------------------
const ancestors = path => path ? path.split(".").map((_, i, all) => all.slice(0, i + 1).join(".")) : [];
const readers = tape.map(() => []);
tape.forEach((e, i) => e.inputs.forEach(k => { if (k >= 0 && !readers[k].includes(i)) readers[k].push(i); }));
// A leaf with one reader is written on the reader's card.
const inlined = tape.map((e, i) => e.leaf && readers[i].length === 1);
const modules = new Set();
tape.forEach((e, i) => { if (!e.leaf) ancestors(e.module).forEach(a => modules.add(a)); });
// Only what holds several operators is worth folding.
const held = {};
tape.forEach(e => { if (!e.leaf) ancestors(e.module).forEach(a => held[a] = (held[a] || 0) + 1); });
const foldable = new Set([...modules].filter(m => held[m] > 1));
const deepest = Math.max(0, ...[...foldable].map(m => ancestors(m).length));
const folded = new Set();
const foldBelow = depth => {
  folded.clear();
  foldable.forEach(m => { if (ancestors(m).length > depth) folded.add(m); });
};
const cardOf = i => ancestors(tape[i].leaf ? "" : tape[i].module).find(a => folded.has(a)) || "#" + i;

const bytes = n => n < 1024 ? n + " B" : n < 1048576 ? (n / 1024).toFixed(1) + " KiB" : (n / 1048576).toFixed(1) + " MiB";
const shorten = (s, n) => s.length > n ? s.slice(0, n - 1) + "\u2026" : s;

// ---- Cards ---------------------------------------------------------------------------------------------------------
function cards() {
  const all = new Map();
  tape.forEach((e, i) => {
    if (inlined[i]) return;
    const id = cardOf(i), isFold = id[0] !== "#";
    if (!all.has(id)) all.set(id, {id, fold: isFold, leaf: e.leaf, path: isFold ? id : e.module, ops: 0, saved: 0,
                                   params: [], from: new Set(), to: new Set(), first: i});
    const c = all.get(id);
    c.title = isFold ? id : e.leaf ? (e.name || "leaf") : e.op;
    c.result = e.result;
    c.ops += e.leaf ? 0 : 1;
    c.saved += e.saved;
    e.inputs.forEach(k => { if (k >= 0 && inlined[k]) c.params.push(tape[k]); });
  });
  tape.forEach((e, i) => e.inputs.forEach(k => {
    if (k < 0 || inlined[k]) return;
    const a = cardOf(k), b = cardOf(i);
    if (a !== b) { all.get(a).to.add(b); all.get(b).from.add(a); }
  }));
  for (const c of all.values()) {
    c.lines = [];
    if (!c.fold && c.path && !c.leaf) c.lines.push(["path", shorten(c.path, 38)]);
    c.lines.push(["title", shorten(c.title, 34)]);
    c.lines.push(["", c.result]);
    if (c.fold) c.lines.push(["soft", c.ops + " operators" + (c.params.length ? ", " + c.params.length + " parameters" : "")]);
    else c.params.slice(0, 4).forEach(p =>
      c.lines.push(["soft", shorten((p.name ? p.name.split(".").pop() : "leaf") + "  " + p.result, 40)]));
    if (c.saved) c.lines.push(["soft", "saves " + bytes(c.saved)]);
    c.w = Math.max(96, ...c.lines.map(([k, t]) => t.length * (k === "title" ? 8.2 : k === "" ? 6.9 : 6.4) + 26));
    c.h = c.lines.length * 17 + 14 + (c.saved ? 7 : 0);
  }
  return [...all.values()];
}

// ---- Layout --------------------------------------------------------------------------------------------------------
function layout(list) {
  const byId = new Map(list.map(c => [c.id, c]));
  list.sort((a, b) => a.first - b.first);
  // Cards that call each other in turn (a module used twice) have an edge upward; ranks ignore it.
  const rank = new Map();
  const pending = new Map(list.map(c => [c.id, [...c.from].filter(f => byId.get(f).first < c.first)]));
  list.forEach(c => rank.set(c.id, Math.max(-1, ...pending.get(c.id).map(f => rank.has(f) ? rank.get(f) : -1)) + 1));
  // A card that nothing feeds stands right above its first reader.
  list.forEach(c => { if (!c.from.size && c.to.size) {
    const r = Math.min(...[...c.to].map(t => rank.get(t))) - 1;
    if (r > rank.get(c.id)) rank.set(c.id, r);
  } });
  const rows = [];
  const put = (v, r) => { (rows[r] = rows[r] || []).push(v); v.row = r; };
  list.forEach(c => { c.up = []; c.down = []; put(c, rank.get(c.id)); });
  const edges = [];
  list.forEach(c => c.to.forEach(t => {
    const target = byId.get(t), chain = [c];
    for (let r = c.row + 1; r < target.row; ++r) {
      const point = {w: 18, h: 0, up: [], down: [], first: c.first, dummy: true};
      put(point, r);
      chain.push(point);
    }
    chain.push(target);
    if (c.row < target.row) for (let i = 0; i + 1 < chain.length; ++i) { chain[i].down.push(chain[i + 1]); chain[i + 1].up.push(chain[i]); }
    edges.push({chain, from: c, to: target});
  }));
  for (let r = 0; r < rows.length; ++r) rows[r] = rows[r] || [];
  rows.forEach(row => row.forEach((v, i) => v.x = i * 100));
  const gap = 26, mean = vs => vs.reduce((s, v) => s + v.x, 0) / vs.length;
  const spread = row => {  // keeps the order; moves overlapping neighbours apart, half each
    for (let pass = 0; pass < 40; ++pass) {
      let moved = false;
      for (let i = 0; i + 1 < row.length; ++i) {
        const a = row[i], b = row[i + 1], need = (a.w + b.w) / 2 + gap - (b.x - a.x);
        if (need > 0.5) { a.x -= need / 2; b.x += need / 2; moved = true; }
      }
      if (!moved) break;
    }
  };
  for (let sweep = 0; sweep < 24; ++sweep) {
    const down = sweep % 2 === 0, order = down ? rows : [...rows].reverse();
    order.forEach(row => {
      row.forEach(v => { const near = down ? v.up : v.down; if (near.length) v.want = mean(near); else v.want = v.x; });
      if (sweep < 12) row.sort((a, b) => a.want - b.want || a.first - b.first);
      row.forEach(v => v.x = v.want);
      spread(row);
    });
  }
  columns(rows);
  return edges;
}

// Networks are long and thin: the layers are set in columns side by side, like a text, so that they fill the window.
// A column ends, if it can, where one edge alone goes on.
function columns(rows) {
  const gap = 38, gutter = 70, height = row => Math.max(10, ...row.map(v => v.h));
  const left = row => Math.min(...row.map(v => v.x - v.w / 2)), right = row => Math.max(...row.map(v => v.x + v.w / 2));
  rows = rows.filter(row => row.length);
  const total = rows.reduce((sum, row) => sum + height(row) + gap, 0);
  const width = Math.max(...rows.map(right)) - Math.min(...rows.map(left)) + gutter;
  const shape = svg.clientWidth / Math.max(1, svg.clientHeight);
  const count = Math.max(1, Math.floor(Math.sqrt(shape * total / width))), limit = total / count;
  let x = 0, begin = 0;
  while (begin < rows.length) {
    let end = begin, used = 0, best = -1;
    while (end < rows.length && (used < limit || end === begin)) {
      used += height(rows[end]) + gap;
      if (used > 0.7 * limit && rows[end].length === 1) best = end + 1;
      ++end;
    }
    if (end < rows.length && best > 0) end = best;
    const part = rows.slice(begin, end), shift = x - Math.min(...part.map(left));
    let y = 0;
    part.forEach(row => {
      row.forEach(v => { v.x += shift; v.y = y + height(row) / 2; v.column = x; });
      y += height(row) + gap;
    });
    x = Math.max(...part.map(right)) + gutter;
    begin = end;
  }
}

// ---- Drawing -------------------------------------------------------------------------------------------------------
const svg = document.getElementById("view"), world = document.getElementById("world");
const make = (name, attributes, parent) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const k in attributes) node.setAttribute(k, attributes[k]);
  parent.appendChild(node);
  return node;
};
let box = {x: 0, y: 0, w: 100, h: 100}, at = {x: 0, y: 0, k: 1};
const place = () => world.setAttribute("transform", `translate(${at.x},${at.y}) scale(${at.k})`);
function fit() {
  const w = svg.clientWidth, h = svg.clientHeight;
  const whole = Math.min(w / (box.w + 60), h / (box.h + 60));
  at.k = Math.min(1.4, Math.max(whole, 0.45));  // stays readable: what does not fit is reached by moving
  at.x = box.w * at.k < w ? w / 2 - (box.x + box.w / 2) * at.k : 24 - box.x * at.k;
  at.y = whole >= at.k ? h / 2 - (box.y + box.h / 2) * at.k : 24 - box.y * at.k;
  place();
}
function draw(keep) {
  const list = cards(), edges = layout(list), most = Math.max(1, ...list.map(c => c.saved));
  world.replaceChildren();
  edges.forEach(e => {
    const first = e.chain[0], last = e.chain[e.chain.length - 1];
    let x = first.x, y = first.y + first.h / 2, d = `M${x},${y}`;
    let column = first.column;
    const to = (nx, ny, p) => {
      if (p.column !== column) {  // down, up between the columns, and in from above
        const between = p.column - 35, r = 8;
        const side = between > x ? 1 : -1;
        d += ` V${y + 10} Q${x},${y + 18} ${x + side * r},${y + 18} H${between - side * r} Q${between},${y + 18} ` +
             `${between},${y + 10} V${ny - 14} Q${between},${ny - 22} ${between + r},${ny - 22} H${nx - r} ` +
             `Q${nx},${ny - 22} ${nx},${ny - 14} V${ny}`;
      } else {
        const m = (y + ny) / 2;
        d += ` C${x},${m} ${nx},${m} ${nx},${ny}`;
      }
      x = nx; y = ny; column = p.column;
    };
    e.chain.slice(1, -1).forEach(p => to(p.x, p.y, p));
    to(last.x, last.y - last.h / 2 - 1, last);
    e.path = make("path", {class: "edge", d, "marker-end": "url(#arrow)"}, world);
  });
  list.forEach(c => {
    const g = make("g", {class: "card" + (c.fold ? " fold" : "") + (c.leaf ? " leaf" : ""),
                         transform: `translate(${c.x - c.w / 2},${c.y - c.h / 2})`}, world);
    make("rect", {class: "body", width: c.w, height: c.h, rx: 7}, g);
    c.lines.forEach(([kind, text], i) => {
      const t = make("text", {class: kind, x: 13, y: 21 + i * 17}, g);
      t.textContent = text;
      if (kind === "path") t.addEventListener("click", () => {
        const inner = ancestors(c.path).filter(a => foldable.has(a)).pop();
        if (inner) { folded.add(inner); draw(true); }
      });
    });
    if (c.saved) {
      make("rect", {class: "bar", x: 13, y: c.h - 11, width: c.w - 26, height: 4, rx: 2}, g);
      make("rect", {class: "fill", x: 13, y: c.h - 11, width: Math.max(2, (c.w - 26) * c.saved / most), height: 4, rx: 2}, g);
    }
    const title = make("title", {}, g);
    title.textContent = [c.path || c.title, ...c.params.map(p => (p.name || "leaf") + "  " + p.result)].join("\n");
    const near = edges.filter(e => e.from === c || e.to === c);
    g.addEventListener("mouseenter", () => near.forEach(e => e.path.classList.add("hot")));
    g.addEventListener("mouseleave", () => near.forEach(e => e.path.classList.remove("hot")));
    if (c.fold) g.addEventListener("click", () => { if (!moved) {
      folded.delete(c.id);  // one level: what lies inside stays folded
      foldable.forEach(m => { if (m.startsWith(c.id + ".") && ancestors(m).length === ancestors(c.id).length + 1) folded.add(m); });
      draw(true);
    } });
  });
  const lo = k => Math.min(...list.map(c => c[k] - c[k === "x" ? "w" : "h"] / 2));
  const hi = k => Math.max(...list.map(c => c[k] + c[k === "x" ? "w" : "h"] / 2));
  box = {x: lo("x"), y: lo("y"), w: hi("x") - lo("x"), h: hi("y") - lo("y")};
  if (!keep) fit();
}

// ---- Controls ------------------------------------------------------------------------------------------------------
const operators = tape.filter(e => !e.leaf).length, leaves = tape.length - operators;
document.getElementById("facts").textContent = `${operators} operators \u00b7 ${leaves} leaves \u00b7 ` +
  `${bytes(tape.reduce((s, e) => s + e.saved, 0))} saved for backward`;
const buttons = [];
for (let d = 0; d <= deepest; ++d) {
  const b = document.createElement("button");
  b.textContent = d === deepest ? "all" : String(d);
  b.title = d === deepest ? "every operator" : d + " levels of modules";
  b.onclick = () => { foldBelow(d); buttons.forEach(o => o.classList.toggle("on", o === b)); draw(false); };
  document.getElementById("depths").append(b, " ");
  buttons.push(b);
}
document.getElementById("fit").onclick = fit;
svg.addEventListener("wheel", e => {
  e.preventDefault();
  const k = Math.min(4, Math.max(0.03, at.k * Math.exp(-e.deltaY * 0.0015))), r = svg.getBoundingClientRect();
  const px = e.clientX - r.left, py = e.clientY - r.top;
  at.x = px - (px - at.x) * k / at.k; at.y = py - (py - at.y) * k / at.k; at.k = k;
  place();
}, {passive: false});
let drag = null, moved = false;
svg.addEventListener("pointerdown", e => { drag = {x: e.clientX - at.x, y: e.clientY - at.y, sx: e.clientX, sy: e.clientY}; moved = false; });
addEventListener("pointermove", e => { if (!drag) return;
  if (Math.abs(e.clientX - drag.sx) + Math.abs(e.clientY - drag.sy) > 4) { moved = true; svg.classList.add("drag"); }
  at.x = e.clientX - drag.x; at.y = e.clientY - drag.y; place(); });
addEventListener("pointerup", () => { drag = null; svg.classList.remove("drag"); });
addEventListener("resize", fit);
// Begin with as much unfolded as still gives a drawing of some forty cards; or as the address says: graph.html#all, #2.
let start = 0;
for (let d = 0; d <= deepest; ++d) { foldBelow(d); if (cards().length <= 45) start = d; }
(buttons.find(b => "#" + b.textContent === location.hash) || buttons[start]).click();
</script>
</body>
</html>
)PAGE";

}  // namespace gradus
