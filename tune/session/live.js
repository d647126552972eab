"use strict";
// Asks once a second what is new in the chosen run. All text of a run goes through textContent.
const MOST_FAILED = 20;
const LIST_MILLISECONDS = 5000;
let follower = "", version = 0, asked = "", latest = null, held = false, drawn = "", nextList = 0;

async function ask(place, options) {
  const answer = await fetch(place, options), found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

// Of all runs, the page shows the one that was chosen, or at first one that is running.
async function listRuns() {
  if (performance.now() < nextList) return;
  nextList = performance.now() + LIST_MILLISECONDS;
  const runs = await ask("runs"), now = JSON.stringify(runs), shown = at("runs").value;
  if (now === asked) return;
  asked = now;
  at("runs").replaceChildren();
  for (const { name, running } of runs) make(at("runs"), "option", running ? `${name} (running)` : name, { value: name });
  const kept = runs.find(({ name }) => name === shown) ?? runs.find(({ running }) => running) ?? runs[0];
  if (kept) at("runs").value = kept.name;
  if (kept?.name !== shown) forget();
}

function forget() {
  trials = new Map(); version = 0; follower = chosen = drawn = ""; first = 0; latest = null;
  at("failed").replaceChildren();
  say("reading the ledger …", true);
}

async function update() {
  try {
    await listRuns();
    const name = at("runs").value;
    if (!name) { say("there are no runs yet"); return; }
    const trial = chosen ? `&trial=${encodeURIComponent(chosen)}` : "";
    const news = await ask(`run/${encodeURIComponent(name)}?since=${version}${trial}`);
    while (held) await pause(50); // A button that is replaced while it is pressed hears no click.
    if (name !== at("runs").value) return;
    if (news.follower !== follower) { trials = new Map(); follower = news.follower; }
    for (const one of news.trials) trials.set(one.id, one);
    version = news.version; better = news.sign;
    const isFirst = latest === null;
    latest = news;
    show(name);
    if (news.trials.length || isFirst) rows();
    document.body.dataset.version = version;
    if (at("said").hasAttribute("data-until-news")) say("");
  } catch (error) {
    say(error.message, true);
  }
}

// The next news replace a text that is said until then.
function say(text, untilNews = false) {
  at("said").textContent = text;
  at("said").toggleAttribute("data-until-news", untilNews);
}

function show(name) {
  const { status, curves, lines, metric, rungs } = latest;
  at("name").textContent = document.title = name;
  at("stop").disabled = !status.running || latest.asked.includes("stop");
  at("stop").textContent = latest.asked.includes("stop") ? "the sweep is stopping" : "stop the sweep";
  const state = status.finished ? "finished" : status.running ? "running" : status.silence ? "silent" : "stopped";
  if (at("state").textContent !== state) say(""); // What was asked has been done.
  at("state").textContent = at("state").dataset.state = state;
  at("silence").textContent = status.silence;
  at("silence").hidden = !status.silence;
  tiles(status, metric);
  at("curves_title").textContent = `Learning curves: ${metric}`;
  draw(curves, rungs);
  showChosen();
  showRungs(rungs);
  showNodes();
  showFailed();
  if (at("lines").textContent !== lines.join("\n")) at("lines").textContent = lines.join("\n");
}

const hours = value => value < 1 ? `${+(60 * value).toFixed(1)} min` : `${+value.toFixed(1)} h`;
const spell = seconds => seconds < 90 ? `${Math.round(seconds)} s` : hours(seconds / 3600);

function tiles(status, metric) {
  const { best, trials: counts, budget } = status, inAll = Object.values(counts).reduce((a, b) => a + b, 0);
  const shown = [[best ? digits(best.value) : "–", `${metric} of the incumbent`], [best ? best.name : "–", "incumbent, the best configuration so far"]];
  const planned = status.expected_trials;
  const open = ["PENDING", "RUNNING", "PAUSED", "INTERRUPTED"];
  const ended = inAll - open.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  shown.push([`${ended.toLocaleString("en")} of ${planned.toLocaleString("en")}`, "trials ended", ended / planned]);
  shown.push([(counts.RUNNING ?? 0).toLocaleString("en"), "trials running"]);
  if (status.seconds_left !== null) shown.push([spell(status.seconds_left), "left, as estimated"]);
  for (const [unit, { spent, limit }] of Object.entries(budget)) {
    const device = unit === "device_hours" ? "device time" : "time";
    if (limit === null) shown.push([hours(spent), `${device} used, no limit`]);
    else shown.push([`${hours(spent)} of ${hours(limit)}`, `${device} used, ${hours(Math.max(0, limit - spent))} left`, spent / limit]);
  }
  at("tiles").replaceChildren();
  for (const [value, label, share] of shown) {
    const tile = make(at("tiles"), "div", "", { class: "tile" });
    make(tile, "b", value); make(tile, "span", label);
    if (typeof share === "number") make(tile, "progress", "", { max: 1, value: Math.min(1, share), "aria-label": label });
  }
}

function choose(id) {
  chosen = id === chosen ? "" : id;
  rows();
  if (latest) show(at("runs").value);
  update();
}

const setting = value => value === null ? "none" : typeof value === "number" ? String(+value.toPrecision(4)) : String(value);

function showChosen() {
  const part = at("chosen"), trial = trials.get(chosen), focused = document.activeElement?.id;
  const now = JSON.stringify([trial, latest.chosen, latest.asked, latest.status.running]);
  if (now === drawn) return;
  drawn = now;
  part.hidden = !trial;
  part.replaceChildren();
  if (!trial) return;
  make(part, "h3", trial.trial);
  make(part, "div", `${words(trial.status)} at epoch ${trial.epoch} of ${trial.epochs}; ${latest.metric} ${digits(trial.value)}`);
  if (trial.reason) make(part, "div", trial.reason, { class: "muted" });
  if (latest.chosen?.id === chosen) {
    const list = make(part, "dl");
    for (const [name, value] of Object.entries(latest.chosen.searched)) {
      const pair = make(list, "div");
      make(pair, "dt", name); make(pair, "dd", setting(value));
    }
  }
  const bar = make(part, "div", "", { class: "bar" });
  const open = ["PENDING", "RUNNING", "PAUSED"].includes(trial.status), running = latest.status.running;
  if (open && running) request(bar, "stop", trial, "stop this trial", "this trial is stopping");
  if (trial.status === "FAILED" && running) request(bar, "retry", trial, "train it again", "it will be trained again");
  make(bar, "button", "close", { id: "close" }).addEventListener("click", () => choose(chosen));
  if (focused && part.querySelector(`#${CSS.escape(focused)}`)) at(focused).focus({ preventScroll: true });
}

// A button that asks the driver for something about a trial, or says that this was asked.
function request(parent, what, trial, words, done) {
  const pending = latest.asked.includes(`${what}-${trial.id}`) || (what === "retry" && latest.asked.includes("retry"));
  const button = make(parent, "button", pending ? done : words, { id: `${what}-${trial.id}` });
  button.disabled = pending;
  button.addEventListener("click", () => {
    if (what === "stop" && !confirm(`Stop ${trial.trial}? It ends with this epoch and is not trained further.`)) return;
    send(what, trial.id, what === "stop" ? "the trial ends with its current epoch" : "the sweep will train it again");
  });
}

async function send(what, trial, words) {
  const one = trial ? `?trial=${encodeURIComponent(trial)}` : "";
  try {
    await ask(`${what}/${encodeURIComponent(at("runs").value)}${one}`, { method: "POST" });
    say(words);
    update();
  } catch (error) { say(error.message, true); }
}

function showRungs(rungs) {
  at("rungs_part").hidden = !rungs.length;
  at("rungs").replaceChildren();
  const most = Math.max(1, ...rungs.map(rung => rung.reached));
  for (const { first, last, reached, stopped } of rungs) {
    const row = make(at("rungs"), "tr");
    make(row, "td", first === last ? first : `${first} to ${last}`);
    make(row, "td", reached.toLocaleString("en"), { class: "number" });
    make(row, "td", stopped.toLocaleString("en"), { class: "number" });
    const bar = make(make(row, "td", "", { class: "bars" }), "i");
    bar.style.width = `${100 * reached / most}%`;
    bar.style.setProperty("--kept", `${100 * (1 - stopped / Math.max(1, reached))}%`);
  }
}

const size = bytes => `${+(bytes / 2 ** 30).toFixed(1)}`;
const percent = share => typeof share === "number" ? `${Math.round(share)} %` : "not known";
const memory = ([used, total] = []) => typeof used === "number" && total ? `${size(used)} of ${size(total)} GiB` : "not known";

function showNodes() {
  const { nodes, status } = latest;
  at("nodes").replaceChildren();
  const add = (name, running, use, space, when) => {
    const row = make(at("nodes"), "tr");
    make(row, "td", name); make(row, "td", running, { class: "number" });
    for (const text of [use, space, when]) make(row, "td", text);
  };
  for (const { name, devices, use } of nodes) {
    const all = Object.values(devices).reduce((a, b) => a + b, 0);
    const when = use ? use.age < 60 ? "now" : `${spell(use.age)} ago` : "–";
    add(name, all, use ? `CPU ${percent(use.cpu_percent)}` : "not known", memory(use?.memory), when);
    // What no program tells of is at least in the ledger.
    if (!use?.gpus.length)
      for (const [device, count] of Object.entries(devices))
        if (device !== "cpu") add(`– ${device}`, count, "not known", "not known", "–");
    for (const gpu of use?.gpus ?? [])
      add(`– GPU ${gpu.index}, ${gpu.name}`, "", percent(gpu.percent), memory(gpu.memory), when);
  }
  if (!nodes.length) add("no node has reported yet", "", "", "", "");
  at("lost").textContent = status.lost_nodes.length ? `Lost nodes: ${status.lost_nodes.join(", ")}` : "";
}

function showFailed() {
  const failed = [...trials.values()].filter(trial => trial.status === "FAILED"), { running } = latest.status;
  at("failed_part").hidden = !failed.length;
  at("failed_title").textContent = `Failed trials (${failed.length.toLocaleString("en")})`;
  at("retry").hidden = !running;
  at("retry").disabled = latest.asked.includes("retry");
  at("retry").textContent = latest.asked.includes("retry") ? "they will be trained again" : "train all failed trials again";
  at("command").hidden = running;
  at("command").firstChild.textContent = latest.retry;
  at("failed_more").textContent = failed.length > MOST_FAILED
    ? `${(failed.length - MOST_FAILED).toLocaleString("en")} more are not shown here; they are in the table of trials.` : "";
  const known = new Map([...at("failed").children].map(one => [one.dataset.of, one]));
  const wanted = failed.slice(0, MOST_FAILED);
  for (const [id, one] of known) if (!wanted.some(trial => trial.id === id)) one.remove();
  for (const trial of wanted) if (!known.has(trial.id)) fold(trial);
}

function fold(trial) {
  const one = make(at("failed"), "details", "", { "data-of": trial.id });
  const reason = trial.reason.replace(/ \(all of it in errors\/[^)]*\)/, "");
  make(one, "summary", `${trial.trial}, epoch ${trial.epoch}: ${reason}`);
  const text = make(one, "pre", "…", { tabindex: 0 });
  const bar = make(one, "div", "", { class: "bar" });
  make(bar, "button", "show its curve").addEventListener("click", () => {
    if (chosen !== trial.id) choose(trial.id);
    at("chosen").scrollIntoView({ block: "nearest" });
  });
  one.addEventListener("toggle", async () => {
    if (!one.open) return;
    try {
      const found = await ask(`errors/${encodeURIComponent(at("runs").value)}?trial=${encodeURIComponent(trial.id)}`);
      text.textContent = found.text || "no traceback was kept";
    } catch (error) { text.textContent = error.message; }
  });
}

at("command").lastElementChild.addEventListener("click", async () => {
  await navigator.clipboard.writeText(latest.retry);
  say("copied");
});
at("retry").addEventListener("click", () => send("retry", "", "the sweep will train them again"));
at("runs").addEventListener("change", () => {
  forget();
  rows();
  update();
});
at("stop").addEventListener("click", () => {
  const name = at("runs").value;
  if (confirm(`Stop ${name}? Trials write a checkpoint; tune resume continues them.`))
    send("stop", "", "the sweep will stop at the end of the current epoch");
});
addEventListener("resize", () => { if (latest) draw(latest.curves, latest.rungs); });
const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));
addEventListener("pointerdown", () => { held = true; });
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => setTimeout(() => { held = false; }));
(async () => { for (;;) { await update(); await pause(1000); } })();
