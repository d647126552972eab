// Sorts a table by the column whose heading is clicked, and filters its rows by the search words.
// A long table keeps its rows in a JSON script element and adds them to the page on scrolling.
const STEP = 100;
const number = text => parseFloat(text.replaceAll(",", "").replace("−", "-"));
const missing = text => text === "–" || text === "";

for (const box of document.querySelectorAll(".table")) {
  const body = box.querySelector("tbody"), heads = [...box.querySelectorAll("th")];
  const field = box.querySelector("input"), count = box.querySelector("output");
  const right = heads.map(head => head.classList.contains("right"));
  let all = null, chosen = [];

  const read = () => {
    const script = box.querySelector("script");
    all ??= script ? JSON.parse(script.textContent)
      : [...body.rows].map(row => [...row.cells].map(cell => cell.textContent));
    return all;
  };
  const build = texts => {
    const row = document.createElement("tr");
    texts.forEach((text, place) => {
      const cell = row.insertCell();
      cell.textContent = text;
      if (right[place]) cell.className = "right";
    });
    return row;
  };
  const show = () => {
    const words = (field?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const place = heads.findIndex(head => head.ariaSort);
    chosen = read().filter(texts => {
      const content = texts.join(" ").toLowerCase();
      return words.every(word => content.includes(word));
    });
    if (place >= 0) {
      const sign = heads[place].ariaSort === "ascending" ? 1 : -1;
      const compare = right[place] ? (a, b) => number(a) - number(b) : (a, b) => a.localeCompare(b);
      chosen.sort((a, b) => missing(a[place]) - missing(b[place])
        || sign * (compare(a[place], b[place]) || 0));
    }
    body.replaceChildren(...chosen.slice(0, STEP).map(build));
    if (count) count.textContent = `${chosen.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} rows`;
  };

  heads.forEach(head => head.querySelector("button").onclick = () => {
    const up = head.ariaSort !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    show();
  });
  field?.addEventListener("input", show);
  const scroller = box.querySelector(".scroll");
  scroller.addEventListener("scroll", () => {
    if (scroller.scrollTop + scroller.clientHeight < scroller.scrollHeight - 400) return;
    if (!chosen.length) chosen = read().slice();
    body.append(...chosen.slice(body.rows.length, body.rows.length + STEP).map(build));
  });
}
