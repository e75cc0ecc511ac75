// Plays a recording for asciinema-player out of pieces that are fetched when they are needed: never all of it.
// A jump begins at the last piece before it that starts with the whole screen (a row "k").
const KEPT = 12; // pieces in memory
const AHEAD_S = 20; // the next piece is fetched so long before its time
const STEP_S = 5;
const LEAP = 0.1;
const LOADER_AFTER_MS = 250;

export class Pieces {
  constructor(base, token, index) {
    Object.assign(this, { base, token, index, kept: new Map() });
    this.all = index.pieces.map(([number, first, last, hasKeyframe]) => ({ number, first, last, hasKeyframe }));
  }

  static async open(base, token) {
    return new Pieces(base, token, await (await ask(`${base}index/`, token)).json());
  }

  rows(place) {
    let found = this.kept.get(place);
    this.kept.delete(place);
    if (!found) {
      found = ask(`${this.base}${this.all[place].number}/`, this.token).then(async (answer) => parsed(await answer.text()));
      found.catch(() => this.kept.delete(place));
    }
    this.kept.set(place, found);
    for (const old of this.kept.keys()) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(old);
    }
    return found;
  }

  // The piece in which this moment lies, or the one before a pause in which it lies.
  at(time) {
    let low = 0;
    let high = this.all.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.all[middle].first <= time) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  keyframeBefore(place) {
    while (place > 0 && !this.all[place].hasKeyframe) place -= 1;
    return place;
  }

  async search(query, from) {
    return (await ask(`${this.base}search/?q=${encodeURIComponent(query)}&from=${from}`, this.token)).json();
  }
}

async function ask(url, token) {
  const answer = await fetch(url, { headers: { "X-Viewing": token } });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer;
}

export function parsed(text) {
  const rows = [];
  for (const line of text.split("\n")) {
    if (line[0] === "[") rows.push(JSON.parse(line));
  }
  return rows;
}

export function size(text) {
  const [cols, rows] = text.split("x", 2).map((word) => parseInt(word, 10));
  return { cols: Math.min(Math.max(cols || 80, 2), 500), rows: Math.min(Math.max(rows || 24, 1), 300) };
}

/* The driver, and what a page does with it besides: speed, pauses that are leapt over, the moment. */
export class Tape {
  constructor(pieces) {
    this.pieces = pieces;
    this.duration = pieces.index.duration;
    this.speed = 1;
    this.idleLimit = 0; // seconds; 0: pauses are as long as they were
    this.time = 0;
    this.isPlaying = false;
    this.run = 0; // whoever began an older run stops
    this.place = 0;
    this.rows = null;
    this.next = 0;
  }

  source = (callbacks) => {
    this.dispatch = callbacks.dispatch;
    return {
      init: () => {
        this.dispatch("metadata", { duration: this.duration, markers: this.pieces.index.markers });
        this.dispatch("reset", { size: { cols: this.pieces.index.cols, rows: this.pieces.index.rows } });
      },
      play: () => this.play(),
      pause: () => this.pause(),
      stop: () => this.pause(),
      seek: (where) => this.seek(this.moment(where)),
      step: (count) => this.step(count ?? 1),
      getDuration: () => this.duration,
      getCurrentTime: () => this.now(),
    };
  };

  now() {
    if (!this.isPlaying) return this.time;
    return Math.min(this.time + ((performance.now() - this.since) / 1000) * this.speed, this.duration);
  }

  set(time) {
    this.time = time;
    this.since = performance.now();
  }

  setSpeed(speed) {
    this.set(this.now());
    this.speed = speed;
    this.wake?.();
  }

  setIdleLimit(seconds) {
    this.idleLimit = seconds;
    this.wake?.();
  }

  moment(where) {
    const now = this.now();
    const inside = (time) => Math.min(Math.max(time, 0), this.duration);
    if (typeof where === "number") return inside(where);
    if (where === "<<" || where === ">>") return inside(now + (where === "<<" ? -STEP_S : STEP_S));
    if (where === "<<<" || where === ">>>") return inside(now + (where === "<<<" ? -LEAP : LEAP) * this.duration);
    if (typeof where === "string") return inside((parseFloat(where) / 100) * this.duration);
    const times = this.pieces.index.markers.map(([time]) => time);
    if (typeof where?.marker === "number") return inside(times[where.marker] ?? now);
    if (where?.marker === "next") return inside(times.find((time) => time > now + 0.05) ?? this.duration);
    return inside(times.findLast((time) => time < now - 1) ?? 0);
  }

  async seek(time) {
    const wasPlaying = this.isPlaying;
    const run = (this.run += 1);
    this.isPlaying = false;
    this.wake?.();
    this.time = time;
    await this.draw(time, run);
    if (run !== this.run) return false;
    this.dispatch("seeked");
    if (wasPlaying) await this.play();
    return true;
  }

  /* The screen as it was at a moment: the last whole one before it, and what followed. */
  async draw(time, run) {
    const target = this.pieces.at(time);
    let place = this.pieces.keyframeBefore(target);
    const loader = setTimeout(() => run === this.run && this.dispatch("loading"), LOADER_AFTER_MS);
    try {
      let isFirst = true;
      for (; place <= target; place += 1) {
        const rows = await this.pieces.rows(place);
        if (run !== this.run) return;
        let next = 0;
        if (isFirst) next = this.begin(rows);
        isFirst = false;
        while (next < rows.length && rows[next][0] <= time) this.show(rows[next++], true);
        Object.assign(this, { place, rows, next });
      }
    } catch (problem) {
      this.failed(problem, run);
    } finally {
      clearTimeout(loader);
    }
  }

  begin(rows) {
    if (rows[0]?.[1] !== "k") {
      this.dispatch("reset", { size: { cols: this.pieces.index.cols, rows: this.pieces.index.rows } });
      return 0;
    }
    const [first, drawing] = cut(rows[0][2]);
    this.dispatch("reset", { size: size(first), init: drawing });
    return 1;
  }

  show([, code, text], isQuiet = false) {
    if (code === "o" || code === "e") this.dispatch("output", text);
    else if (code === "r") this.dispatch("resize", size(text));
    else if (code === "i" && !isQuiet) this.dispatch("input", { data: text });
  }

  async play() {
    if (this.isPlaying) return true;
    const run = (this.run += 1);
    if (this.time >= this.duration && this.duration > 0) {
      this.time = 0;
      this.rows = null;
    }
    this.dispatch("play");
    if (!this.rows) await this.draw(this.time, run);
    if (run !== this.run) return false;
    this.isPlaying = true;
    this.set(this.time);
    this.dispatch("playing");
    this.follow(run).catch((problem) => this.failed(problem, run));
    return true;
  }

  pause() {
    if (!this.isPlaying) return true;
    this.set(this.now());
    this.isPlaying = false;
    this.run += 1;
    this.wake?.();
    this.dispatch("pause");
    return true;
  }

  async follow(run) {
    while (run === this.run) {
      const row = this.rows[this.next];
      if (!row) {
        if (!(await this.turn(run))) return;
        continue;
      }
      const wait = row[0] - this.now();
      if (wait > 0) {
        if (this.idleLimit && wait > this.idleLimit) this.set(row[0] - this.idleLimit);
        await this.sleep(((row[0] - this.now()) / this.speed) * 1000);
        continue;
      }
      this.next += 1;
      this.show(row);
      this.prefetch();
    }
  }

  async turn(run) {
    if (this.place + 1 >= this.pieces.all.length) {
      this.isPlaying = false;
      this.time = this.duration;
      this.dispatch("ended");
      return false;
    }
    const coming = this.pieces.rows(this.place + 1);
    let waited = false;
    const loader = setTimeout(() => {
      if (run !== this.run) return;
      waited = true;
      this.set(this.now());
      this.dispatch("loading");
    }, LOADER_AFTER_MS);
    const rows = await coming.finally(() => clearTimeout(loader));
    if (run !== this.run) return false;
    if (waited) {
      this.since = performance.now();
      this.dispatch("playing");
    }
    Object.assign(this, { place: this.place + 1, rows, next: rows[0]?.[1] === "k" ? 1 : 0 });
    return true;
  }

  prefetch() {
    const next = this.pieces.all[this.place + 1];
    if (next && (next.first - this.now() < AHEAD_S * this.speed || this.idleLimit)) {
      this.pieces.rows(this.place + 1).catch(() => {});
    }
  }

  sleep(milliseconds) {
    return new Promise((done) => {
      const timer = setTimeout(done, Math.min(Math.max(milliseconds, 0), 60_000));
      this.wake = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  async step(count) {
    if (this.isPlaying) return;
    if (!this.rows) await this.draw(this.time, this.run);
    if (count < 0) {
      let place = this.next - 1;
      while (place > 0 && !(this.rows[place][1] === "o" && this.rows[place][0] < this.time)) place -= 1;
      await this.seek(place > 0 ? this.rows[place][0] : Math.max(0, (this.pieces.all[this.place].first ?? 0) - 0.001));
      return;
    }
    for (;;) {
      const row = this.rows[this.next];
      if (!row) {
        if (this.place + 1 >= this.pieces.all.length) return;
        const rows = await this.pieces.rows(this.place + 1);
        Object.assign(this, { place: this.place + 1, rows, next: rows[0]?.[1] === "k" ? 1 : 0 });
        continue;
      }
      this.next += 1;
      this.show(row);
      this.time = row[0];
      if (row[1] === "o") return;
    }
  }

  failed(problem, run) {
    if (run !== this.run) return;
    this.isPlaying = false;
    this.dispatch("error", { message: problem.message });
    this.onFailed?.(problem);
  }
}

function cut(text) {
  const space = text.indexOf(" ");
  return [text.slice(0, space), text.slice(space + 1)];
}

export const keyframe = (text) => {
  const [first, drawing] = cut(text);
  return { size: size(first), init: drawing };
};
