// One WebSocket per page: `{topic, id}` from the server says that something changed, and what shows it asks again:
// <div data-live="incidents alerts" [data-live-id="7"] [data-live-every="2000"] hx-get=… hx-trigger="refresh, …">
// What a person has just done says it by the DOM event `live` with the same detail (HX-Trigger of the answer).
const PAUSE_MS = 250;
const EVERY_MS = 1_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const SILENCE_MS = 50_000; // two heartbeats and a half
const HINT_AFTER_MS = 4_000;
const SIGNED_OUT = 4401;
const REACH_CHANGED = 4403;

// What somebody types or chooses in the middle of a live element is theirs: a morph leaves <… data-kept> as it is.
if (window.Idiomorph) window.Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) => !old.matches?.("[data-kept]");

let socket = null;
let wait = FIRST_WAIT_MS;
let reconnect = 0;
let silence = 0;
let hint = 0;
let wasOpen = false;

// A swap of the whole element puts another in its place: what has an id is known by it, whoever bears it now.
const waiting = { byId: new Map(), byElement: new WeakMap() };
const asked = { byId: new Map(), byElement: new WeakMap() };
const kept = (table, element) => (element.id ? table.byId : table.byElement);
const key = (element) => element.id || element;

/* One request for many hints: the first waits for its neighbours, later ones until the element has had its rest, and
   the last is never lost (htmx's own throttle drops it). Who has just pressed does not wait for the rest. */
function refreshSoon(element, isPressed = false) {
  const timers = kept(waiting, element);
  if (timers.has(key(element)) && !isPressed) return;
  const before = kept(asked, element).get(key(element)) ?? -Infinity;
  const rest = Number(element.dataset.liveEvery ?? EVERY_MS) - (performance.now() - before);
  clearTimeout(timers.get(key(element)));
  timers.set(key(element), setTimeout(refresh, isPressed ? 0 : Math.max(PAUSE_MS, rest), element));
}

function refresh(element) {
  kept(waiting, element).delete(key(element));
  const there = element.isConnected ? element : element.id && document.getElementById(element.id);
  if (!there?.isConnected) return;
  kept(asked, there).set(key(there), performance.now());
  there.dispatchEvent(new CustomEvent("refresh")); // not for the live element around it
}

export function refreshAll(topic, id, isPressed = false) {
  for (const element of document.querySelectorAll(`[data-live~="${CSS.escape(topic)}"]`)) {
    if (!element.dataset.liveId || !id || element.dataset.liveId === String(id)) refreshSoon(element, isPressed);
  }
}

document.addEventListener("live", (event) => refreshAll(event.detail.topic, event.detail.id, true));

function connect() {
  clearTimeout(reconnect);
  if (socket) return;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws/live/`);
  socket.addEventListener("open", opened);
  socket.addEventListener("message", heard);
  socket.addEventListener("close", closed);
  listen();
}

function opened() {
  wait = FIRST_WAIT_MS;
  clearTimeout(hint);
  hint = 0;
  document.body.classList.remove("is-offline");
  document.documentElement.dataset.live = "on";
  // What happened while nobody listened is not told again: ask for everything once.
  if (wasOpen) for (const element of document.querySelectorAll("[data-live]")) refreshSoon(element);
  wasOpen = true;
}

function heard(event) {
  listen();
  const { topic, id } = JSON.parse(event.data);
  if (topic !== "ping") refreshAll(topic, id);
}

function closed(event) {
  socket = null;
  clearTimeout(silence);
  document.documentElement.dataset.live = "off";
  if (event.code === SIGNED_OUT && wasOpen) {
    document.body.classList.add("is-offline");
    return; // signed out elsewhere: the next click leads to the sign-in page
  }
  if (!hint) hint = setTimeout(() => document.body.classList.add("is-offline"), HINT_AFTER_MS);
  const pause = event.code === REACH_CHANGED ? 0 : wait * (0.75 + Math.random() / 2);
  wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  reconnect = setTimeout(connect, pause);
}

// A connection that died without a word (laptop asleep, network gone) is told by its silence.
function listen() {
  clearTimeout(silence);
  silence = setTimeout(() => socket?.close(), SILENCE_MS);
}

function again() {
  wait = FIRST_WAIT_MS;
  if (!socket) connect();
}

window.addEventListener("online", again);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && again());
window.addEventListener("pagehide", () => {
  clearTimeout(reconnect);
  if (!socket) return;
  socket.removeEventListener("close", closed);
  socket.close();
  socket = null;
});
window.addEventListener("pageshow", (event) => event.persisted && again());
connect();
