// The board and the incident's page: mark what is new, count in the title, and ring if wanted. Focus and selection stay:
// what live.js asks for again is morphed in.
import { refreshAll } from "./live.js";

const SOUND_KEY = "rdmp.board.sound";

document.addEventListener("countdown:late", () => refreshAll("incidents"));

/* --- new cards, title, sound ---------------------------------------------------------- */
const board = document.getElementById("board");
const plainTitle = document.title;
let known = new Set();

const cards = () => [...(board?.querySelectorAll("[data-incident]") ?? [])];
const isUrgent = (card) => card.dataset.state === "open";

function soundIsOn() {
  return localStorage.getItem(SOUND_KEY) === "on";
}

let audio = null;
function ring() {
  try {
    audio ??= new AudioContext();
    const start = audio.currentTime;
    for (const [at, pitch] of [[0, 880], [0.18, 1175]]) {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.0001, start + at);
      volume.gain.exponentialRampToValueAtTime(0.2, start + at + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, start + at + 0.3);
      tone.connect(volume).connect(audio.destination);
      tone.start(start + at);
      tone.stop(start + at + 0.32);
    }
  } catch {
    // A browser without sound: the card and the title still tell.
  }
}

function count() {
  const open = cards().filter(isUrgent).length;
  document.title = open ? `(${open}) ${plainTitle}` : plainTitle;
}

function welcome() {
  let rings = false;
  for (const card of cards()) {
    // A card that must be seen again (reopened, worse alarm) counts as new.
    const key = `${card.id}:${isUrgent(card)}`;
    if (known.has(key) || (!isUrgent(card) && known.has(`${card.id}:true`))) continue;
    card.classList.add("is-new");
    card.addEventListener("animationend", () => card.classList.remove("is-new"), { once: true });
    rings ||= isUrgent(card);
  }
  if (rings && soundIsOn()) ring();
  remember();
  count();
}

function remember() {
  known = new Set(cards().map((card) => `${card.id}:${isUrgent(card)}`));
}

if (board) {
  remember();
  count();
  board.addEventListener("htmx:afterSettle", welcome);
  const button = document.querySelector("[data-sound]");
  const show = () => {
    button.setAttribute("aria-pressed", String(soundIsOn()));
    button.querySelector(".ti").className = `ti icon ${soundIsOn() ? "ti-volume" : "ti-volume-off"}`;
  };
  button?.addEventListener("click", () => {
    localStorage.setItem(SOUND_KEY, soundIsOn() ? "off" : "on");
    if (soundIsOn()) ring();
    show();
  });
  if (button) show();
}

/* When the focused card leaves the board, the one that took its place gets the focus. */
let focusedAt = -1;
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target === board) focusedAt = cards().indexOf(document.activeElement?.closest("[data-incident]"));
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target !== board || focusedAt < 0 || document.querySelector("dialog[open]")) return;
  if (cards().includes(document.activeElement?.closest("[data-incident]"))) return;
  const all = cards();
  all[Math.min(focusedAt, all.length - 1)]?.focus({ preventScroll: true });
});

/* --- the dialog of a verb --------------------------------------------------------------- */
const dialog = document.getElementById("press-dialog");
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "press-body" || !dialog) return;
  if (!dialog.open) dialog.showModal();
  dialog.querySelector(".is-invalid, textarea, select, input:not([type=hidden])")?.focus();
});
document.addEventListener("press:done", () => dialog?.open && dialog.close());
dialog?.addEventListener("close", () => document.getElementById("press-body").replaceChildren());
