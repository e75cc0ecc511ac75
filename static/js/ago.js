// Relative times (<time data-ago datetime="…">) stay true while a page is open.
import { now } from "./clock.js";

const format = new Intl.RelativeTimeFormat(document.documentElement.lang || "zh-Hans", { numeric: "auto", style: "short" });
const STEPS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

function text(then) {
  const seconds = (then - now()) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return format.format(Math.abs(seconds) < 10 ? 0 : Math.trunc(seconds), "second");
}

function paint() {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const then = Date.parse(element.dateTime);
    // Long past: the date itself says more than "37 days ago".
    if (Number.isNaN(then) || Math.abs(then - now()) > 14 * 86400e3) continue;
    const words = text(then);
    if (element.textContent !== words) element.textContent = words;
  }
}

document.addEventListener("htmx:load", paint);
document.addEventListener("visibilitychange", paint);
setInterval(paint, 15000);
paint();
