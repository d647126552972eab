// A canvas for the chart, a second one above it for pointer feedback, and a tooltip.
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
