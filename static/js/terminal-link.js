// One WebSocket of the web terminal: bytes in both directions, each with credit, and what the portal says beside them.
export const OUTPUT = 0x6f, INPUT = 0x69, EVENT = 0x6a;
const WINDOW = 256 * 1024;
const LONGEST = 32 * 1024;
const DRAWN_AT = 64 * 1024;
const ALIVE_EVERY_MS = 10_000;
const SILENT = 4000; // to us alone: no answer came, so the network is gone although nobody said so

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function message(kind, payload) {
  const framed = new Uint8Array(5 + payload.length);
  framed[0] = kind;
  new DataView(framed.buffer).setUint32(1, payload.length);
  framed.set(payload, 5);
  return framed;
}

export const event = (said) => message(EVENT, encoder.encode(JSON.stringify(said)));

// Cuts what comes into messages, wherever it was cut on its way.
export class Messages {
  constructor() {
    this.rest = new Uint8Array(0);
  }

  *feed(bytes) {
    let data = bytes;
    if (this.rest.length) {
      data = new Uint8Array(this.rest.length + bytes.length);
      data.set(this.rest);
      data.set(bytes, this.rest.length);
    }
    let at = 0;
    while (data.length - at >= 5) {
      const length = new DataView(data.buffer, data.byteOffset + at).getUint32(1);
      if (data.length - at - 5 < length) break;
      const payload = data.subarray(at + 5, at + 5 + length);
      yield data[at] === EVENT ? { event: JSON.parse(decoder.decode(payload)) } : { output: payload };
      at += 5 + length;
    }
    this.rest = data.slice(at);
  }
}

// `on`: opened(), bytes(data, drawn), said(message), closed(code). `drawn` is called once the bytes are dealt with.
export class Link {
  constructor(hello, on) {
    this.on = on;
    this.credit = WINDOW;
    this.queue = [];
    this.queued = 0;
    this.undrawn = 0;
    this.waiting = [];
    this.isOpen = false;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/ws/terminal/`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.say(hello);
    this.socket.onmessage = ({ data }) => this.hear(data);
    this.socket.onclose = ({ code }) => this.over(code);
    this.alive = setInterval(() => this.askIfAlive(), ALIVE_EVERY_MS);
  }

  // Nothing at all came since it was asked last: a connection that fell silent is closed by nobody.
  askIfAlive() {
    if (this.isAsked) {
      this.socket.onmessage = this.socket.onclose = null;
      this.socket.close();
      this.over(SILENT);
      return;
    }
    this.isAsked = true;
    this.say({ do: "alive" });
  }

  over(code) {
    clearInterval(this.alive);
    this.isOpen = false;
    for (const [, fail] of this.waiting.splice(0)) fail(new Error("closed"));
    this.on.closed?.(code);
  }

  say(said) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(said));
  }

  hear(data) {
    this.isAsked = false;
    if (typeof data !== "string") {
      const size = data.byteLength;
      this.on.bytes?.(new Uint8Array(data), () => this.drawn(size));
      return;
    }
    const said = JSON.parse(data);
    if (said.do === "sent") {
      this.credit += said.bytes;
      this.flush();
    } else if (said.do === "opened") {
      this.isOpen = true;
      this.on.opened?.();
      this.flush();
    } else if (said.do !== "alive") {
      this.on.said?.(said);
    }
  }

  drawn(size) {
    this.undrawn += size;
    if (this.undrawn >= DRAWN_AT) this.tellDrawn();
    else this.later ??= setTimeout(() => this.tellDrawn(), 50);
  }

  tellDrawn() {
    clearTimeout(this.later);
    this.later = null;
    this.say({ do: "drawn", bytes: this.undrawn });
    this.undrawn = 0;
  }

  send(bytes) {
    this.queue.push(bytes);
    this.queued += bytes.length;
    this.flush();
  }

  // Resolves when little waits to be sent; rejects when the connection is gone.
  room() {
    if (this.queued <= WINDOW) return Promise.resolve();
    return new Promise((resolve, reject) => this.waiting.push([resolve, reject]));
  }

  flush() {
    while (this.isOpen && this.queue.length && this.credit > 0) {
      const part = this.queue[0].subarray(0, Math.min(LONGEST, this.credit));
      this.socket.send(part);
      this.credit -= part.length;
      this.queued -= part.length;
      if (part.length === this.queue[0].length) this.queue.shift();
      else this.queue[0] = this.queue[0].subarray(part.length);
    }
    if (this.queued <= WINDOW) for (const [done] of this.waiting.splice(0)) done();
  }

  close() {
    this.socket.close(1000);
  }
}
