// One session in the web terminal: its screen, its connection, and coming back to it after a lost network.
import { INPUT, Link, Messages, event, message } from "./terminal-link.js";
import { palette } from "./terminal-theme.js";
import { toast } from "./toast.js";

const TRY_AGAIN = new Set(["lost", "gone", "flow", "portal_gone", "node_gone", "node_silent", "offline"]);
const SIGNED_OUT = 4401;
const GIVE_UP_MS = 290_000;
const LONGEST_WAIT_MS = 8_000;
const SCROLLBACK = 20_000;

const encoder = new TextEncoder();
let numbers = 0;

export function filled(text, parts = {}) {
  return (text ?? "").replace(/\{(\w+)\}/g, (all, key) => parts[key] ?? all);
}

export class Session {
  // `hello` is what the portal is asked first; `on`: changed(session), ended(session).
  constructor(hello, words, on, { fontSize }) {
    Object.assign(this, { hello, words, on });
    this.id = `terminal-${++numbers}`;
    this.title = hello.title ?? "";
    this.uid = hello.do === "return" ? hello.session : null;
    this.actions = new Set();
    this.isOwner = hello.do !== "guest";
    this.mayType = true;
    this.state = "connecting";
    this.guests = [];
    this.sticky = { ctrl: false, alt: false };
    this.build(fontSize);
    this.connect(hello);
    this.clock = setInterval(() => this.showStatus(), 1000);
  }

  build(fontSize) {
    this.element = document.createElement("div");
    this.element.className = "web-terminal-pane";
    this.element.id = this.id;
    this.element.setAttribute("role", "tabpanel");
    this.status = document.createElement("div");
    this.status.className = "web-terminal-status";
    this.status.setAttribute("role", "status");
    this.screen = document.createElement("div");
    this.screen.className = "web-terminal-screen";
    this.element.append(this.status, this.screen);
    this.term = new globalThis.Terminal({
      allowProposedApi: true,
      cursorBlink: true,
      fontFamily: "ui-monospace, 'SFMono-Regular', Menlo, Consolas, 'Liberation Mono', 'Noto Sans Mono CJK SC', monospace",
      fontSize,
      scrollback: SCROLLBACK,
      theme: palette(),
      rightClickSelectsWord: false,
    });
    this.fit = new globalThis.FitAddon.FitAddon();
    this.search = new globalThis.SearchAddon.SearchAddon();
    this.term.loadAddon(this.fit);
    this.term.loadAddon(this.search);
    this.term.loadAddon(new globalThis.Unicode11Addon.Unicode11Addon());
    this.term.loadAddon(new globalThis.WebLinksAddon.WebLinksAddon((click, address) => {
      if (click.ctrlKey || click.metaKey) window.open(address, "_blank", "noopener,noreferrer");
    }));
    this.term.unicode.activeVersion = "11";
    this.term.onData((data) => this.type(data));
    this.term.onBinary((data) => this.send(Uint8Array.from(data, (char) => char.charCodeAt(0))));
    this.term.onTitleChange((title) => {
      this.shellTitle = title.slice(0, 80);
      this.on.changed(this);
    });
    this.screen.addEventListener("copy", (copying) => this.guard(copying, "copy", "no_copy"), true);
    this.screen.addEventListener("cut", (copying) => this.guard(copying, "copy", "no_copy"), true);
    this.screen.addEventListener("paste", (pasting) => this.guard(pasting, "paste", "no_paste"), true);
    this.screen.addEventListener("drop", (dropping) => dropping.preventDefault(), true);
  }

  guard(happening, action, key) {
    if (this.actions.has(action)) return;
    happening.preventDefault();
    happening.stopImmediatePropagation();
    toast({ level: "warning", text: this.words[key] });
  }

  // Into the page: a terminal measures its font where it stands.
  show() {
    if (!this.isShown) {
      this.term.open(this.screen);
      this.isShown = true;
      new ResizeObserver(() => this.resize()).observe(this.screen);
    }
    this.resize();
  }

  resize() {
    if (!this.isShown || !this.screen.offsetWidth) return;
    if (!this.isOwner) return;
    const size = this.fit.proposeDimensions();
    if (!size?.cols || !size.rows) return;
    this.term.resize(size.cols, size.rows);
    this.tellSize();
  }

  tellSize() {
    const { cols, rows } = this.term;
    if (this.state !== "open" || this.told === `${cols}x${rows}`) return;
    this.told = `${cols}x${rows}`;
    this.link.send(event({ do: "resize", cols, rows }));
  }

  // --- the connection ---------------------------------------------------------------------------------------------

  connect(hello) {
    this.messages = new Messages();
    this.told = "";
    this.final = null;
    const { title: _, ...asked } = hello;
    this.link?.close();
    const mine = (act) => (...said) => link === this.link && act(...said); // what an older one says counts no more
    const link = new Link({ ...asked, cols: this.term.cols, rows: this.term.rows }, {
      bytes: mine((data, drawn) => this.take(data, drawn)),
      said: mine((said) => this.hear(said)),
      closed: mine((code) => this.closed(code)),
    });
    this.link = link;
    this.set(this.lostAt ? "lost" : "connecting");
  }

  take(data, drawn) {
    let output = false;
    for (const one of this.messages.feed(data)) {
      if (one.event) {
        this.happen(one.event);
      } else {
        output = true;
        this.term.write(one.output);
      }
    }
    if (output) this.term.write("", drawn);
    else drawn();
  }

  happen(said) {
    if (said.event === "open") {
      this.uid = said.session;
      this.isOwner = said.is_owner;
      this.mayType = said.may_type;
      this.resource = said.resource;
      this.lostAt = null;
      this.term.reset();
      if (!this.isOwner) this.term.resize(said.cols, said.rows);
      this.term.options.disableStdin = !this.mayType;
      this.learn(said);
      this.set("open");
      this.resize();
      this.tellSize();
    } else if (said.event === "state") {
      this.learn(said);
    } else if (said.event === "size") {
      this.term.resize(said.cols, said.rows);
    } else if (said.event === "guests") {
      this.guests = said.guests;
      this.showStatus();
    } else if (said.event === "own") {
      this.on.own?.(said, this);
    } else if (said.event === "moved") {
      this.final = this.words.moved;
    } else if (said.event === "end") {
      this.final = said.words || this.words.ended;
      this.isOver = true;
    }
  }

  learn(said) {
    this.actions = new Set(said.actions);
    this.endsAt = said.ends_at;
    this.warnS = said.warn_s;
    this.isLocked = said.locked;
    this.waitsFor = said.waits_for;
    this.account = said.account ?? this.account; // a node that is not upgraded yet says it at the beginning alone
    this.title = [this.account, this.resource].filter(Boolean).join("@");
    this.screen.classList.toggle("is-uncopied", !this.actions.has("copy"));
    this.showStatus();
    this.on.changed(this);
  }

  // Beside the stream: refused before it was opened, or why it was closed; what concerns invitations is the page's.
  hear(said) {
    if (said.do === "refused" || said.do === "over") {
      const mayReturn = this.uid && !this.isOver && TRY_AGAIN.has(said.code);
      if (mayReturn || this.final) return;
      this.final = said.words || this.words[said.code] || this.words[said.do === "over" ? "ended" : "flow"];
      this.isOver = true;
    } else {
      this.on.said?.(said, this);
    }
  }

  closed(code) {
    if (code === SIGNED_OUT) {
      this.final = this.words.signed_out;
      this.isOver = true;
    }
    if (this.final) {
      this.set("ended");
      this.on.ended(this);
      return;
    }
    if (!this.uid || !this.isOwner) {
      this.final = this.words.offline;
      this.set("ended");
      return;
    }
    this.lostAt ??= Date.now();
    if (Date.now() - this.lostAt > GIVE_UP_MS) {
      this.final = this.words.gave_up;
      this.set("ended");
      return;
    }
    this.wait = Math.min((this.wait ?? 250) * 2, LONGEST_WAIT_MS);
    this.set("lost");
    this.retry = setTimeout(() => this.comeBack(), this.wait);
  }

  comeBack() {
    clearTimeout(this.retry);
    this.connect({ do: "return", session: this.uid });
  }

  // After an end: the same session if it may still run, else a new one of the same kind.
  again() {
    const hello = this.isOver || !this.uid ? this.hello : { do: "return", session: this.uid };
    if (this.isOver) this.uid = null;
    this.isOver = false;
    this.lostAt = null;
    this.wait = null;
    this.connect(hello);
  }

  set(state) {
    this.state = state;
    if (state === "open") this.wait = null;
    this.showStatus();
    this.on.changed(this);
  }

  close() {
    clearInterval(this.clock);
    clearTimeout(this.retry);
    this.final = this.words.ended;
    if (this.state === "open") this.link.send(event({ do: "bye" }));
    setTimeout(() => this.link.close(), 300);
    this.term.dispose();
    this.element.remove();
  }

  // --- what is typed ----------------------------------------------------------------------------------------------

  type(data) {
    let typed = data;
    if (typed.length === 1 && this.sticky.ctrl) typed = String.fromCharCode(typed.toUpperCase().charCodeAt(0) & 0x1f);
    if (this.sticky.alt) typed = `\x1b${typed}`;
    if (this.sticky.ctrl || this.sticky.alt) {
      this.sticky = { ctrl: false, alt: false };
      this.on.changed(this);
    }
    this.send(encoder.encode(typed));
  }

  send(bytes) {
    if (this.state !== "open" || !this.mayType) return;
    for (let at = 0; at < bytes.length; at += 32768) this.link.send(message(INPUT, bytes.subarray(at, at + 32768)));
  }

  async copy() {
    if (!this.actions.has("copy")) return toast({ level: "warning", text: this.words.no_copy });
    const text = this.term.getSelection();
    if (text) await navigator.clipboard?.writeText(text);
    return undefined;
  }

  async paste() {
    if (!this.actions.has("paste")) return toast({ level: "warning", text: this.words.no_paste });
    try {
      this.term.paste(await navigator.clipboard.readText());
    } catch {
      toast({ level: "info", text: this.words.no_clipboard });
    }
    this.term.focus();
    return undefined;
  }

  // --- what stands above it ---------------------------------------------------------------------------------------

  showStatus() {
    const lines = [];
    const left = this.endsAt ? this.endsAt - Date.now() / 1000 : null;
    if (this.state === "connecting") lines.push(["info", this.words.connecting]);
    if (this.state === "lost") lines.push(["warning", this.words.reconnecting]);
    if (this.state === "ended") lines.push([this.isOver ? "secondary" : "danger", this.final]);
    if (this.state === "open") {
      if (!this.isOwner) lines.push(["info", this.mayType ? this.words.guest_type : this.words.guest_view]);
      if (this.waitsFor) lines.push(["warning", filled(this.words.waiting, { names: this.waitsFor })]);
      if (this.isLocked) lines.push(["warning", this.words.locked]);
      if (left !== null && left > 0 && left < (this.warnS || 300)) lines.push(["warning", filled(this.words.ends_in, { time: clock(left) })]);
      if (this.guests.length && this.isOwner) lines.push(["info", filled(this.words.guests, { names: this.guests.map((one) => one.name).join(", ") })]);
    }
    const shown = JSON.stringify([this.state, lines]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.status.replaceChildren(...lines.map(([tone, text]) => {
      const line = document.createElement("span");
      line.className = `text-${tone}`;
      line.textContent = text;
      return line;
    }));
    if (this.state === "ended" && !(this.isOver && this.hello.do !== "connect")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "btn btn-sm";
      button.dataset.again = "";
      button.textContent = this.isOver ? this.words.again : this.words.reconnect;
      button.addEventListener("click", () => this.again());
      this.status.append(button);
    }
    this.status.hidden = !lines.length;
    this.element.dataset.state = this.state;
  }
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
