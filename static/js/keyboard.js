// Keys for people who work here all day. `?` shows what is there; a key is a press of the element
// that declares it (data-shortcut="a"), so a shortcut can never do what its button may not.
const GO = { b: "board", i: "incidents", a: "alerts", s: "assets", h: "home", c: "customers" };
const PREFIX_MS = 1200;
let prefixAt = 0;

function typing(target) {
  return target.closest("input, textarea, select, [contenteditable=true], dialog[open], .xterm");
}

function usable(element) {
  return element && !element.disabled && element.offsetParent !== null;
}

function press(element) {
  if (element.matches("input:not([type=checkbox], [type=radio]), textarea, select")) {
    element.focus();
    element.select?.();
  } else element.click();
}

function rows() {
  const table = document.querySelector("[data-keynav]");
  return table ? [...table.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null) : [];
}

function move(step) {
  const all = rows();
  if (!all.length) return false;
  const here = all.indexOf(document.activeElement?.closest("[data-row]"));
  const next = all[Math.min(all.length - 1, Math.max(0, here < 0 ? (step > 0 ? 0 : all.length - 1) : here + step))];
  next.tabIndex = 0;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  return true;
}

function open(row) {
  const href = row?.dataset.href ?? row?.querySelector("a[href]")?.href;
  if (href) location.assign(href);
}

function help() {
  const dialog = document.getElementById("keyboard-help");
  const list = dialog?.querySelector("[data-shortcut-list]");
  if (!dialog || !list || dialog.open) return;
  list.replaceChildren();
  const seen = new Set();
  for (const element of document.querySelectorAll("[data-shortcut]")) {
    if (!usable(element) || seen.has(element.dataset.shortcut)) continue;
    seen.add(element.dataset.shortcut);
    const label = element.dataset.shortcutLabel || element.getAttribute("aria-label") || element.textContent.trim() || element.placeholder;
    const row = document.createElement("tr");
    const what = document.createElement("td");
    what.textContent = label;
    const keys = document.createElement("td");
    keys.className = "text-end";
    for (const part of element.dataset.shortcut.split(" ")) {
      const key = document.createElement("kbd");
      key.textContent = part;
      keys.append(key, " ");
    }
    row.append(what, keys);
    list.append(row);
  }
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && typing(event.target) && !event.target.closest("dialog")) {
    event.target.blur();
    return;
  }
  if (typing(event.target)) return;
  const key = event.key;
  const prefixed = Date.now() - prefixAt < PREFIX_MS;
  prefixAt = 0;
  if (prefixed && GO[key]) {
    const link = document.querySelector(`[data-go="${GO[key]}"]`);
    if (link) {
      event.preventDefault();
      location.assign(link.href);
    }
    return;
  }
  if (key === "g") {
    prefixAt = Date.now();
    return;
  }
  if (key === "?") {
    event.preventDefault();
    help();
    return;
  }
  if ((key === "j" || key === "k") && move(key === "j" ? 1 : -1)) {
    event.preventDefault();
    return;
  }
  const row = event.target.closest("[data-row]");
  if (key === "Enter" && row && event.target === row) {
    open(row);
    return;
  }
  // The row's own buttons come first, then the page's; never those of a row that has no focus.
  const selector = `[data-shortcut="${CSS.escape(key)}"]`;
  const elsewhere = [...document.querySelectorAll(selector)].filter((element) => !element.closest("[data-row]"));
  const button = [...(row?.querySelectorAll(selector) ?? []), ...elsewhere].find(usable);
  if (button) {
    event.preventDefault();
    press(button);
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keyboard-help]")) {
    help();
    return;
  }
  const closer = event.target.closest("[data-dialog-close]");
  if (closer) {
    closer.closest("dialog")?.close();
    return;
  }
  const row = event.target.closest("tr[data-href]");
  if (row && !event.target.closest("a, button, input, label, select, textarea, summary") && !String(getSelection())) {
    if (event.ctrlKey || event.metaKey) window.open(row.dataset.href, "_blank", "noopener");
    else open(row);
  }
});
