"use strict";
// Asks once a second what is new in the chosen run. All text of a run goes through textContent.
const at = id => document.getElementById(id);
const COLUMNS = ["trial", "status", "epoch", "value", "seconds", "where", "reason"];
const MOST_ROWS = 200;
let trials = new Map(), follower = "", version = 0, sort = "value", up = false, better = 1, asked = "";

function make(parent, tag, text, attributes = {}) {
  const svg = parent instanceof SVGElement;
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  if (text !== "") made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return parent.appendChild(made);
}
const digits = value => value === null ? "–" : value.toFixed(4);

async function ask(place, options) {
  const answer = await fetch(place, options), found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

async function listRuns() {
  const names = await ask("runs"), chosen = at("runs").value;
  if (names.join("\n") === asked) return;
  asked = names.join("\n");
  at("runs").replaceChildren();
  for (const name of names) make(at("runs"), "option", name, { value: name });
  if (names.includes(chosen)) at("runs").value = chosen;
}

async function update() {
  try {
    await listRuns();
    const name = at("runs").value;
    if (!name) { at("said").textContent = "there are no runs yet"; return; }
    const news = await ask(`run/${encodeURIComponent(name)}?since=${version}`);
    if (name !== at("runs").value) return;
    if (news.follower !== follower) { trials = new Map(); follower = news.follower; }
    for (const trial of news.trials) trials.set(trial.id, trial);
    version = news.version; better = news.sign;
    show(name, news);
    if (news.trials.length) rows();
    document.body.dataset.version = version;
    if (at("said").dataset.failed) { at("said").textContent = ""; delete at("said").dataset.failed; }
  } catch (error) {
    at("said").textContent = error.message;
    at("said").dataset.failed = "1";
  }
}

function show(name, { status, curves, lines, metric }) {
  at("name").textContent = document.title = name;
  at("stop").disabled = !status.running;
  const state = status.finished ? "finished" : status.running ? "running" : status.silence ? "silent" : "stopped";
  const tiles = [[state, "state"], [status.best ? digits(status.best.value) : "–", `best ${metric}`]];
  if (status.best) tiles.push([status.best.name, "best configuration"]);
  for (const [key, count] of Object.entries(status.trials)) tiles.push([count, key.toLowerCase().replaceAll("_", " ")]);
  if (status.expected_trials) tiles.push([status.expected_trials, "trials planned"]);
  for (const [unit, { spent, limit }] of Object.entries(status.budget))
    tiles.push([spent.toFixed(2) + (limit === null ? "" : ` of ${limit}`), unit.replace("_", "-")]);
  at("tiles").replaceChildren();
  for (const [value, label] of tiles) {
    const tile = make(at("tiles"), "div", "", { class: "tile" });
    make(tile, "b", value); make(tile, "span", label);
  }
  at("notes").replaceChildren();
  if (status.silence) make(at("notes"), "li", status.silence);
  for (const { reason, trials: count } of status.failures.slice(0, 10)) make(at("notes"), "li", `failed (${count}): ${reason}`);
  if (status.lost_nodes.length) make(at("notes"), "li", `lost nodes: ${status.lost_nodes.join(", ")}`);
  at("curves_title").textContent = `Learning curves: ${metric} by epoch (running and best trials)`;
  draw(curves);
  at("lines").textContent = lines.join("\n");
}

function draw(curves) {
  const svg = at("curves"), width = svg.clientWidth, height = 280, left = 56, bottom = 26;
  const points = curves.flatMap(curve => curve.points).filter(point => point[1] !== null);
  svg.replaceChildren();
  if (!points.length) return;
  const ys = points.map(point => point[1]), low = Math.min(...ys), high = Math.max(...ys);
  const last = Math.max(...points.map(point => point[0]));
  const x = epoch => left + (width - left - 12) * (epoch - 1) / Math.max(1, last - 1);
  const y = value => 10 + (height - bottom - 20) * (1 - (value - low) / ((high - low) || 1));
  make(svg, "text", digits(high), { x: 0, y: y(high) + 4 });
  if (high > low) make(svg, "text", digits(low), { x: 0, y: y(low) + 4 });
  make(svg, "text", "epoch 1", { x: left, y: height - 4 });
  if (last > 1) make(svg, "text", last, { x: width - 12, y: height - 4, "text-anchor": "end" });
  for (const curve of [...curves].sort((a, b) => a.best - b.best)) {
    const line = curve.points.filter(point => point[1] !== null).map(([epoch, value]) => `${x(epoch)},${y(value)}`);
    make(svg, "polyline", "", { points: line.join(" "), class: curve.best ? "best" : "" });
  }
}

function rows() {
  const wanted = at("filter").value.toLowerCase();
  const found = [...trials.values()].filter(trial => COLUMNS.some(key => String(trial[key]).toLowerCase().includes(wanted)));
  found.sort((a, b) => {
    const one = a[sort], two = b[sort];
    if (one === null || two === null) return (one === null) - (two === null);
    return (one < two ? -1 : one > two ? 1 : 0) * (up ? 1 : -1) * (sort === "value" ? better : 1);
  });
  at("shown").textContent = `${Math.min(found.length, MOST_ROWS)} of ${found.length} shown, ${trials.size} in all`;
  const body = document.createDocumentFragment();
  for (const trial of found.slice(0, MOST_ROWS)) {
    const row = make(body, "tr", "");
    for (const key of COLUMNS) {
      const text = key === "value" ? digits(trial.value) : key === "epoch" ? `${trial.epoch}/${trial.epochs}` : trial[key];
      make(row, "td", text, ["epoch", "value", "seconds"].includes(key) ? { class: "number" } : {});
    }
  }
  at("rows").replaceChildren(body);
}

for (const key of COLUMNS) {
  const head = make(at("heads"), "th", "", { scope: "col" });
  make(head, "button", key).addEventListener("click", () => {
    up = sort === key ? !up : false; sort = key;
    for (const other of at("heads").children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    rows();
  });
}
at("filter").addEventListener("input", rows);
at("runs").addEventListener("change", () => { trials = new Map(); version = 0; follower = ""; rows(); update(); });
at("stop").addEventListener("click", async () => {
  const name = at("runs").value;
  if (!confirm(`Stop ${name}? Trials write a checkpoint; tune resume continues them.`)) return;
  try {
    await ask(`stop/${encodeURIComponent(name)}`, { method: "POST" });
    at("said").textContent = "the sweep will stop at the end of the current epoch";
  } catch (error) { at("said").textContent = error.message; }
});
(async () => { for (;;) { await update(); await new Promise(resolve => setTimeout(resolve, 1000)); } })();
