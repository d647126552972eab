// Draws the charts of the page: hovering over a mark names it, dragging zooms, a double click
// resets the zoom. Charts come as JSON from analysis/drawing/chart.py; no statistics happen here.
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

// Colours that follow the theme are looked up in the CSS variables of the page.
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
// On a dark page the colour scale skips its darkest colours, which would be hard to see.
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
