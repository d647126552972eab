// Legends, charts, and when charts are drawn.
function swatch(button, layer) {
  const canvas = element("canvas", "", button), context = canvas.getContext("2d");
  const ratio = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [26 * ratio, 12 * ratio];
  const paint = () => {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, 26, 12);
    context.strokeStyle = context.fillStyle = colour(layer.colour);
    context.lineWidth = layer.width ?? 1.8;
    const line = ["line", "band", "steps", "curves", "means", "rules", "intervals"].includes(layer.kind);
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

// A chart is drawn when it is scrolled near the window, and redrawn when the theme changes.
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
