// The page of a recording: the player, the list of commands that jumps, search in what was shown, speed and pauses.
import { Pieces, Tape, parsed } from "./recording-driver.js";

const THEME_KEY = "rdmp.player.theme";
const SPEED_KEY = "rdmp.player.speed";
const IDLE_KEY = "rdmp.player.idle";
const TEXT_AT_ONCE = 400_000;
const ESCAPES = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_k][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;

const page = document.querySelector("[data-recording]");
const say = (name) => page.dataset[name];

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

export function paint(player, choose) {
  const box = () => player.el.querySelector(".ap-player");
  const put = (name) => {
    for (const other of [...box().classList]) if (other.startsWith("asciinema-player-theme-")) box().classList.remove(other);
    box().classList.add(`asciinema-player-theme-${name}`);
  };
  const kept = localStorage.getItem(THEME_KEY);
  if (kept && [...choose.options].some((option) => option.value === kept)) choose.value = kept;
  put(choose.value);
  choose.addEventListener("change", () => {
    localStorage.setItem(THEME_KEY, choose.value);
    put(choose.value);
  });
}

function remember(element, key, use) {
  const kept = localStorage.getItem(key);
  if (kept !== null && [...element.options].some((option) => option.value === kept)) element.value = kept;
  use(Number(element.value));
  element.addEventListener("change", () => {
    localStorage.setItem(key, element.value);
    use(Number(element.value));
  });
}

function sorry() {
  page.querySelector("[data-sorry]").hidden = false;
}

async function main() {
  const pieces = await Pieces.open(say("base"), say("token"));
  const seek = pieces.index.hasTerminal ? withTerminal(pieces) : asText(pieces);
  listen(seek, pieces);
}

function withTerminal(pieces) {
  const tape = new Tape(pieces);
  tape.onFailed = sorry;
  const start = Math.min(Number(say("start")) || 0, pieces.index.duration);
  const box = page.querySelector("[data-player]");
  const player = window.AsciinemaPlayer.create(tape.source, box, { fit: "both", controls: true, theme: "asciinema" });
  paint(player, page.querySelector("[data-player-theme]"));
  remember(page.querySelector("[data-speed]"), SPEED_KEY, (speed) => tape.setSpeed(speed));
  remember(page.querySelector("[data-idle]"), IDLE_KEY, (seconds) => tape.setIdleLimit(seconds));
  player.seek(start || pieces.index.markers[0]?.[0] || 0);
  setInterval(() => mark(tape.now()), 500);
  page.tape = tape; // for whoever looks into it from outside
  return async (time, { isStill = false } = {}) => {
    if (!isStill) {
      await player.seek(Math.max(0, time - 0.05));
      await player.play();
      return;
    }
    if (tape.isPlaying) await player.pause();
    await player.seek(time + 0.001); // moments come rounded to it
  };
}

/* Without a terminal there is nothing to play: what was said, standard error marked, as much as somebody wants to read. */
function asText(pieces) {
  const box = page.querySelector("[data-text]");
  const more = page.querySelector("[data-more]");
  page.querySelector("[data-player]").hidden = true;
  box.closest("[data-text-card]").hidden = false;
  for (const tool of page.querySelectorAll("[data-terminal-only]")) tool.hidden = true;
  let next = 0;
  let last = Promise.resolve();
  const queue = (work) => (last = last.then(work, work)); // one reads at a time, whoever asks
  const read = async () => {
    more.hidden = true;
    let length = 0;
    while (next < pieces.all.length && length < TEXT_AT_ONCE) {
      const part = document.createElement("span");
      part.dataset.piece = pieces.all[next].first;
      for (const [time, code, text] of await pieces.rows(next)) {
        if (code !== "o" && code !== "e") continue;
        const shown = document.createElement("span");
        shown.dataset.at = time;
        if (code === "e") shown.className = "text-danger";
        shown.textContent = text.replace(ESCAPES, "").replaceAll("\r\n", "\n");
        length += text.length;
        part.append(shown);
      }
      box.append(part);
      next += 1;
    }
    more.hidden = next >= pieces.all.length;
    page.querySelector("[data-nothing]").hidden = Boolean(box.textContent) || !more.hidden;
  };
  more.addEventListener("click", () => queue(read).catch(sorry));
  queue(read).catch(sorry);
  return async (time) => {
    await queue(async () => {
      while (next < pieces.all.length && pieces.all[next].first <= time) await read();
    });
    const found = [...box.querySelectorAll("[data-at]")].findLast((one) => Number(one.dataset.at) <= time + 0.001);
    found?.scrollIntoView({ block: "center" });
    found?.classList.add("is-found");
    setTimeout(() => found?.classList.remove("is-found"), 2000);
  };
}

function mark(time) {
  let current = null;
  for (const command of page.querySelectorAll("[data-seek]:not([data-hit])")) {
    if (Number(command.dataset.seek) <= time + 0.2) current = command;
    command.removeAttribute("aria-current");
  }
  current?.setAttribute("aria-current", "true");
}

function listen(seek, pieces) {
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-seek]");
    if (!target) return;
    event.preventDefault();
    seek(Number(target.dataset.seek), { isStill: "hit" in target.dataset }).catch(sorry); // what was searched stays on the screen
  });
  if (Number(say("start")) > 0 && !pieces.index.hasTerminal) seek(Number(say("start"))).catch(sorry);
  const form = page.querySelector("[data-search-text]");
  const hits = page.querySelector("[data-hits]");
  const state = page.querySelector("[data-search-state]");
  let asking = 0;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new FormData(form).get("text").trim();
    const mine = (asking += 1);
    hits.replaceChildren();
    state.textContent = "";
    if (!query) return;
    let from = 1;
    let count = 0;
    try {
      while (from !== null && mine === asking && count < 500) {
        state.textContent = `${say("wordSearching")} ${Math.round((100 * (from - 1)) / pieces.all.length)} %`;
        const found = await pieces.search(query, from);
        if (mine !== asking) return;
        for (const hit of found.hits) hits.append(line(hit));
        count += found.hits.length;
        from = found.next;
      }
      state.textContent = count ? `${count}${from === null ? "" : "+"}` : say("wordNothing");
    } catch {
      sorry();
    }
  });
}

function line({ at, before, found, after }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "list-group-item list-group-item-action py-1 d-flex gap-2";
  button.dataset.seek = at;
  button.dataset.hit = "";
  const time = document.createElement("span");
  time.className = "tabular text-secondary small";
  time.textContent = clock(at);
  const text = document.createElement("code");
  text.className = "break-anywhere";
  const marked = document.createElement("mark");
  marked.textContent = found;
  text.append(before, marked, after);
  button.append(time, text);
  return button;
}

export { parsed };
if (page) main().catch(sorry);
