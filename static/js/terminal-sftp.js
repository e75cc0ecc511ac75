// SFTP version 3 (draft-ietf-secsh-filexfer-02) over a link of the web terminal. Requests are sent ahead of their answers.
const INIT = 1, VERSION = 2, OPEN = 3, CLOSE = 4, READ = 5, WRITE = 6, OPENDIR = 11, READDIR = 12, REMOVE = 13, MKDIR = 14;
const RMDIR = 15, REALPATH = 16, STAT = 17, RENAME = 18, STATUS = 101, HANDLE = 102;
const HAS_SIZE = 1, HAS_OWNER = 2, HAS_MODE = 4, HAS_TIMES = 8;
const PART = 32 * 1024;
const AHEAD = 24;
export const READING = 1, WRITING = 0x1a; // write, create, truncate
export const END = 1, GONE = 2, DENIED = 3;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class SftpError extends Error {
  constructor(code, words) {
    super(words);
    this.code = code;
  }
}

class Packet {
  constructor(kind, id) {
    this.bytes = [new Uint8Array([kind])];
    if (id !== undefined) this.u32(id);
  }

  u32(value) {
    const part = new Uint8Array(4);
    new DataView(part.buffer).setUint32(0, value);
    this.bytes.push(part);
    return this;
  }

  u64(value) {
    const part = new Uint8Array(8);
    new DataView(part.buffer).setBigUint64(0, BigInt(value));
    this.bytes.push(part);
    return this;
  }

  string(value) {
    const data = typeof value === "string" ? encoder.encode(value) : value;
    this.u32(data.length);
    this.bytes.push(data);
    return this;
  }

  framed() {
    const length = this.bytes.reduce((sum, part) => sum + part.length, 0);
    const framed = new Uint8Array(4 + length);
    new DataView(framed.buffer).setUint32(0, length);
    let at = 4;
    for (const part of this.bytes) {
      framed.set(part, at);
      at += part.length;
    }
    return framed;
  }
}

class Fields {
  constructor(data) {
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.at = 0;
  }

  u32() {
    this.at += 4;
    return this.view.getUint32(this.at - 4);
  }

  u64() {
    this.at += 8;
    return Number(this.view.getBigUint64(this.at - 8));
  }

  bytes() {
    const length = this.u32();
    this.at += length;
    return this.data.slice(this.at - length, this.at);
  }

  text() {
    return decoder.decode(this.bytes());
  }

  attributes() {
    const flags = this.u32();
    const found = {};
    if (flags & HAS_SIZE) found.size = this.u64();
    if (flags & HAS_OWNER) this.at += 8;
    if (flags & HAS_MODE) found.mode = this.u32();
    if (flags & HAS_TIMES) {
      this.u32();
      found.changed = this.u32();
    }
    if (flags & 0x80000000) for (let left = this.u32(); left > 0; left--) { this.bytes(); this.bytes(); }
    return found;
  }
}

export class Sftp {
  constructor(link) {
    this.link = link;
    this.next = 1;
    this.asked = new Map();
    this.rest = new Uint8Array(0);
    this.ready = new Promise((resolve, reject) => Object.assign(this, { begun: resolve, failed: reject }));
  }

  begin() {
    this.link.send(new Packet(INIT).u32(3).framed());
  }

  // Everything that waits for an answer gets none any more.
  lose(words) {
    const problem = new SftpError(0, words);
    this.failed(problem);
    for (const { reject } of this.asked.values()) reject(problem);
    this.asked.clear();
  }

  take(bytes) {
    let data = bytes;
    if (this.rest.length) {
      data = new Uint8Array(this.rest.length + bytes.length);
      data.set(this.rest);
      data.set(bytes, this.rest.length);
    }
    let at = 0;
    while (data.length - at >= 4) {
      const length = new DataView(data.buffer, data.byteOffset + at).getUint32(0);
      if (data.length - at - 4 < length) break;
      this.answer(data.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    this.rest = data.slice(at);
  }

  answer(packet) {
    const kind = packet[0];
    if (kind === VERSION) return this.begun();
    const fields = new Fields(packet.subarray(1));
    const waiting = this.asked.get(fields.u32());
    if (!waiting) return undefined;
    this.asked.delete(new DataView(packet.buffer, packet.byteOffset + 1).getUint32(0));
    if (kind !== STATUS) return waiting.resolve({ kind, fields });
    const code = fields.u32();
    return code === 0 ? waiting.resolve({ kind, fields }) : waiting.reject(new SftpError(code, fields.text()));
  }

  ask(kind, fill) {
    const id = this.next++ >>> 0;
    const packet = new Packet(kind, id);
    fill(packet);
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject });
      this.link.send(packet.framed());
    });
  }

  async realPath(path) {
    const { fields } = await this.ask(REALPATH, (packet) => packet.string(path));
    fields.u32();
    return fields.text();
  }

  async stat(path) {
    const { fields } = await this.ask(STAT, (packet) => packet.string(path));
    return fields.attributes();
  }

  async list(path) {
    const handle = await this.handle(OPENDIR, (packet) => packet.string(path));
    const found = [];
    try {
      for (;;) {
        const { fields } = await this.ask(READDIR, (packet) => packet.string(handle));
        for (let left = fields.u32(); left > 0; left--) {
          const name = fields.text();
          fields.bytes();
          found.push({ name, ...fields.attributes() });
        }
      }
    } catch (problem) {
      if (problem.code !== END) throw problem;
    } finally {
      await this.closeHandle(handle);
    }
    return found.filter((one) => one.name !== "." && one.name !== "..");
  }

  async handle(kind, fill) {
    const answer = await this.ask(kind, fill);
    if (answer.kind !== HANDLE) throw new SftpError(4, "no handle");
    return answer.fields.bytes();
  }

  open(path, flags) {
    return this.handle(OPEN, (packet) => packet.string(path).u32(flags).u32(0));
  }

  closeHandle(handle) {
    return this.ask(CLOSE, (packet) => packet.string(handle));
  }

  makeDirectory = (path) => this.ask(MKDIR, (packet) => packet.string(path).u32(0));
  removeDirectory = (path) => this.ask(RMDIR, (packet) => packet.string(path));
  remove = (path) => this.ask(REMOVE, (packet) => packet.string(path));
  rename = (from, to) => this.ask(RENAME, (packet) => packet.string(from).string(to));

  // Parts in order to `sink(bytes)`, which may wait; `size` is a guess that ends when the file does.
  async read(path, size, sink, progress, stopped) {
    const handle = await this.open(path, READING);
    try {
      const ahead = [];
      let asked = 0, got = 0, isOver = false;
      while (!isOver) {
        if (stopped()) throw new SftpError(-1, "");
        while (ahead.length < AHEAD && (asked < size || !ahead.length)) {
          const at = asked;
          const part = this.ask(READ, (packet) => packet.string(handle).u64(at).u32(PART));
          part.catch(() => {}); // looked at in its turn
          ahead.push({ at, part });
          asked += PART;
        }
        const { at, part } = ahead.shift();
        try {
          let data = (await part).fields.bytes();
          await sink(data);
          got = at + data.length;
          while (data.length && got < at + PART) { // a short answer: only END says that the file is over
            const rest = at + PART - got;
            const from = got;
            data = (await this.ask(READ, (packet) => packet.string(handle).u64(from).u32(rest))).fields.bytes();
            await sink(data);
            got += data.length;
          }
          progress(got);
        } catch (problem) {
          if (problem.code !== END) throw problem;
          isOver = true;
        }
      }
    } finally {
      await this.closeHandle(handle).catch(() => {});
    }
  }

  async write(path, file, progress, stopped) {
    const handle = await this.open(path, WRITING);
    const ahead = [];
    try {
      for (let at = 0; at < file.size; at += PART) {
        if (stopped()) throw new SftpError(-1, "");
        const data = new Uint8Array(await file.slice(at, at + PART).arrayBuffer());
        await this.link.room();
        const from = at;
        const written = this.ask(WRITE, (packet) => packet.string(handle).u64(from).string(data));
        written.catch(() => {}); // looked at in its turn
        ahead.push(written);
        if (ahead.length >= AHEAD) await ahead.shift();
        progress(at + data.length);
      }
      await Promise.all(ahead);
    } catch (problem) {
      await this.closeHandle(handle).catch(() => {});
      throw problem;
    }
    await this.closeHandle(handle); // some servers tell only now that the disk is full
  }
}
