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
    if (!this.panel.x.names) across = this.apart(across, w, wide);
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
  // The ticks whose texts do not touch; on a logarithmic axis, rounder ones have precedence.
  apart(across, w, wide) {
    const [low, high] = this.view.x, kept = [];
    const rank = ([at]) => [1, 5, 2].indexOf(Math.round(10 ** (at - Math.floor(at + 1e-9))));
    const order = this.panel.x.log ? [...across].sort((a, b) => (rank(a) + 4) % 4 - (rank(b) + 4) % 4) : across;
    for (const [at, text] of order) {
      const x = (at - low) / (high - low) * w, half = wide(text) / 2 + 5;
      if (kept.every(one => Math.abs(one.x - x) >= one.half + half)) kept.push({ x, half, at, text });
    }
    return kept.sort((a, b) => a.x - b.x).map(({ at, text }) => [at, text]);
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
    this.begin(context, layer, layer.width ?? 1.8);
    context.setLineDash(dashes(layer.dash));
    const points = [];
    for (let i = 0; i < layer.x.length; i++) {
      if (layer.kind === "steps" && i) points.push([this.x(layer.px[i]), this.y(layer.py[i - 1])]);
      points.push([this.x(layer.px[i]), this.y(layer.py[i])]);
    }
    this.stroke(context, points);
    this.points(context, layer);
  }
  band(context, layer) {
    const count = layer.x.length, last = count - 1;
    if (layer.low) {
      this.begin(context, layer);
      context.globalAlpha = 0.2;
      context.beginPath();
      for (let i = 0; i < 2 * count; i++) {
        const k = i < count ? i : last - (i - count);
        context[i ? "lineTo" : "moveTo"](this.x(layer.px[k]), this.y((i < count ? layer.low : layer.high)[k]));
      }
      context.fill();
    }
    this.line(context, { ...layer, low: null });
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
      const fits = line => context.measureText(line).width < w - 4;
      const lines = layer.texts[i].split("\n").filter(fits).slice(0, Math.floor(h / 16));
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
    const { panel } = this, position = which => panel[which].names
      ? panel[which].names[Math.round(layer[which][i])]?.split("\n")[0] : tell(layer[which][i]);
    const span = layer.low && isFinite(layer.low[i]) ? ` (${tell(layer.low[i])} to ${tell(layer.high[i])})` : "";
    const along = layer.kind === "intervals";
    const lines = ["x", "y"].filter(which => panel[which].label && position(which) !== undefined).map(which =>
      `${panel[which].label}: ${position(which)}${(which === "x") === along ? span : ""}`);
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
