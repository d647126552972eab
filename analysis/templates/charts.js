// Draws the charts of the page: pointing at a mark names it, dragging zooms, a double click goes
// back. What a chart shows comes as JSON from analysis/figures/chart.py; nothing is computed here.
const page = JSON.parse(document.getElementById("page").textContent);
const root = document.documentElement;
const charts = [];

const unpack = packed => {
  const text = atob(packed.f32 ?? packed.i16), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return packed.f32 === undefined ? new Float32Array(new Int16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
};
const element = (tag, name, parent, text = "") => {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  parent?.append(made);
  return made;
};

// Colours: those that the page changes with its theme stand for variables of its style sheet.
const probe = element("i", "", document.body);
probe.hidden = true;
const themed = {};
const readTheme = () => {
  stops = isDark() ? page.colours.slice(4) : page.colours;
  for (const [hex, variable] of Object.entries(page.theme)) {
    probe.style.color = variable;
    themed[hex] = getComputedStyle(probe).color;
  }
};
const colour = hex => themed[hex] ?? hex ?? themed[page.blue];
// On a dark page the scale begins where its colours stand out.
const isDark = () => {
  const scheme = getComputedStyle(root).colorScheme;
  return scheme === "dark" || (scheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
};
let stops = page.colours;
const shade = share => {
  const at = Math.max(0, Math.min(1, share)) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2), part = at - low;
  return stops[low].map((value, i) => Math.round(value + part * (stops[low + 1][i] - value)));
};
const rgb = parts => `rgb(${parts.join(",")})`;
const inkOn = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue > 127 ? "#000" : "#fff";

const tell = value => {
  const size = Math.abs(value);
  if (!isFinite(value)) return "–";
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(4)} M`;
  return size && size < 1e-3 ? `${+value.toPrecision(3)}` : (+value.toPrecision(5)).toLocaleString("en");
};

function ticks(axis, [low, high], room) {
  if (axis.names) return axis.names.map((_, i) => i).filter(i => i >= low && i <= high);
  const found = [];
  if (axis.log) {
    const wide = high - low > 4, few = high - low < 0.4;
    for (let power = Math.floor(low); power <= high; power++)
      for (const digit of wide ? [1] : few ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : [1, 2, 5]) {
        const at = power + Math.log10(digit);
        if (at >= low && at <= high) found.push(at);
      }
    return found;
  }
  const least = (high - low) / room, power = 10 ** Math.floor(Math.log10(least));
  let step = power * [1, 2, 5, 10].find(factor => factor * power >= least);
  if (axis.whole) step = Math.max(1, Math.round(step));
  for (let i = Math.ceil(low / step); i * step <= high; i++) found.push(+(i * step).toPrecision(12));
  return found;
}

function mark(context, marker, x, y, radius) {
  const line = (...points) => points.forEach(([dx, dy], i) =>
    context[i ? "lineTo" : "moveTo"](x + dx * radius, y + dy * radius));
  if (marker === "s") context.rect(x - 0.9 * radius, y - 0.9 * radius, 1.8 * radius, 1.8 * radius);
  else if (marker === "^") line([0, -1.15], [1.1, 0.9], [-1.1, 0.9], [0, -1.15]);
  else if (marker === "v") line([0, 1.15], [1.1, -0.9], [-1.1, -0.9], [0, 1.15]);
  else if (marker === "D") line([0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0], [0, -1.25]);
  else if (marker === "X") { line([-1, -1], [1, 1]); line([-1, 1], [1, -1]); }
  else if (marker === "P") { line([-1.1, 0], [1.1, 0]); line([0, -1.1], [0, 1.1]); }
  else if (marker === "|") line([0, -1.1], [0, 1.1]);
  else { context.moveTo(x + radius, y); context.arc(x, y, radius, 0, 7); }
}
const OPEN = "XP|";
const DASHES = { "--": [6, 3], "-.": [6, 3, 1.5, 3], ":": [2, 3] };
const dashes = dash => Array.isArray(dash) ? dash[1] : DASHES[dash] ?? [];

// One canvas to draw on, one above it for what the pointer does, and a tip.
class View {
  constructor(host, height, label) {
    this.host = element("div", "panel", host);
    this.host.style.height = `${height}px`;
    [this.base, this.over] = ["base", "over"].map(name => element("canvas", name, this.host));
    this.base.setAttribute("role", "img");
    this.base.setAttribute("aria-label", label);
    this.tip = element("div", "tip", this.host);
    this.tip.hidden = true;
    this.over.addEventListener("pointermove", event => this.pointed(event));
    this.over.addEventListener("pointerleave", () => this.left());
    this.over.addEventListener("pointerdown", event => this.pressed(event));
    this.over.addEventListener("pointerup", event => this.released(event));
    this.over.addEventListener("dblclick", () => this.reset());
  }
  at(event) {
    const box = this.over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
  size() {
    const ratio = devicePixelRatio || 1;
    this.width = this.host.clientWidth;
    this.height = this.host.clientHeight;
    for (const canvas of [this.base, this.over]) {
      canvas.width = this.width * ratio;
      canvas.height = this.height * ratio;
      const context = canvas.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    }
    return this.base.getContext("2d");
  }
  clear() {
    const context = this.over.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    return context;
  }
  say(x, y, heading, lines) {
    this.tip.replaceChildren();
    if (heading) element("b", "", this.tip, heading);
    lines.forEach(line => element("span", "", this.tip, line));
    this.tip.hidden = false;
    const right = x + 14 + this.tip.offsetWidth < this.width;
    this.tip.style.left = `${right ? x + 14 : Math.max(0, x - 14 - this.tip.offsetWidth)}px`;
    this.tip.style.top = `${Math.max(0, Math.min(y + 10, this.height - this.tip.offsetHeight))}px`;
  }
  left() { if (!this.start) { this.clear(); this.tip.hidden = true; } }
  pressed(event) {
    if (event.pointerType === "touch") return this.pointed(event);
    this.start = this.at(event);
    this.over.setPointerCapture(event.pointerId);
  }
}

// A pair of axes.
class Panel extends View {
  constructor(host, panel, height, title, hidden) {
    super(host, height, [title, panel.y.label, panel.x.label].filter(Boolean).join(", "));
    this.panel = panel;
    for (const axis of [panel.x, panel.y]) axis.label ??= "";
    this.hidden = hidden;
    this.moved = { x: panel.x.log ? Math.log10 : Number, y: panel.y.log ? Math.log10 : Number };
    this.layers = panel.layers.map(layer => {
      const read = {};
      for (const [name, value] of Object.entries(layer)) read[name] = value?.f32 !== undefined || value?.i16 !== undefined ? unpack(value) : value;
      read.px = panel.x.log ? read.x.map(Math.log10) : read.x;
      read.py = panel.y.log ? read.y.map(Math.log10) : read.y;
      return read;
    });
    this.full = { x: this.range("x"), y: this.range("y") };
    this.view = { ...this.full };
  }
  range(which) {
    const axis = this.panel[which];
    let [low, high] = axis.limits?.map(this.moved[which]) ?? [Infinity, -Infinity];
    if (axis.names) [low, high] = [-0.5, axis.names.length - 0.5];
    if (low > high) {
      for (const layer of this.layers) {
        if (layer.kind === "rules" && which === "y") continue;
        const whiskers = (which === "x") === (layer.kind === "intervals") ? [layer.low, layer.high] : [];
        for (const values of [layer[`p${which}`], ...whiskers.filter(Boolean)])
          for (const value of values) if (isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
      }
      const margin = 0.04 * (high - low) || 0.5;
      [low, high] = [low - margin, high + margin];
    }
    return [low, high];
  }
  x(value) { const [low, high] = this.view.x; return this.box.x + (value - low) / (high - low) * this.box.w; }
  y(value) {
    const [low, high] = this.view.y, share = (value - low) / (high - low);
    return this.box.y + (this.panel.y.reversed ? share : 1 - share) * this.box.h;
  }
  text(which, at) {
    const axis = this.panel[which];
    return axis.names ? axis.names[Math.round(at)] ?? "" : tell(axis.log ? 10 ** at : at);
  }
  draw() {
    const context = this.size();
    if (!this.width) return;
    this.frame(context);
    context.save();
    context.beginPath();
    context.rect(this.box.x, this.box.y - 4, this.box.w + 4, this.box.h + 8);
    context.clip();
    for (const layer of this.layers) if (!this.hidden.has(layer.label)) this[layer.kind](context, layer);
    context.restore();
  }
  frame(context) {
    const wide = text => Math.max(...text.split("\n").map(line => context.measureText(line).width));
    const down = ticks(this.panel.y, this.view.y, 6).map(at => [at, this.text("y", at)]);
    const left = 26 + Math.min(0.4 * this.width, Math.max(0, ...down.map(([, text]) => wide(text))));
    const w = this.width - left - 12;
    let across = ticks(this.panel.x, this.view.x, Math.max(2, Math.min(8, w / 70))).map(at => [at, this.text("x", at)]);
    for (let every = 1; this.panel.x.log && across.length > 2 && across.length * (wide("0.00001") + 8) > w; every++)
      across = every === 1 ? across.filter(([at]) => Math.abs(at - Math.round(at)) < 1e-6) : across.filter((_, i) => i % 2 === 0);
    const widest = Math.max(0, ...across.map(([, text]) => wide(text)));
    const turned = widest > w / Math.max(1, across.length) - 4 && this.panel.x.names;
    const lines = Math.max(1, ...across.map(([, text]) => text.split("\n").length));
    const below = (turned ? Math.min(110, widest * 0.72 + 12) : 15 * lines + 4) + (this.panel.x.label ? 20 : 4);
    this.box = { x: left, y: 8, w, h: this.height - 8 - below };
    const { box } = this, cells = this.layers.some(layer => layer.kind === "cells");
    context.strokeStyle = colour(page.rule);
    context.fillStyle = colour(page.ink);
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const [at, text] of down) {
      const y = this.y(at);
      if (!cells) this.stroke(context, [[box.x, y], [box.x + box.w, y]]);
      context.fillText(this.shorten(context, text, left - 26), box.x - 6, y);
    }
    for (const [at, text] of across) this.below(context, this.x(at), text, turned, cells);
    context.strokeStyle = colour(page.muted);
    if (!cells) this.stroke(context, [[box.x, box.y], [box.x, box.y + box.h], [box.x + box.w, box.y + box.h]]);
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(this.shorten(context, this.panel.x.label, this.width - 8), Math.max(box.x + box.w / 2, wide(this.panel.x.label) / 2 + 4), this.height - 1);
    context.save();
    context.translate(11, box.y + box.h / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.fillText(this.shorten(context, this.panel.y.label, this.height - 8), 0, 0);
    context.restore();
  }
  below(context, x, text, turned, cells) {
    const { box } = this, y = box.y + box.h;
    if (!cells && !this.panel.x.names) this.stroke(context, [[x, box.y], [x, y]]);
    context.save();
    context.translate(x, y + 6);
    context.textAlign = turned ? "right" : "center";
    context.textBaseline = turned ? "middle" : "top";
    if (turned) context.rotate(-Math.PI / 4);
    if (turned) context.fillText(this.shorten(context, text.replace("\n", " "), 130), 0, 4);
    else text.split("\n").forEach((line, i) => context.fillText(line, 0, 15 * i));
    context.restore();
  }
  shorten(context, text, room) {
    while (text.length > 3 && context.measureText(text).width > room) text = `${text.slice(0, -2)}…`;
    return text;
  }
  stroke(context, points) {
    context.beginPath();
    points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x, y));
    context.stroke();
  }
  begin(context, layer, width = 1.6) {
    context.strokeStyle = context.fillStyle = colour(layer.colour);
    context.lineWidth = width;
    context.globalAlpha = layer.alpha ?? 1;
    context.setLineDash([]);
  }
  points(context, layer) {
    this.begin(context, layer, 1.4);
    this.whiskers(context, layer);
    if (!layer.marker) return;
    const radius = (layer.size ?? 5) * 0.62 * (layer.x.length > 1000 ? 0.7 : 1);
    for (let i = 0; i < layer.x.length; i++) {
      context.beginPath();
      mark(context, layer.marker, this.x(layer.px[i]), this.y(layer.py[i]), radius);
      const own = layer.values && rgb(shade(this.share(layer.values[i])));
      context.fillStyle = own ?? colour(layer.hollow ? page.paper : layer.colour);
      if (own) context.strokeStyle = colour(page.muted);
      context.lineWidth = own ? 0.5 : 1.4;
      if (!OPEN.includes(layer.marker)) context.fill();
      context.stroke();
    }
  }
  whiskers(context, layer, along = false) {
    if (!layer.low) return;
    for (let i = 0; i < layer.x.length; i++) {
      const ends = [layer.low[i], layer.high[i]];
      const x = this.x(layer.px[i]), y = this.y(layer.py[i]);
      if (ends.every(isFinite))
        this.stroke(context, along ? ends.map(end => [this.x(end), y]) : ends.map(end => [x, this.y(end)]));
    }
  }
  line(context, layer) {
    this.begin(context, layer, 1.8);
    context.setLineDash(dashes(layer.dash));
    const points = [];
    for (let i = 0; i < layer.x.length; i++) {
      if (layer.kind === "steps" && i) points.push([this.x(layer.px[i]), this.y(layer.py[i - 1])]);
      points.push([this.x(layer.px[i]), this.y(layer.py[i])]);
    }
    this.stroke(context, points);
    this.points(context, layer);
  }
  steps(context, layer) { this.line(context, layer); }
  means(context, layer) {
    this.begin(context, layer, 2.4);
    for (let i = 0; i < layer.x.length; i++) {
      const y = this.y(layer.py[i]);
      this.stroke(context, [[this.x(layer.px[i] - 0.33), y], [this.x(layer.px[i] + 0.33), y]]);
    }
    context.lineWidth = 1.4;
    this.whiskers(context, layer);
  }
  intervals(context, layer) {
    this.begin(context, layer, 1.8);
    this.whiskers(context, layer, true);
    this.points(context, { ...layer, low: null });
  }
  rules(context, layer) {
    this.begin(context, layer, 1);
    context.setLineDash([2, 3]);
    for (const x of layer.px) this.stroke(context, [[this.x(x), this.box.y], [this.x(x), this.box.y + this.box.h]]);
  }
  curve(context, layer, from, to) {
    context.beginPath();
    for (let i = from; i < to; i++) context[i > from ? "lineTo" : "moveTo"](this.x(layer.px[i]), this.y(layer.py[i]));
    context.stroke();
  }
  curves(context, layer) {
    const { starts } = layer, many = starts.length > 400;
    this.begin(context, layer, many ? 0.8 : 1.4);
    context.globalAlpha = many ? Math.max(0.02, 80 / starts.length) : layer.alpha ?? 1;
    if (!many) context.setLineDash(dashes(layer.dash));
    for (let k = 0; k < starts.length; k++) this.curve(context, layer, starts[k], starts[k + 1] ?? layer.x.length);
    if (!layer.marker) return;
    context.setLineDash([]);
    context.globalAlpha = many ? Math.max(0.1, 200 / starts.length) : 1;
    for (let k = 0; k < starts.length; k++) {
      const end = (starts[k + 1] ?? layer.x.length) - 1;
      context.beginPath();
      mark(context, layer.marker, this.x(layer.px[end]), this.y(layer.py[end]), many ? 1.8 : 3);
      if (!OPEN.includes(layer.marker)) context.fill();
      else context.stroke();
    }
  }
  cells(context, layer) {
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let i = 0; i < layer.x.length; i++) {
      const [x, y] = [this.x(layer.x[i] - 0.5), this.y(layer.y[i] + 0.5)];
      const [w, h] = [this.x(layer.x[i] + 0.5) - x, this.y(layer.y[i] - 0.5) - y];
      const parts = shade(this.share(layer.values[i]));
      context.fillStyle = rgb(parts);
      context.fillRect(x, y, w + 0.5, h + 0.5);
      const lines = layer.texts[i].split("\n");
      if (w < 44 || h < 18 * lines.length) continue;
      context.fillStyle = inkOn(parts);
      lines.forEach((line, k) => context.fillText(line, x + w / 2, y + h / 2 + 15 * (k - (lines.length - 1) / 2)));
    }
  }
  share(value) {
    const [low, high] = this.panel.value_limits;
    return (value - low) / (high - low);
  }
  nearest(x, y) {
    let best = { distance: 16 ** 2 };
    for (const layer of this.layers) {
      if (layer.kind === "rules" || this.hidden.has(layer.label)) continue;
      for (let i = 0; i < layer.px.length; i++) {
        const dx = this.x(layer.px[i]) - x, dy = this.y(layer.py[i]) - y;
        const inside = layer.kind === "cells" && Math.abs(dx) <= this.x(1) / 2 - this.x(0) / 2 && Math.abs(dy) <= (this.y(0) - this.y(1)) / 2;
        const distance = inside ? 0 : layer.kind === "cells" ? Infinity : dx * dx + dy * dy;
        if (distance < best.distance) best = { distance, layer, i };
      }
    }
    return best;
  }
  pointed(event) {
    const [x, y] = this.at(event), context = this.clear();
    if (this.start) {
      context.strokeStyle = colour(page.ink);
      context.setLineDash([4, 3]);
      context.strokeRect(this.start[0], this.start[1], x - this.start[0], y - this.start[1]);
      this.tip.hidden = true;
      return;
    }
    const { layer, i } = this.nearest(x, y);
    this.tip.hidden = !layer;
    if (layer) this.show(context, layer, i);
  }
  show(context, layer, i) {
    const x = this.x(layer.px[i]), y = this.y(layer.py[i]);
    const k = layer.starts ? layer.starts.findLastIndex(start => start <= i) : i;
    context.strokeStyle = colour(page.ink);
    context.setLineDash([]);
    context.lineWidth = 2;
    if (layer.kind === "curves") {
      this.curve(context, layer, layer.starts[k], layer.starts[k + 1] ?? layer.x.length);
    }
    if (layer.kind !== "cells") {
      context.beginPath();
      context.arc(x, y, 6, 0, 7);
      context.stroke();
    }
    const heading = layer.trials ? page.trials[layer.trials[k]] : layer.texts?.[i]?.replace("\n", ", ");
    this.say(x, y, heading ?? layer.label, this.facts(layer, i));
  }
  facts(layer, i) {
    const { panel } = this, told = which => panel[which].names
      ? panel[which].names[Math.round(layer[which][i])]?.split("\n")[0] : tell(layer[which][i]);
    const span = layer.low && isFinite(layer.low[i]) ? ` (${tell(layer.low[i])} to ${tell(layer.high[i])})` : "";
    const along = layer.kind === "intervals";
    const lines = ["x", "y"].filter(which => panel[which].label && told(which) !== undefined).map(which =>
      `${panel[which].label}: ${told(which)}${(which === "x") === along ? span : ""}`);
    if (layer.values && layer.kind !== "cells") lines.push(`${panel.value_label}: ${tell(layer.values[i])}`);
    return lines;
  }
  released(event) {
    if (!this.start) return;
    const [x0, y0] = this.start, [x1, y1] = this.at(event), { box } = this;
    this.start = null;
    this.clear();
    if (Math.abs(x1 - x0) < 6 && Math.abs(y1 - y0) < 6) return;
    const clip = share => Math.max(0, Math.min(1, share));
    const part = (which, shares) => {
      const [low, high] = this.view[which], [a, b] = shares.map(clip).sort((p, q) => p - q);
      return b - a > 0.01 ? [low + a * (high - low), low + b * (high - low)] : [low, high];
    };
    const down = [y0, y1].map(y => (y - box.y) / box.h);
    this.view = {
      x: part("x", [x0, x1].map(x => (x - box.x) / box.w)),
      y: part("y", this.panel.y.reversed ? down : down.map(share => 1 - share)),
    };
    this.host.dataset.zoomed = "yes";
    this.draw();
  }
  reset() {
    this.view = { ...this.full };
    delete this.host.dataset.zoomed;
    this.clear();
    this.draw();
  }
}

// Parallel coordinates: dragging along an axis keeps the trials inside, a double click all of them.
class Parallel extends View {
  constructor(host, chart, height, title) {
    super(host, height, `${title}: ${chart.labels.join(", ")}`);
    this.chart = chart;
    this.places = unpack(chart.places);
    this.values = unpack(chart.values);
    this.trials = unpack(chart.trials);
    this.order = [...this.values.keys()].sort((a, b) => this.values[a] - this.values[b]);
    this.kept = chart.labels.map(() => null);
  }
  get side() { return Math.min(80, this.width / this.chart.labels.length / 2); }
  x(axis) { return this.side + axis * (this.width - 2 * this.side) / (this.chart.labels.length - 1); }
  y(place) { return 52 + (1 - place) * (this.height - 72); }
  place(row, axis) { return this.places[row * this.chart.labels.length + axis]; }
  inside(row) {
    return this.kept.every((span, axis) => !span || (this.place(row, axis) >= span[0] && this.place(row, axis) <= span[1]));
  }
  path(context, row) {
    let pen = false;
    context.beginPath();
    this.chart.labels.forEach((_, axis) => {
      const place = this.place(row, axis);
      if (isFinite(place)) context[pen ? "lineTo" : "moveTo"](this.x(axis), this.y(place));
      pen = isFinite(place);
    });
    context.stroke();
  }
  draw() {
    const context = this.size(), many = this.order.length > 400;
    if (!this.width) return;
    const [low, high] = this.chart.value_limits;
    context.lineWidth = many ? 0.8 : 1.5;
    for (const chosen of [false, true])
      for (const row of this.order) {
        if (this.inside(row) !== chosen) continue;
        context.globalAlpha = chosen ? (many ? 0.45 : 0.9) : 0.15;
        context.strokeStyle = chosen ? rgb(shade((this.values[row] - low) / (high - low))) : colour(page.muted);
        this.path(context, row);
      }
    context.globalAlpha = 1;
    this.chart.labels.forEach((label, axis) => this.axis(context, label, axis));
  }
  axis(context, label, axis) {
    const x = this.x(axis);
    context.strokeStyle = colour(page.muted);
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, this.y(0));
    context.lineTo(x, this.y(1));
    context.stroke();
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const [place, text] of this.chart.ticks[axis]) {
      const wide = context.measureText(text).width;
      context.fillStyle = colour(page.paper);
      context.fillRect(x - wide / 2 - 4, this.y(place) - 9, wide + 8, 18);
      context.fillStyle = colour(page.ink);
      context.fillText(text, x, this.y(place));
    }
    const room = Math.min(2 * this.side, this.x(1) - this.x(0)) - 6, lines = [""];
    for (const word of label.split(" ")) {
      const longer = `${lines.at(-1)} ${word}`.trim();
      if (context.measureText(longer).width > room && lines.at(-1)) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    lines.slice(0, 3).forEach((line, i) => context.fillText(line, x, 10 + 13 * i));
    if (!this.kept[axis]) return;
    const [low, high] = this.kept[axis];
    context.fillStyle = colour(page.blue);
    context.globalAlpha = 0.25;
    context.fillRect(x - 8, this.y(high), 16, this.y(low) - this.y(high));
    context.globalAlpha = 1;
  }
  nearest(x, y) {
    const last = this.chart.labels.length - 1;
    const axis = Math.max(0, Math.min(last - 1, Math.floor((x - this.x(0)) / (this.x(1) - this.x(0)))));
    const part = (x - this.x(axis)) / (this.x(1) - this.x(0));
    let best = { distance: 12 };
    for (const row of this.order) {
      const at = this.y(this.place(row, axis) * (1 - part) + this.place(row, axis + 1) * part);
      const distance = Math.abs(at - y);
      if (distance <= best.distance && this.inside(row)) best = { distance, row };
    }
    return best;
  }
  pointed(event) {
    const [x, y] = this.at(event), context = this.clear();
    if (this.start) return;
    const { row } = this.nearest(x, y);
    this.tip.hidden = row === undefined;
    if (row === undefined) return;
    context.strokeStyle = colour(page.ink);
    context.lineWidth = 2.5;
    this.path(context, row);
    this.say(x, y, page.trials[this.trials[row]], [`${this.chart.value_label}: ${tell(this.values[row])}`]);
  }
  released(event) {
    if (!this.start) return;
    const [x0, y0] = this.start, [, y1] = this.at(event);
    this.start = null;
    const axis = Math.round((x0 - this.x(0)) / (this.x(1) - this.x(0)));
    const place = y => 1 - (y - 52) / (this.height - 72);
    if (Math.abs(y1 - y0) < 6 || Math.abs(this.x(axis) - x0) > 30) return;
    this.kept[axis] = [place(y0), place(y1)].sort((a, b) => a - b);
    this.host.dataset.zoomed = "yes";
    this.draw();
  }
  reset() {
    this.kept = this.kept.map(() => null);
    delete this.host.dataset.zoomed;
    this.clear();
    this.draw();
  }
}

function swatch(button, layer) {
  const canvas = element("canvas", "", button), context = canvas.getContext("2d");
  const ratio = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [26 * ratio, 12 * ratio];
  const paint = () => {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, 26, 12);
    context.strokeStyle = context.fillStyle = colour(layer.colour);
    context.lineWidth = 1.8;
    const line = ["line", "steps", "curves", "means", "rules", "intervals"].includes(layer.kind);
    context.setLineDash(layer.kind === "rules" ? [2, 3] : dashes(layer.dash));
    context.beginPath();
    if (line) { context.moveTo(0, 6); context.lineTo(26, 6); context.stroke(); }
    if (!layer.marker || layer.kind === "means" || layer.kind === "rules") return;
    context.setLineDash([]);
    context.beginPath();
    mark(context, layer.marker, 13, 6, 4);
    context.fillStyle = colour(layer.hollow ? page.paper : layer.colour);
    if (!OPEN.includes(layer.marker)) context.fill();
    context.stroke();
  };
  element("span", "", button, layer.label);
  paint();
  return paint;
}

class Chart {
  constructor(host) {
    const chart = JSON.parse(host.querySelector("script").textContent), title = host.dataset.title;
    this.hidden = new Set();
    this.legend = element("div", "legend", host);
    const grid = element("div", "panels", host), height = Math.round(chart.panel_size?.[1] * 96) || 340;
    this.swatches = [];
    if (chart.labels) {
      this.views = [new Parallel(grid, chart, 340, title)];
      this.scale(chart);
    } else {
      grid.style.setProperty("--least", `${chart.panel_size[0] * 68}px`);
      if (chart.panels.length === 1) grid.style.maxWidth = `${chart.panel_size[0] * 130}px`;
      this.legends(chart);
      this.views = chart.panels.map(panel => new Panel(grid, panel, height, title, this.hidden));
    }
    this.back = element("button", "back", this.legend, "show all again");
    this.back.onclick = () => this.views.forEach(view => view.reset());
    new ResizeObserver(() => this.draw()).observe(grid);
  }
  legends(chart) {
    if (chart.legend_title) element("span", "", this.legend, `${chart.legend_title}:`);
    const seen = new Set();
    for (const layer of chart.panels.flatMap(panel => panel.layers)) {
      if (!layer.label || seen.has(layer.label)) continue;
      seen.add(layer.label);
      const button = element("button", "", this.legend);
      button.setAttribute("aria-pressed", "true");
      this.swatches.push(swatch(button, layer));
      button.onclick = () => {
        const shown = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", shown);
        this.hidden[shown ? "delete" : "add"](layer.label);
        this.draw();
      };
    }
    const coloured = chart.panels.find(panel => panel.value_label && !panel.layers.some(layer => layer.kind === "cells"));
    if (coloured) this.scale(coloured);
  }
  scale({ value_label, value_limits }) {
    const bar = element("span", "scale", this.legend);
    element("span", "", bar, `${value_label}: ${tell(value_limits[0])}`);
    const strip = element("i", "", bar);
    this.swatches.push(() => { strip.style.background = `linear-gradient(90deg, ${stops.map(rgb)})`; });
    element("span", "", bar, tell(value_limits[1]));
  }
  draw() {
    this.swatches.forEach(paint => paint());
    this.views.forEach(view => view.draw());
  }
}

// A chart is made when it comes near the window, and again with other colours when they change.
const make = host => {
  if (host.made) return;
  host.made = true;
  charts.push(new Chart(host));
  charts.at(-1).draw();
  host.dataset.drawn = "yes";
};
const redraw = () => { readTheme(); charts.forEach(chart => chart.draw()); };
readTheme();
const watch = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting)
  .forEach(entry => { watch.unobserve(entry.target); make(entry.target); }), { rootMargin: "600px" });
document.querySelectorAll(".chart").forEach(host => watch.observe(host));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.getElementById("theme").onclick = () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  redraw();
};
let theme;
addEventListener("beforeprint", () => {
  theme = root.dataset.theme;
  root.dataset.theme = "light";
  document.querySelectorAll(".chart").forEach(make);
  redraw();
});
addEventListener("afterprint", () => {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  redraw();
});
