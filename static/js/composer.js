// Writing on an incident: files by drag and paste, @names, canned replies, a draft that survives the browser.
// The form may be replaced by the server's answer (what was refused, with what was typed), so everything here looks
// it up when it is needed.
const composer = () => document.querySelector("[data-composer]");
const area = () => composer()?.querySelector("textarea");
const fileInput = () => composer()?.querySelector("input[type=file]");
const internal = () => composer()?.querySelector("[name=is_internal]");

/* --- files ------------------------------------------------------------------------------ */
function size(bytes) {
  return bytes < 1024 ** 2 ? `${Math.max(1, Math.round(bytes / 1024))} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

function setFiles(files) {
  const all = new DataTransfer();
  for (const file of files) all.items.add(file);
  fileInput().files = all.files;
  showFiles();
}

function showFiles() {
  const list = composer()?.querySelector("[data-chosen-files]");
  if (!list) return;
  list.replaceChildren(
    ...[...fileInput().files].map((file, place) => {
      const chip = document.createElement("span");
      chip.className = "badge bg-secondary-lt";
      chip.append(`${file.name} · ${size(file.size)} `);
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "btn-close";
      remove.ariaLabel = `${list.dataset.wordRemove}: ${file.name}`;
      remove.addEventListener("click", () => setFiles([...fileInput().files].filter((_, other) => other !== place)));
      chip.append(remove);
      return chip;
    }),
  );
}

for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    const form = event.target.closest?.("[data-composer]");
    if (!form || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.toggle("is-dragging", type === "dragover");
    if (type === "drop") setFiles([...fileInput().files, ...event.dataTransfer.files]);
  });
}

/* --- what is typed is kept until it is sent ----------------------------------------------- */
const draftKey = () => `rdmp.draft.${composer()?.dataset.draft}`;

function keepDraft() {
  try {
    if (area().value.trim()) localStorage.setItem(draftKey(), area().value);
    else localStorage.removeItem(draftKey());
  } catch {
    // No room or no storage: the page itself still has it.
  }
}

function restoreDraft() {
  if (area() && !area().value) area().value = localStorage.getItem(draftKey()) ?? "";
}

/* --- @names ------------------------------------------------------------------------------ */
const people = new Map();
const list = () => document.getElementById("mention-list");
let chosen = 0;

async function everybody() {
  const key = internal()?.checked ? "1" : "0";
  if (!people.has(key)) {
    const answer = await fetch(`${composer().dataset.people}?internal=${key}`, { headers: { Accept: "application/json" } });
    people.set(key, answer.ok ? (await answer.json()).people : []);
  }
  return people.get(key);
}

function asked() {
  const before = area().value.slice(0, area().selectionStart);
  const found = /(?:^|[^A-Za-z0-9_])[@＠]([^\s@＠]{0,20})$/.exec(before);
  return found ? found[1] : null;
}

function closeList() {
  if (list()) list().hidden = true;
}

async function offer() {
  const begun = asked();
  if (begun === null) return closeList();
  const all = await everybody();
  if (asked() !== begun) return;
  const wanted = begun.toLowerCase();
  const place = (one) => one.name.toLowerCase().indexOf(wanted);
  const fitting = all
    .filter((one) => place(one) >= 0)
    .sort((one, other) => place(one) - place(other))
    .slice(0, 8);
  if (!fitting.length) return closeList();
  chosen = 0;
  list().replaceChildren(
    ...fitting.map((one, place) => {
      const item = document.createElement("li");
      item.role = "option";
      item.dataset.name = one.name;
      item.ariaSelected = String(place === 0);
      item.append(one.name);
      const side = document.createElement("small");
      side.className = "text-secondary";
      side.textContent = one.side;
      item.append(side);
      return item;
    }),
  );
  list().hidden = false;
}

function insert(name) {
  const field = area();
  const begun = asked() ?? "";
  const start = field.selectionStart - begun.length;
  field.setRangeText(`${name} `, start, field.selectionStart, "end");
  closeList();
  keepDraft();
  field.focus();
}

function mark(step) {
  const items = [...list().children];
  chosen = (chosen + step + items.length) % items.length;
  items.forEach((item, place) => (item.ariaSelected = String(place === chosen)));
}

/* --- events ------------------------------------------------------------------------------ */
const paint = () => composer()?.classList.toggle("is-internal", Boolean(internal()?.checked));

document.addEventListener("change", (event) => {
  if (event.target === fileInput()) showFiles();
  if (event.target === internal()) paint();
});
document.addEventListener("input", (event) => {
  if (event.target === area()) {
    keepDraft();
    offer();
  }
  if (event.target.matches?.("[data-reply-search]")) {
    const wanted = event.target.value.toLowerCase();
    for (const reply of event.target.closest(".reply-menu").querySelectorAll("[data-reply]")) {
      reply.classList.toggle("d-none", !reply.textContent.toLowerCase().includes(wanted));
      reply.classList.toggle("d-block", reply.textContent.toLowerCase().includes(wanted));
    }
  }
});
document.addEventListener("keydown", (event) => {
  if (event.target !== area() || event.isComposing) return;
  if (!list().hidden) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") mark(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Enter" || event.key === "Tab") insert(list().children[chosen].dataset.name);
    else if (event.key === "Escape") closeList();
    else return;
    event.preventDefault();
    event.stopPropagation();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) composer().requestSubmit();
}, true);
document.addEventListener("mousedown", (event) => {
  const item = event.target.closest("#mention-list li");
  if (item) {
    event.preventDefault();
    insert(item.dataset.name);
  } else if (event.target !== area()) closeList();
});
document.addEventListener("click", (event) => {
  const reply = event.target.closest("[data-reply]");
  if (!reply) return;
  const field = area();
  const gap = field.value && !field.value.endsWith("\n") ? "\n" : "";
  field.setRangeText(gap + reply.dataset.reply, field.value.length, field.value.length, "end");
  if (internal() && "replyInternal" in reply.dataset) internal().checked = true;
  window.bootstrap?.Dropdown.getInstance(reply.closest(".dropdown")?.querySelector("[data-bs-toggle]"))?.hide();
  paint();
  keepDraft();
  field.focus();
});

document.addEventListener("htmx:xhr:progress", (event) => {
  const bar = event.target.closest?.("[data-composer]")?.querySelector("progress");
  if (!bar || !event.detail.lengthComputable || !fileInput().files.length) return;
  bar.hidden = false;
  bar.value = (event.detail.loaded / event.detail.total) * 100;
});
document.addEventListener("htmx:afterRequest", () => {
  const bar = composer()?.querySelector("progress");
  if (bar) bar.hidden = true;
});
document.addEventListener("comment:sent", () => {
  area().value = "";
  setFiles([]);
  if (internal()) internal().checked = false;
  paint();
  keepDraft();
});
document.addEventListener("htmx:afterSwap", () => {
  paint();
  showFiles();
});

restoreDraft();
paint();
