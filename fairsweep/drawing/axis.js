// Numbers and tick places of an axis, for the charts of a report and of the live page.
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
