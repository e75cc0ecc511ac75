// The file panel beside a session: a directory of the same server and account, and what goes up and down.
import { Link } from "./terminal-link.js";
import { DENIED, GONE, Sftp } from "./terminal-sftp.js";
import { toast } from "./toast.js";

const IS_DIRECTORY = 0o040000, IS_LINK = 0o120000, TYPE = 0o170000;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const find = (name, within) => within.querySelector(`[data-${name}]`);

const filled = (text, parts) => text.replace(/\{(\w+)\}/g, (all, key) => parts[key] ?? all);

function size(bytes) {
  let value = bytes ?? 0, unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit ? value.toFixed(1) : value} ${UNITS[unit]}`;
}

const joined = (directory, name) => `${directory.replace(/\/+$/, "")}/${name}`;

export class Files {
  constructor(element, words) {
    Object.assign(this, { element, words, isShown: false, places: new Map() });
    this.list = find("files-list", element);
    this.problem = find("files-problem", element);
    this.transfers = find("files-transfers", element);
    this.path = find("files-path", element).elements.path;
    this.input = find("files-input", element);
    find("files-path", element).addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      this.go(this.path.value);
    });
    element.addEventListener("click", (click) => {
      const act = click.target.closest("[data-files-act]")?.dataset.filesAct;
      if (act) this.acts[act]();
    });
    this.input.addEventListener("change", () => {
      this.upload([...this.input.files]);
      this.input.value = "";
    });
    element.addEventListener("dragover", (dragging) => {
      dragging.preventDefault();
      element.classList.add("is-over");
    });
    element.addEventListener("dragleave", () => element.classList.remove("is-over"));
    element.addEventListener("drop", (dropping) => {
      dropping.preventDefault();
      element.classList.remove("is-over");
      this.upload([...dropping.dataTransfer.files]);
    });
  }

  acts = {
    up: () => this.go(joined(this.place?.directory ?? "/", "..")),
    refresh: () => this.go(this.place?.directory ?? "."),
    folder: () => this.makeFolder(),
    upload: () => this.input.click(),
    close: () => this.toggle(this.session),
  };

  // The panel shows the server of the session that one looks at.
  follow(session) {
    this.session = session;
    if (this.isShown) this.begin();
  }

  // Its terminal was closed: what goes up or down for it ends.
  leave(session) {
    const place = this.places.get(session);
    this.places.delete(session);
    if (this.session === session) {
      this.session = null;
      this.list.replaceChildren();
      this.say("");
    }
    place?.link.close();
  }

  toggle(session) {
    this.session = session;
    this.isShown = !this.isShown && Boolean(session);
    this.element.hidden = !this.isShown;
    if (this.isShown) this.begin();
  }

  get place() {
    return this.places.get(this.session);
  }

  begin() {
    if (!this.session?.isOwner) return;
    if (!this.place) this.connect(this.session);
    else this.draw();
  }

  connect(session) {
    this.list.replaceChildren();
    this.say("");
    const place = { directory: "", rows: [] };
    this.places.set(session, place);
    place.link = new Link({ do: "files", session: session.uid }, {
      opened: () => place.sftp.begin(),
      bytes: (data, drawn) => {
        place.sftp.take(data);
        drawn();
      },
      said: (said) => {
        place.words = said.words || this.words[said.code] || this.words.files_target;
      },
      closed: () => {
        this.places.delete(session);
        place.sftp.lose(place.words ?? this.words.offline);
        if (this.session === session) {
          this.list.replaceChildren();
          this.say(place.words ?? this.words.offline);
        }
      },
    });
    place.sftp = new Sftp(place.link);
    place.sftp.ready.then(() => this.go(".", place), () => {});
  }

  say(text) {
    this.problem.textContent = text;
  }

  why(problem) {
    if (problem.code === DENIED) return this.words.files_denied;
    if (problem.code === GONE) return this.words.files_gone;
    return problem.message || this.words.files_target;
  }

  async go(path, place = this.place) {
    if (!place) return this.begin();
    try {
      const directory = await place.sftp.realPath(path || ".");
      const rows = await place.sftp.list(directory);
      rows.sort((one, other) => isDirectory(other) - isDirectory(one) || one.name.localeCompare(other.name));
      Object.assign(place, { directory, rows });
      if (place === this.place) {
        this.say("");
        this.draw();
      }
    } catch (problem) {
      if (place === this.place) this.say(this.why(problem));
    }
    return undefined;
  }

  may(action) {
    return Boolean(this.session?.actions.has(action));
  }

  draw() {
    const { directory, rows } = this.place;
    this.path.value = directory;
    for (const name of ["folder", "upload"]) this.element.querySelector(`[data-files-act=${name}]`).disabled = !this.may("upload");
    this.list.replaceChildren(...rows.map((row) => this.row(row)));
    if (!rows.length && directory) {
      const nothing = document.createElement("li");
      nothing.className = "text-secondary";
      nothing.textContent = this.words.files_empty;
      this.list.append(nothing);
    }
  }

  row(row) {
    const item = document.createElement("li");
    const icon = document.createElement("i");
    icon.className = `ti ${isDirectory(row) ? "ti-folder" : isLink(row) ? "ti-link" : "ti-file"}`;
    icon.setAttribute("aria-hidden", "true");
    const name = document.createElement("button");
    name.type = "button";
    name.className = "name";
    name.textContent = row.name;
    name.title = row.name;
    name.addEventListener("click", () => (isDirectory(row) || isLink(row) ? this.enter(row) : this.download(row)));
    const long = document.createElement("span");
    long.className = "size";
    long.textContent = isDirectory(row) ? "" : size(row.size);
    item.append(icon, name, long);
    const fetch = () => (isLink(row) ? this.enter(row) : this.download(row)); // a link has its own size, not the file's
    if (!isDirectory(row) && this.may("download")) item.append(this.button("ti-download", this.words.files_download, fetch));
    if (this.may("upload")) {
      item.append(this.button("ti-pencil", this.words.files_rename, () => this.rename(row)));
      item.append(this.button("ti-trash", this.words.files_remove, () => this.remove(row)));
    }
    return item;
  }

  button(icon, words, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm btn-icon btn-ghost-secondary";
    button.title = words;
    button.setAttribute("aria-label", words);
    const drawn = document.createElement("i");
    drawn.className = `ti ${icon}`;
    drawn.setAttribute("aria-hidden", "true");
    button.append(drawn);
    button.addEventListener("click", act);
    return button;
  }

  async enter(row) {
    const path = joined(this.place.directory, row.name);
    if (isLink(row)) {
      try {
        const meant = await this.place.sftp.stat(path);
        if ((meant.mode & TYPE) !== IS_DIRECTORY) return this.download({ ...row, ...meant });
      } catch (problem) {
        return this.say(this.why(problem));
      }
    }
    return this.go(path);
  }

  // --- changes ----------------------------------------------------------------------------------------------------

  async change(act) {
    const { place } = this;
    try {
      await act(place.sftp);
      await this.go(place.directory, place);
    } catch (problem) {
      this.say(this.why(problem));
    }
  }

  async makeFolder() {
    const name = await ask(this.words.files_new_folder, "");
    if (name) await this.change((sftp) => sftp.makeDirectory(joined(this.place.directory, name)));
  }

  async rename(row) {
    const { directory } = this.place;
    const name = await ask(this.words.files_new_name, row.name);
    if (name && name !== row.name) await this.change((sftp) => sftp.rename(joined(directory, row.name), joined(directory, name)));
  }

  async remove(row) {
    if (!(await sure(filled(this.words.files_sure, { name: row.name })))) return;
    const path = joined(this.place.directory, row.name);
    await this.change((sftp) => (isDirectory(row) ? sftp.removeDirectory(path) : sftp.remove(path)));
  }

  // --- up and down ------------------------------------------------------------------------------------------------

  async upload(files) {
    const { place } = this;
    if (!place || !this.may("upload")) {
      this.say(this.words.files_denied);
      return;
    }
    for (const file of files) {
      const there = place.rows.find((one) => one.name === file.name);
      if (there && !(await sure(filled(this.words.files_exists, { name: file.name })))) continue;
      const transfer = this.begun(file.name, file.size);
      await transfer.run(() => place.sftp.write(joined(place.directory, file.name), file, transfer.progress, transfer.isStopped));
    }
    await this.go(place.directory, place);
  }

  async download(row) {
    const { place } = this;
    if (!this.may("download")) {
      this.say(this.words.files_denied);
      return;
    }
    const keep = await keeper(row.name);
    if (!keep) return;
    const transfer = this.begun(row.name, row.size ?? 0);
    const isDone = await transfer.run(() =>
      place.sftp.read(joined(place.directory, row.name), row.size ?? 0, keep.write, transfer.progress, transfer.isStopped),
    );
    if (isDone) await keep.close();
    else await keep.abort();
  }

  // A line below the list with a bar; `run` ends with what became of it.
  begun(name, whole) {
    const item = document.createElement("li");
    const text = document.createElement("span");
    text.textContent = name;
    const bar = Object.assign(document.createElement("progress"), { max: Math.max(1, whole), value: 0 });
    let isStopped = false;
    const stop = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-sm btn-ghost-secondary", textContent: this.words.files_cancel });
    stop.addEventListener("click", () => {
      isStopped = true;
    });
    item.append(text, " ", stop, bar);
    this.transfers.prepend(item);
    const end = (words, tone) => {
      text.textContent = filled(words, { name, why: end.why });
      text.className = tone;
      stop.remove();
      bar.remove();
      setTimeout(() => item.remove(), 15_000);
    };
    return {
      progress: (count) => {
        bar.value = count;
        text.textContent = `${name} · ${size(count)} / ${size(whole)}`;
      },
      isStopped: () => isStopped,
      run: async (act) => {
        try {
          await act();
          end(this.words.files_done, "text-success");
          return true;
        } catch (problem) {
          end.why = this.why(problem);
          end(isStopped ? this.words.files_cancelled : this.words.files_failed, isStopped ? "text-secondary" : "text-danger");
          if (!isStopped) toast({ level: "danger", text: text.textContent });
          return false;
        }
      },
    };
  }
}

const isDirectory = (row) => Number((row.mode & TYPE) === IS_DIRECTORY);
const isLink = (row) => (row.mode & TYPE) === IS_LINK;

// Straight to the disk where the browser can; else kept by it until all is there.
async function keeper(name) {
  if (globalThis.showSaveFilePicker) {
    try {
      const file = await globalThis.showSaveFilePicker({ suggestedName: name });
      const out = await file.createWritable();
      return { write: (data) => out.write(data), close: () => out.close(), abort: () => out.abort() };
    } catch (problem) {
      if (problem.name === "AbortError") return null;
    }
  }
  const parts = [];
  return {
    write: (data) => parts.push(new Blob([data])),
    abort: () => parts.splice(0),
    close: () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(parts));
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    },
  };
}

// The page's own question, as for every button that needs one.
export function sure(text) {
  const dialog = document.getElementById("confirm-dialog");
  find("confirm-text", dialog).textContent = text;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function ask(title, value) {
  const dialog = document.getElementById("ask-dialog");
  const text = find("ask-text", dialog);
  find("ask-title", dialog).textContent = title;
  text.value = value;
  dialog.returnValue = "no";
  dialog.showModal();
  text.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? text.value.trim() : ""), { once: true });
  });
}
