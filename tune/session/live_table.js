"use strict";
// The table of trials: sorts, filters by state and by words, and shows a page of rows at a time.
const COLUMNS = ["trial", "status", "epoch", "value", "seconds", "where", "config", "reason"];
const NUMBERS = ["epoch", "value", "seconds"];
const LONG = ["config", "reason"];
const HEADS = { config: "hyperparameters" };
const ROWS = 50;
const words = status => status.toLowerCase().replaceAll("_", " ");
const digits = value => value === null ? "–" : value.toFixed(4);
let trials = new Map(), chosen = "", better = 1, sort = "value", up = false, sorted = false, first = 0;
const states = new Set();

function cell(trial, key) {
  if (key === "value") return digits(trial.value);
  if (key === "epoch") return `${trial.epoch}/${trial.epochs}`;
  if (key === "seconds") return tell(Math.round(trial.seconds));
  return key === "status" ? words(trial.status) : trial[key];
}

function matching() {
  const wanted = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...trials.values()].filter(trial => {
    if (states.size && !states.has(trial.status)) return false;
    trial.text ??= COLUMNS.map(key => cell(trial, key)).join(" ").toLowerCase();
    return wanted.every(word => trial.text.includes(word));
  });
  const sign = up ? 1 : -1;
  return found.sort((a, b) => {
    const one = a[sort], two = b[sort];
    if (one === null || two === null) return (one === null) - (two === null);
    return (one < two ? -1 : one > two ? 1 : 0) * sign;
  });
}

function rows() {
  if (!sorted) up = better < 0; // The best come first.
  const found = matching();
  first = Math.max(0, Math.min(first, ROWS * Math.floor((found.length - 1) / ROWS)));
  const shown = found.slice(first, first + ROWS);
  const span = shown.length ? `${(first + 1).toLocaleString("en")} to ${(first + shown.length).toLocaleString("en")} of ` : "";
  at("shown").textContent = `${span}${found.length.toLocaleString("en")} trials` +
    (found.length < trials.size ? `; ${(trials.size - found.length).toLocaleString("en")} others do not match` : "");
  at("before").disabled = first === 0;
  at("after").disabled = first + ROWS >= found.length;
  for (const head of at("heads").children) {
    if (head.dataset.key === sort) head.setAttribute("aria-sort", up ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
  const focused = document.activeElement?.dataset.trial, body = document.createDocumentFragment();
  for (const trial of shown) {
    const row = make(body, "tr", "", trial.id === chosen ? { "aria-current": "true" } : {});
    for (const key of COLUMNS) {
      const place = make(row, "td", "", NUMBERS.includes(key) ? { class: "number" } : {});
      if (key === "trial") make(place, "button", trial.trial, { "data-trial": trial.id });
      else if (LONG.includes(key)) make(place, "span", trial[key], { class: "clamp" });
      else place.textContent = cell(trial, key);
    }
  }
  at("rows").replaceChildren(body);
  // Rows are made anew, so the keyboard's place in the table is found again.
  if (focused) at("rows").querySelector(`[data-trial="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  filters();
}

function filters() {
  const counts = new Map();
  for (const { status } of trials.values()) counts.set(status, (counts.get(status) ?? 0) + 1);
  for (const status of states) if (!counts.has(status)) counts.set(status, 0);
  const known = new Map([...at("states").children].map(button => [button.dataset.status, button]));
  for (const [status, button] of known) if (!counts.has(status)) button.remove();
  for (const status of [...counts.keys()].sort()) {
    const button = known.get(status) ?? make(at("states"), "button", "", { "data-status": status });
    button.textContent = `${words(status)} ${counts.get(status).toLocaleString("en")}`;
    button.setAttribute("aria-pressed", states.has(status));
  }
}

for (const key of COLUMNS) {
  const head = make(at("heads"), "th", "", { scope: "col", "data-key": key });
  if (NUMBERS.includes(key)) head.className = "number";
  make(head, "button", HEADS[key] ?? key).addEventListener("click", () => {
    const usual = key === "value" ? better < 0 : !NUMBERS.includes(key);
    up = sort === key ? !up : usual;
    sort = key; sorted = true; first = 0;
    rows();
  });
}
at("filter").addEventListener("input", () => { first = 0; rows(); });
at("before").addEventListener("click", () => { first -= ROWS; rows(); });
at("after").addEventListener("click", () => { first += ROWS; rows(); });
at("states").addEventListener("click", ({ target }) => {
  if (!target.dataset.status) return;
  states[states.has(target.dataset.status) ? "delete" : "add"](target.dataset.status);
  first = 0;
  rows();
});
at("rows").addEventListener("click", ({ target }) => { if (target.dataset.trial) choose(target.dataset.trial); });
