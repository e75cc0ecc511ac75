// Looking on while it happens: rows come over a WebSocket in order, the player draws them.
import { keyframe, parsed, size } from "./recording-driver.js";
import { paint } from "./replay.js";

const page = document.querySelector("[data-watch]");
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const FINAL = { 4401: "wordSignedOut", 4403: "wordMayNot", 4404: "wordMayNot", 4410: "wordOver" };
const SILENCE_MS = 45_000;

function main() {
  let dispatch = null;
  let socket = null;
  let wait = FIRST_WAIT_MS;
  let awaitsScreen = true;
  let silence = 0;
  const state = page.querySelector("[data-watch-state]");
  const tell = (name, tone) => {
    state.textContent = page.dataset[name];
    state.className = `badge bg-${tone}-lt`;
    page.dataset.state = name.slice("word".length).toLowerCase();
  };

  function listen() {
    clearTimeout(silence);
    silence = setTimeout(() => socket?.close(), SILENCE_MS);
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}${page.dataset.watch}`);
    socket.addEventListener("message", (event) => {
      listen();
      if (event.data[0] === "{") said(JSON.parse(event.data));
      else for (const row of parsed(event.data)) show(row);
    });
    socket.addEventListener("close", (event) => {
      clearTimeout(silence);
      if (FINAL[event.code]) {
        tell(FINAL[event.code], event.code === 4410 ? "secondary" : "danger");
        dispatch("ended", {});
        page.querySelector("[data-over]").hidden = event.code !== 4410;
        return;
      }
      tell("wordAgain", "warning");
      setTimeout(connect, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    });
    listen();
  }

  function said({ kind, bytes }) {
    if (kind === "begin") {
      wait = FIRST_WAIT_MS;
      awaitsScreen = true;
      tell("wordLive", "green");
    } else if (kind === "skipped") {
      awaitsScreen = true;
      page.querySelector("[data-skipped]").hidden = false;
      page.querySelector("[data-skipped-bytes]").textContent = `${Math.ceil(bytes / 1024)} KB`;
    }
  }

  function show([, code, text]) {
    if (code === "k" && awaitsScreen) {
      dispatch("reset", keyframe(text));
      awaitsScreen = false;
    } else if (code === "o" || code === "e") {
      if (awaitsScreen) dispatch("reset", { size: size(page.dataset.size) });
      awaitsScreen = false;
      dispatch("output", page.dataset.isPlain ? text.replace(/\r?\n/g, "\r\n") : text);
    } else if (code === "r") {
      dispatch("resize", size(text));
    } else if (code === "i") {
      dispatch("input", { data: text });
    }
  }

  const source = (callbacks) => {
    dispatch = callbacks.dispatch;
    return {
      init: () => {},
      play: () => {
        dispatch("play");
        dispatch("playing");
        if (!socket) connect();
        return true;
      },
      stop: () => socket?.close(),
    };
  };
  const box = page.querySelector("[data-player]");
  const player = window.AsciinemaPlayer.create(source, box, { fit: "both", controls: "auto", autoPlay: true });
  paint(player, page.querySelector("[data-player-theme]"));
}

if (page) main();
