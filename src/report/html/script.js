"use strict";
// Everything shown here comes from the block of data. It is text: only textContent and attributes that carry no code are set.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function node(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}
function drawn(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
const percent = (value, digits = 1) => value === null ? "–" : (100 * value).toFixed(digits) + " %";
const points = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(100 * value).toFixed(1);
const figure = (value) => value === null ? "–" : value.toFixed(4);
const small = (p) => p === null ? "–" : p < 0.0001 ? p.toExponential(0) : p.toFixed(4);
const direction = (metric) => !metric.significant ? "" : metric.difference < 0 ? "down" : "up";

// ---- head ----------------------------------------------------------------------------------------------------------
document.title = `${data.suite} · karat`;
$("suite").textContent = data.suite;
if (data.verdict) {
  const mark = { passed: "✓ ", failed: "✗ ", inconclusive: "? " }[data.outcome];
  $("verdict").append(node("span", { class: "badge " + { passed: "good", failed: "bad", inconclusive: "open-word" }[data.outcome] }, mark + data.headline + (data.partial ? " (partial run)" : "")));
}
const about = $("about");
about.append("Run ", node("code", {}, data.run));
if (data.model) about.append(" with ", node("code", {}, data.model));
if (data.base) about.append(" against ", node("code", {}, data.base));
if (data.base_model && data.base_model !== data.model) about.append(" with ", node("code", {}, data.base_model));
if (data.created) about.append(", " + data.created.slice(0, 16).replace("T", " ") + " UTC");
if (data.partial) about.append(node("div", { class: "bad" }, data.partial));
if (data.errored > 0) about.append(node("div", { class: "bad" }, `${data.errored} errored: `, node("a", { href: "#sort=change" }, "they stand first among the cases below"), "."));
for (const warning of data.verdict && data.verdict.warnings || []) about.append(node("div", { class: "bad" }, "Warning: " + warning));
for (const row of data.outcomes) about.append(node("div", { class: row.notable ? "bad" : "quiet" }, (row.notable ? "Warning: " : "") + `${row.dataset}: ${row.text}`));
if (data.more.length) about.append(node("div", { class: "bad" }, "Not in this file, which is bounded: " + data.more.join(", ") + "."));
if (data.missing > 0) about.append(node("div", { class: "bad" }, `Incomplete: ${data.missing} selected cases have no result.`));

$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

// ---- summary -------------------------------------------------------------------------------------------------------
function changeText(metric) {
  if (metric.difference === null) return null;
  const line = node("div", { class: "change" });
  const real = metric.significant;
  const word = real ? (metric.difference < 0 ? "▼ " : "▲ ") : "";
  line.append(node("span", { class: real ? (metric.difference < 0 ? "bad word" : "good word") : "word" }, `${word}${points(metric.difference)} points`));
  if (metric.low !== null) line.append(node("span", { class: "quiet" }, ` (${points(metric.low)} to ${points(metric.high)})`));
  const tail = real ? `p = ${small(metric.p)}` : `not significant, p = ${small(metric.p)}` + (metric.overlooked ? "; " + metric.overlooked : "");
  line.append(node("div", { class: "quiet" }, tail));
  return line;
}
for (const metric of data.cards) {
  $("cards").append(node("div", { class: "card" },
    node("div", { class: "name" }, `${metric.dataset} · ${metric.scorer}`),
    node("div", { class: "figure" }, percent(metric.rate)),
    metric.rate_low === null ? null : node("div", { class: "quiet" }, `95 %: ${percent(metric.rate_low)} to ${percent(metric.rate_high)}`),
    node("div", { class: "quiet" }, (metric.answers === metric.cases ? `${metric.passed} of ${metric.cases} cases` : `${metric.passed} of ${metric.answers} answers to ${metric.cases} cases`) + (metric.errored ? `, ${metric.errored} errored` : "")),
    changeText(metric)));
}

function table(place, titles, rows) {
  const head = node("tr", {}, titles.map(([title, number]) => node("th", { scope: "col", class: number ? "number" : null }, title)));
  $(place).append(node("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": $(place + "-section").querySelector("h2").textContent },
    node("table", {}, node("thead", {}, head), node("tbody", {}, rows))));
}
const section = (id, there) => { $(id + "-section").hidden = !there; return there; };

function caseLink(dataset, id) {
  return node("a", { href: "#case=" + encodeURIComponent(dataset + "/" + id) }, `${dataset}/${id}`);
}
if (section("gates", data.verdict && data.verdict.rules.length)) {
  const order = { failed: 0, inconclusive: 1, skipped: 2, passed: 3 };
  const rules = data.verdict.rules.map((rule, at) => [rule, at]).sort((a, b) => order[a[0].outcome] - order[b[0].outcome] || a[1] - b[1]);
  table("gates", [["gate"], ["outcome"], ["figures"], ["cases"]], rules.map(([rule]) => {
    const word = { failed: ["✗ failed", "bad word"], inconclusive: ["? inconclusive", "open-word word"], skipped: ["– not judged", "quiet word"], passed: ["✓ passed", "good word"] }[rule.outcome];
    const links = rule.cases.slice(0, 12).map((one) => caseLink(one.dataset, one.id));
    const more = rule.cases_total - links.length;
    const tier = rule.tier ? node("div", { class: "quiet" }, rule.tier) : null;
    return node("tr", {}, node("td", { class: "wrap rule" }, rule.rule, tier), node("td", { class: word[1] }, word[0]),
      node("td", { class: "wrap" }, rule.reason),
      node("td", {}, node("div", { class: "links" }, links, more > 0 ? node("span", { class: "quiet" }, `and ${more} more`) : null)));
  }));
}
if (section("causes", data.base)) {
  if (data.causes.length) {
    table("causes", [["kind"], ["what"], ["baseline"], ["this run"]], data.causes.map((cause) => node("tr", {},
      node("td", {}, cause.kind + (cause.effect ? " " + cause.effect : "")), node("td", { class: "wrap" }, cause.what),
      node("td", { class: "wrap mono" }, cause.base === null ? "–" : cause.base),
      node("td", { class: "wrap mono" }, cause.candidate === null ? "–" : cause.candidate))));
  } else {
    $("causes").append(node("p", { class: data.changed ? "bad" : "note" }, data.changed
      ? "Nothing that the records hold explains the changes: same model, prompt, data and parameters."
      : "Nothing: same model, prompt, data and parameters, and the same results."));
  }
}

// ---- plots ---------------------------------------------------------------------------------------------------------
function dumbbells(metrics) {
  // As wide as the place it has, so that its text keeps its size.
  const width = Math.max(300, Math.min(1100, $("metrics").clientWidth - 32)), left = Math.min(240, width * .36), right = 66;
  const step = 30, top = 22, height = top + step * metrics.length + 8, letters = Math.floor((left - 14) / 6.4);
  const x = (value) => left + (width - left - right) * value;
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Pass rates before and after, with 95 % intervals" });
  for (let tick = 0; tick <= 4; tick += width < 480 ? 2 : 1) {
    picture.append(drawn("line", { class: "axis", x1: x(tick / 4), x2: x(tick / 4), y1: top - 4, y2: height }));
    picture.append(drawn("text", { class: "label", x: x(tick / 4), y: 12, "text-anchor": "middle" }, 25 * tick + " %"));
  }
  metrics.forEach((metric, at) => {
    const y = top + step * at + step / 2;
    const name = `${metric.dataset} · ${metric.scorer}`;
    const shown = name.length > letters ? name.slice(0, letters - 1) + "…" : name;
    picture.append(drawn("text", { x: left - 14, y: y + 4, "text-anchor": "end" }, shown));
    const whisker = (from, to, dy, kind) => {
      if (from !== null) picture.append(drawn("line", { class: kind, x1: x(from), x2: x(to), y1: y + dy, y2: y + dy, "stroke-width": 2 }));
    };
    if (metric.base_rate !== null) {
      whisker(metric.base_low, metric.base_high, -5, "before");
      picture.append(drawn("circle", { class: "before", cx: x(metric.base_rate), cy: y - 5, r: 4.5, "stroke-width": 2 }));
    }
    const kind = "after " + direction(metric);
    const dy = metric.base_rate === null ? 0 : 5;
    if (metric.rate !== null) {
      whisker(metric.rate_low, metric.rate_high, dy, kind);
      const dot = drawn("circle", { class: kind, cx: x(metric.rate), cy: y + dy, r: 4.5 });
      dot.append(drawn("title", {}, `${name}: ${percent(metric.base_rate)} before, ${percent(metric.rate)} now`));
      picture.append(dot);
      picture.append(drawn("text", { x: width - right + 14, y: y + 4 }, percent(metric.rate)));
    }
  });
  return picture;
}
if (section("metrics", data.metrics.length)) {
  if (!data.base) $("metrics-key").hidden = true;
  const paint = () => $("metrics").replaceChildren(dumbbells(data.metrics));
  paint();
  addEventListener("resize", paint);
}
function bars(histogram) {
  const width = 280, height = 110, floor = height - 18, count = histogram.after.length;
  const most = Math.max(1, ...histogram.after, ...(histogram.before || []));
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": histogram.title });
  const step = width / count, y = (n) => floor - (floor - 6) * n / most;
  histogram.after.forEach((n, at) => {
    const bar = drawn("rect", { class: "bar", x: at * step + .6, width: Math.max(step - 1.2, .6), y: y(n), height: floor - y(n) });
    const from = histogram.low + (histogram.high - histogram.low) * at / count;
    bar.append(drawn("title", {}, `from ${from.toFixed(3)}: ${n}` + (histogram.before ? `, before ${histogram.before[at]}` : "")));
    picture.append(bar);
  });
  if (histogram.before) {
    let path = `M0 ${floor}`;
    histogram.before.forEach((n, at) => { path += `V${y(n)}H${(at + 1) * step}`; });
    picture.append(drawn("path", { class: "outline", d: path + `V${floor}` }));
  }
  picture.append(drawn("line", { class: "axis", x1: 0, x2: width, y1: floor, y2: floor }));
  picture.append(drawn("text", { class: "label", x: 0, y: height - 4 }, histogram.label_low));
  picture.append(drawn("text", { class: "label", x: width, y: height - 4, "text-anchor": "end" }, histogram.label_high));
  return picture;
}
function plots(id, histograms) {
  if (!section(id, histograms.length)) return;
  for (const histogram of histograms) {
    $(id).append(node("div", { class: "plot" }, node("h3", {}, histogram.title), bars(histogram),
      histogram.note ? node("div", { class: "quiet" }, histogram.note) : null));
  }
}
plots("scores", data.scores);
plots("latency", data.latency);
if (section("slices", data.slices.length)) {
  $("slices-note").textContent = data.slices_note;
  table("slices", [["dataset"], ["slice"], ["scorer"], ["cases", 1], ["baseline", 1], ["now", 1], ["change", 1], ["p, corrected", 1], ["detectable", 1]],
    data.slices.map((slice) => node("tr", {}, node("td", {}, slice.dataset), node("td", { class: "wrap" }, slice.slice), node("td", {}, slice.scorer),
      node("td", { class: "number" }, String(slice.cases)), node("td", { class: "number" }, percent(slice.base_rate)), node("td", { class: "number" }, percent(slice.rate)),
      node("td", { class: "number " + (slice.significant ? (slice.difference < 0 ? "bad word" : "good word") : "") }, slice.difference === null ? "–" : points(slice.difference)),
      node("td", { class: "number" }, small(slice.p)),
      node("td", { class: "number" }, slice.detectable === null ? "–" : "±" + (100 * slice.detectable).toFixed(1)))));
}

// ---- cases ---------------------------------------------------------------------------------------------------------
const ABSENT = 0, FAILED = 1, PASSED = 2, ERRORED = 3;
const STATES = ["absent", "failed", "passed", "errored"];
const cases = data.cases;
const compared = data.base !== null;
const title = (one) => `${data.datasets[one.d]}/${one.i}` + (one.r ? ` #${one.r + 1}` : "");
const text = (value) => value === null ? "" : typeof value === "string" ? value : value.filter(([side]) => side !== 1).map(([, part]) => part).join("");
const label = (one) => one.c < 0 ? (compared ? "unchanged" : STATES[one.a]) : data.changes[one.c];
const changeClass = (one) => one.c < 0 ? (compared ? "quiet" : one.a === PASSED ? "good" : "bad") : data.bad[one.c] ? "bad word" : data.good[one.c] ? "good word" : "";
const state = { q: "", dataset: "", tag: "", change: "", transition: "", sort: "change", down: false, open: "" };
let shown = [], chosen = -1, haystacks = null;
const byTitle = new Map(cases.map((one, at) => [title(one), at]));

// What a search looks into: id, outputs, prompts, errors. Made once, when first needed or when the page is idle.
function search() {
  if (!haystacks) {
    const all = (value) => value === null ? "" : typeof value === "string" ? value : value.map(([, part]) => part).join(" ");
    haystacks = cases.map((one) => [title(one), all(one.o), one.w || "", all(one.p), one.e.join(" ")].join("\n").toLowerCase());
  }
  return haystacks;
}
("requestIdleCallback" in window ? requestIdleCallback : setTimeout)(() => search());

function option(value, words) { return node("option", { value }, words); }
$("dataset").append(option("", "all"), ...data.datasets.map((name, at) => option(String(at), name)));
$("tag").append(option("", "all"), ...data.tags.map((name, at) => option(String(at), name)));
const seen = new Map();
for (const one of cases) seen.set(label(one), (seen.get(label(one)) || 0) + 1);
$("change").append(option("", "all"), ...[...seen].map(([name, count]) => option(name, `${name} (${count})`)));
const moves = compared ? [[PASSED, FAILED], [FAILED, PASSED], [PASSED, PASSED], [FAILED, FAILED]] : [[null, PASSED], [null, FAILED]];
const move = ([from, to]) => (from === null ? "" : STATES[from] + " → ") + STATES[to];
$("transition").append(option("", "all"), ...moves.map((pair) => option(pair.join("-"), move(pair))));
// An errored side never counts as passing.
const side = (value) => value === ERRORED ? FAILED : value;

const SORTS = {
  change: (a, b) => a.v - b.v,
  case: (a, b) => a.d - b.d || (a.i < b.i ? -1 : a.i > b.i ? 1 : a.r - b.r),
  tags: (a, b) => tags(a) < tags(b) ? -1 : tags(a) > tags(b) ? 1 : 0,
  delta: (a, b) => (counted(a) === null) - (counted(b) === null) || counted(a) - counted(b),
  output: (a, b) => text(a.o).length - text(b.o).length,
};
// Scorers that passed: how many more or fewer than before, or how many failed.
const counted = (one) => {
  const [before, after] = one.n;
  if (!after || (compared && !before)) return null;
  return compared ? after[0] - before[0] : after[0] - after[1];
};
const counts = (one) => {
  const [before, after] = one.n;
  if (!after) return before && compared ? `${before[0]} of ${before[1]} before` : "";
  const now = `${after[0]} of ${after[1]}`;
  return compared && before && before[0] !== after[0] ? `${before[0]} → ${now}` : now;
};
const tags = (one) => one.t.map((tag) => data.tags[tag]).join(", ");

function filter() {
  const began = performance.now();
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = words.length ? search() : null;
  const [from, to] = state.transition ? state.transition.split("-").map((part) => part === "" ? null : Number(part)) : [];
  shown = [];
  for (let at = 0; at < cases.length; at++) {
    const one = cases[at];
    if (state.dataset !== "" && one.d !== Number(state.dataset)) continue;
    if (state.tag !== "" && !one.t.includes(Number(state.tag))) continue;
    if (state.change && label(one) !== state.change) continue;
    if (state.transition && ((from !== null && side(one.b) !== from) || side(one.a) !== to)) continue;
    if (texts && !words.every((word) => texts[at].includes(word))) continue;
    shown.push(at);
  }
  const order = SORTS[state.sort];
  if (state.sort !== "change" || state.down) {
    const sign = state.down ? -1 : 1;
    shown.sort((a, b) => sign * order(cases[a], cases[b]) || a - b);
  }
  chosen = shown.indexOf(byTitle.has(state.open) ? byTitle.get(state.open) : -1);
  const left = compared ? data.left_out_changed ? `, of which ${data.left_out_changed} changed` : ", all unchanged" : "";
  const rest = data.left_out ? `; ${data.left_out} more are not in this file, which is bounded${left}` : "";
  $("status").textContent = `${shown.length} of ${cases.length} cases${rest}`;
  $("body").scrollTop = chosen > 0 ? Math.max(0, chosen * ROW - $("body").clientHeight / 2) : 0;
  $("spacer").style.height = shown.length * ROW + "px";
  $("body").setAttribute("aria-rowcount", String(shown.length));
  draw();
  document.documentElement.dataset.filtered = (performance.now() - began).toFixed(1);
}

const ROW = 36;
const pool = new Map();
function draw() {
  const body = $("body");
  const first = Math.max(0, Math.floor(body.scrollTop / ROW) - 6);
  const last = Math.min(shown.length, Math.ceil((body.scrollTop + body.clientHeight) / ROW) + 6);
  const wanted = new Set();
  for (let at = first; at < last; at++) {
    const key = at + ":" + shown[at] + ":" + (at === chosen);
    wanted.add(key);
    if (!pool.has(key)) {
      const made = row(at);
      pool.set(key, made);
      body.append(made);
    }
  }
  for (const [key, made] of pool) if (!wanted.has(key)) { made.remove(); pool.delete(key); }
  if (chosen >= first && chosen < last) body.setAttribute("aria-activedescendant", "row-" + chosen);
  else body.removeAttribute("aria-activedescendant");
}
function row(at) {
  const one = cases[shown[at]];
  const made = node("div", { class: "row" + (at === chosen ? " chosen" : ""), role: "row", id: "row-" + at,
    "aria-rowindex": String(at + 1), "aria-selected": String(at === chosen), onclick: () => choose(at, true) },
    node("span", { role: "gridcell", class: changeClass(one) }, label(one)),
    node("span", { role: "gridcell" }, title(one)),
    node("span", { role: "gridcell", class: "tags" }, tags(one)),
    node("span", { role: "gridcell", class: "delta" }, counts(one)),
    node("span", { role: "gridcell", class: "output" }, (one.e[1] || text(one.o)).slice(0, 160)));
  made.style.top = at * ROW + "px";
  return made;
}
$("body").addEventListener("scroll", draw, { passive: true });
addEventListener("resize", draw);

function choose(at, open) {
  if (!shown.length) return;
  chosen = Math.max(0, Math.min(shown.length - 1, at));
  const body = $("body"), top = chosen * ROW;
  if (top < body.scrollTop) body.scrollTop = top;
  if (top + ROW > body.scrollTop + body.clientHeight) body.scrollTop = top + ROW - body.clientHeight;
  if (open || state.open) state.open = title(cases[shown[chosen]]);
  draw();
  detail();
  remember();
}

// ---- detail --------------------------------------------------------------------------------------------------------
function marked(value) {
  if (typeof value === "string") return [value];
  return value.map(([side, part]) => side === 0 ? part : node(side === 1 ? "del" : "ins", {}, part));
}
function detail() {
  const pane = $("detail"), at = byTitle.get(state.open);
  $("cases").classList.toggle("open", at !== undefined);
  pane.hidden = at === undefined;
  pane.replaceChildren();
  if (at === undefined) { draw(); return; }
  const one = cases[at];
  const step = (by) => () => choose(chosen + by, true);
  pane.append(node("header", {}, node("h3", {}, title(one)),
    node("button", { type: "button", "aria-label": "Previous case", onclick: step(-1) }, "↑"),
    node("button", { type: "button", "aria-label": "Next case", onclick: step(1) }, "↓"),
    node("button", { type: "button", "aria-label": "Close", onclick: close }, "✕")));
  const line = node("p", { class: "note" }, node("span", { class: changeClass(one) }, label(one)));
  if (compared && one.b !== ABSENT && one.a !== ABSENT) line.append(`: ${STATES[one.b]} → ${STATES[one.a]}`);
  const facts = [tags(one), ...Object.entries(one.m || {}).map(([key, value]) => `${key}: ${value}`)].filter(Boolean);
  if (facts.length) line.append(" · " + facts.join(" · "));
  pane.append(line);
  const block = (name, ...content) => pane.append(node("h3", {}, name), node("pre", { tabindex: "0", dir: "auto" }, content));
  const changed = Array.isArray(one.p);
  if (changed) block("Prompt: what changed", marked(one.p));
  if (one.e[0]) block("Error before", one.e[0]);
  if (one.e[1]) block("Error", one.e[1]);
  if (one.o !== null) block(Array.isArray(one.o) ? "Output: what changed" : compared && one.b !== ABSENT && one.a !== ABSENT && one.w === undefined ? "Output, the same as before" : "Output", marked(one.o));
  else if (!one.e[1] && one.a !== ABSENT) pane.append(node("p", { class: "note" }, "The output was not kept."));
  if (one.w !== undefined) block("Output before", one.w);
  if (one.s.length) {
    const score = (value) => value === null ? [node("td", { class: "quiet" }, "–")] : [node("td", {},
      node("span", { class: value[0] ? "good word" : "bad word" }, value[0] ? "✓ " : "✗ "), figure(value[1]),
      value[2] ? node("div", { class: "quiet wrap" }, value[2]) : null)];
    const head = ["scorer", ...(compared ? ["before"] : []), "now"].map((words) => node("th", { scope: "col" }, words));
    pane.append(node("h3", {}, "Scores"), node("div", { class: "scroll" }, node("table", {}, node("thead", {}, node("tr", {}, head)),
      node("tbody", {}, one.s.map(([name, before, after]) => node("tr", {}, node("td", {}, data.scorers[name]),
        compared ? score(before) : [], score(after)))))));
  }
  if (!changed && one.p !== null) block("Prompt", data.head, one.p);
}
function close() {
  state.open = "";
  detail();
  remember();
  $("body").focus({ preventScroll: true });
}

// ---- state, links, keys ----------------------------------------------------------------------------------------------
function remember() {
  const parts = new URLSearchParams();
  if (state.open) parts.set("case", state.open);
  for (const key of ["q", "change", "transition"]) if (state[key]) parts.set(key, state[key]);
  if (state.dataset !== "") parts.set("dataset", data.datasets[state.dataset]);
  if (state.tag !== "") parts.set("tag", data.tags[state.tag]);
  if (state.sort !== "change" || state.down) parts.set("sort", (state.down ? "-" : "") + state.sort);
  const hash = parts.toString().replaceAll("%2F", "/");
  if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
}
function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const place = (names, name) => { const at = names.indexOf(name); return at < 0 ? "" : String(at); };
  state.q = parts.get("q") || "";
  state.dataset = place(data.datasets, parts.get("dataset"));
  state.tag = place(data.tags, parts.get("tag"));
  state.change = seen.has(parts.get("change")) ? parts.get("change") : "";
  state.transition = moves.some((pair) => pair.join("-") === parts.get("transition")) ? parts.get("transition") : "";
  const sort = parts.get("sort") || "change";
  state.down = sort.startsWith("-");
  state.sort = Object.hasOwn(SORTS, sort.replace("-", "")) ? sort.replace("-", "") : "change";
  const wanted = parts.get("case") || "";
  // A link may name any answer to a case: the first stands for all.
  state.open = byTitle.has(wanted) ? wanted : "";
  for (const key of ["q", "dataset", "tag", "change", "transition"]) $(key).value = state[key];
  sorted();
  filter();
  detail();
  if (wanted && !state.open) $("status").textContent += `; “${wanted}” is not among them`;
  if (state.open) $("cases-section").scrollIntoView({ block: "start" });
}
function sorted() {
  for (const button of document.querySelectorAll("[data-sort]")) {
    const own = button.dataset.sort === state.sort;
    button.setAttribute("aria-pressed", String(own));
    button.textContent = button.dataset.words + (own ? (state.down ? " ▾" : " ▴") : "");
  }
}
for (const key of ["q", "dataset", "tag", "change", "transition"]) {
  $(key).addEventListener("input", () => { state[key] = $(key).value; filter(); remember(); });
}
for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => {
    const own = button.dataset.sort;
    [state.sort, state.down] = own === state.sort ? [own, !state.down] : [own, false];
    sorted();
    filter();
    remember();
  });
}
$("clear").addEventListener("click", () => {
  Object.assign(state, { q: "", dataset: "", tag: "", change: "", transition: "", sort: "change", down: false });
  for (const key of ["q", "dataset", "tag", "change", "transition"]) $(key).value = "";
  sorted();
  filter();
  remember();
});
if (section("transitions", compared && data.transitions.length)) {
  for (const { dataset, counts } of data.transitions) {
    const cell = (from, to) => {
      const n = counts[from === PASSED ? (to === PASSED ? 0 : 1) : (to === PASSED ? 2 : 3)];
      const kind = from === to ? "" : to === PASSED ? "good" : "bad";
      return node("button", { type: "button", class: n ? kind : "quiet", "aria-label": `${data.datasets[dataset]}: ${n} cases ${STATES[from]} before and ${STATES[to]} now`,
        onclick: () => {
          Object.assign(state, { dataset: String(dataset), transition: `${from}-${to}`, change: "", tag: "", q: "" });
          for (const key of ["q", "dataset", "tag", "change", "transition"]) $(key).value = state[key];
          filter();
          remember();
          $("cases-section").scrollIntoView({ block: "start" });
        } }, String(n));
    };
    $("transitions").append(node("div", { class: "plot" }, node("h3", {}, data.datasets[dataset]), node("div", { class: "grid2" },
      node("span", {}), node("span", { class: "head" }, "passes now"), node("span", { class: "head" }, "fails now"),
      node("span", { class: "side" }, "passed"), cell(PASSED, PASSED), cell(PASSED, FAILED),
      node("span", { class: "side" }, "failed"), cell(FAILED, PASSED), cell(FAILED, FAILED))));
  }
}
$("help").addEventListener("click", () => $("keys").showModal());
$("keys-close").addEventListener("click", () => $("keys").close());
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (state.open) close();
    return;
  }
  if (typing) return;
  const button = event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement;
  const keys = {
    j: () => choose(chosen + 1, false), ArrowDown: () => choose(chosen + 1, false),
    k: () => choose(chosen - 1, false), ArrowUp: () => choose(chosen - 1, false),
    Enter: () => choose(Math.max(chosen, 0), true),
    "/": () => { $("q").focus(); $("cases-section").scrollIntoView({ block: "start" }); },
    "?": () => $("keys").showModal(),
  };
  const arrows = event.key.startsWith("Arrow");
  // Arrows scroll the page unless the list or an open case has them; Enter on a button is that button's.
  if ((arrows && event.target !== $("body") && !state.open) || (button && event.key === "Enter")) return;
  const action = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
  if (action) { event.preventDefault(); action(); }
});
addEventListener("hashchange", recall);
recall();
document.documentElement.dataset.ready = performance.now().toFixed(0);
