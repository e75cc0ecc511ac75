// Live clocks: <span data-countdown data-due-at="ISO"> counts down to the deadline by the server's
// clock, turns amber when little is left, red at the deadline, and counts up from there.
// Optional: data-started-at (amber in the last third), data-stopped-at (frozen), data-breached="1".
import { now } from "./clock.js";

const AMBER_MS = 5 * 60 * 1000;
const words = document.documentElement.dataset;

export function span(milliseconds) {
  const total = Math.floor(Math.abs(milliseconds) / 1000);
  const days = Math.floor(total / 86400);
  const hours = Math.floor((total % 86400) / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const two = (value) => String(value).padStart(2, "0");
  if (days) return `${days} ${words.wordDays || "d"} ${two(hours)}:${two(minutes)}`;
  if (hours) return `${hours}:${two(minutes)}:${two(total % 60)}`;
  return `${two(minutes)}:${two(total % 60)}`;
}

export function stateOf({ due, started, at }) {
  const left = due - at;
  if (left < 0) return "late";
  const amber = started ? Math.min((due - started) / 3, 12 * AMBER_MS) : AMBER_MS;
  return left <= amber ? "soon" : "ok";
}

function write(element, key, value) {
  if (element[key] !== value) element[key] = value;
}

function paint(element) {
  const due = Date.parse(element.dataset.dueAt);
  if (Number.isNaN(due)) return;
  const stopped = Date.parse(element.dataset.stoppedAt || "");
  const started = Date.parse(element.dataset.startedAt || "");
  const at = Number.isNaN(stopped) ? now() : stopped;
  let state = stateOf({ due, started: Number.isNaN(started) ? 0 : started, at });
  if (element.dataset.breached === "1") state = "late";
  if (!Number.isNaN(stopped)) state = state === "late" ? "stopped-late" : "stopped";
  const label = element.querySelector("[data-countdown-label]");
  const figure = element.querySelector("[data-countdown-figure]");
  if (element.dataset.state !== state) {
    const before = element.dataset.state;
    element.dataset.state = state;
    if (before && state === "late") {
      element.dispatchEvent(new CustomEvent("countdown:late", { bubbles: true }));
    }
  }
  if (label) {
    const late = state === "late" || state === "stopped-late";
    write(label, "textContent", late ? words.wordLate : Number.isNaN(stopped) ? words.wordLeft : words.wordSpare);
  }
  if (figure) write(figure, "textContent", span(due - at));
}

function paintAll() {
  for (const element of document.querySelectorAll("[data-countdown]")) paint(element);
}

// One tick for all clocks, on the second of the server's clock, so that they move together.
function tick() {
  if (!document.hidden) paintAll();
  setTimeout(tick, 1000 - (now() % 1000) + 5);
}

document.addEventListener("visibilitychange", paintAll);
document.addEventListener("htmx:load", paintAll);
paintAll();
tick();
