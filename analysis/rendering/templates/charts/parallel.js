// Parallel coordinates: dragging along an axis selects the trials in that range; a double click
// selects all trials again.
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
