// One WebSocket per page: `{topic, id}` from the server becomes the DOM event `live:<topic>` on body.
// The hint says only that something changed; fragments then ask the server again.
const TOPICS = [
  "incidents", "alerts", "assets", "targets", "inbox", "deliveries", "announcements", "follow-ups", "reports",
];
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const SILENCE_MS = 50_000; // two heartbeats and a half
const HINT_AFTER_MS = 4_000;
const SIGNED_OUT = 4401;
const REACH_CHANGED = 4403;

let socket = null;
let wait = FIRST_WAIT_MS;
let reconnect = 0;
let silence = 0;
let hint = 0;
let wasOpen = false;

function announce(topic, id) {
  document.body.dispatchEvent(new CustomEvent(`live:${topic}`, { bubbles: true, detail: { id } }));
}

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
  if (wasOpen) for (const topic of TOPICS) announce(topic, 0);
  wasOpen = true;
}

function heard(event) {
  listen();
  const { topic, id } = JSON.parse(event.data);
  if (topic !== "ping") announce(topic, id);
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
