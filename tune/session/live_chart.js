"use strict";
// Draws the learning curves. Colours, ticks and numbers are those of a report's charts.
const at = id => document.getElementById(id);

function make(parent, tag, text = "", attributes = {}) {
  const svg = parent instanceof SVGElement;
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  if (text !== "") made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return parent.appendChild(made);
}

const KINDS = [["running", "running", "--live"], ["others", "among the best", "--muted"], ["best", "incumbent", "--accent"], ["chosen", "chosen", "--chosen"]];
const kind = ({ id, best }) => id === chosen ? "chosen" : best ? "best" : trials.get(id)?.status === "RUNNING" ? "running" : "others";

function draw(curves, rungs) {
  const svg = at("curves"), width = svg.clientWidth, height = svg.clientHeight;
  svg.replaceChildren();
  at("legend").replaceChildren();
  const points = curves.flatMap(curve => curve.points).filter(point => point[1] !== null);
  if (!points.length) {
    make(at("legend"), "i", "no epoch has been measured yet");
    return;
  }
  const ys = points.map(point => point[1]), last = Math.max(2, ...points.map(point => point[0]));
  const margin = 0.04 * (Math.max(...ys) - Math.min(...ys)) || 0.05;
  const low = Math.min(...ys) - margin, high = Math.max(...ys) + margin;
  const left = 52, box = { w: width - left - 14, h: height - 44 };
  const x = epoch => left + box.w * (epoch - 1) / (last - 1);
  const y = value => 8 + box.h * (high - value) / (high - low);
  for (const value of ticks({}, [low, high], 6)) {
    make(svg, "line", "", { class: "grid", x1: left, x2: left + box.w, y1: y(value), y2: y(value) });
    make(svg, "text", tell(value), { x: left - 6, y: y(value) + 4, "text-anchor": "end" });
  }
  for (const epoch of ticks({ whole: true }, [1, last], Math.max(2, Math.min(8, box.w / 70)))) {
    if (Number.isInteger(epoch)) make(svg, "text", tell(epoch), { x: x(epoch), y: height - 20, "text-anchor": "middle" });
  }
  make(svg, "text", "epoch", { x: left + box.w / 2, y: height - 3, "text-anchor": "middle" });
  if (rungs.length && rungs.every(({ first, last }) => first === last))
    for (const { first } of rungs)
      if (first <= last) make(svg, "line", "", { class: "rung", x1: x(first), x2: x(first), y1: 8, y2: 8 + box.h });
  const order = KINDS.map(([name]) => name), rank = curve => order.indexOf(kind(curve));
  for (const curve of [...curves].sort((a, b) => rank(a) - rank(b))) {
    const known = curve.points.filter(point => point[1] !== null);
    if (!known.length) continue;
    if (known.length === 1) known.push([known[0][0] + 0.02 * last, known[0][1]]); // Else one epoch is no line.
    const line = make(svg, "polyline", "", {
      points: known.map(([epoch, value]) => `${x(epoch).toFixed(1)},${y(value).toFixed(1)}`).join(" "), class: kind(curve),
    });
    make(line, "title", curve.trial);
    line.addEventListener("click", () => choose(curve.id));
  }
  for (const [name, words, colour] of KINDS)
    if (curves.some(curve => curve.points.length && kind(curve) === name)) make(at("legend"), "span", words).style.setProperty("--of", `var(${colour})`);
}
