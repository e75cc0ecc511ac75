// The web terminal's page: tabs, two panes, tools, the bar of keys, and the dialogs to connect and to invite.
import { Files, sure } from "./terminal-files.js";
import { event } from "./terminal-link.js";
import { Session } from "./terminal-session.js";
import { palette } from "./terminal-theme.js";
import { toast } from "./toast.js";

const page = document.querySelector("[data-web-terminal]");
const words = JSON.parse(document.getElementById("terminal-words").textContent);
const start = JSON.parse(document.getElementById("terminal-start").textContent);
const find = (name, within = document) => within.querySelector(`[data-${name}]`);
const tabs = find("tabs"), panes = find("panes"), empty = find("empty");
const KEPT = "rdmp.terminal.sessions", FONT = "rdmp.terminal.font";
const SEQUENCES = {
  esc: "\x1b", tab: "\t", pipe: "|", slash: "/", tilde: "~", dash: "-", pgup: "\x1b[5~", pgdn: "\x1b[6~",
};
const OWN = "+own"; // name and password that the person types
const CURSOR = { up: "A", down: "B", right: "C", left: "D", home: "H", end: "F" };

let sessions = [];
let shown = []; // one, or two when split
let active = null;
let isSplit = false;
let fontSize = Math.max(9, Math.min(24, Number(localStorage.getItem(FONT)) || 14));
const files = new Files(find("files"), words);

/* --- sessions and tabs ----------------------------------------------------------------- */
function open(hello) {
  const session = new Session(hello, words, { changed: draw, ended: draw, said: heard, own: askForOwn }, { fontSize });
  sessions.push(session);
  panes.append(session.element);
  session.element.addEventListener("focusin", () => activate(session));
  session.element.addEventListener("pointerdown", () => activate(session));
  show(session);
  return session;
}

function show(session) {
  if (!shown.includes(session)) {
    if (isSplit && sessions.length > 1) {
      const other = shown.find((one) => one !== active) ?? active;
      shown = active && active !== session ? [active, session] : [other, session].filter(Boolean);
      if (shown.length > 2) shown.shift();
    } else {
      shown = [session];
    }
  }
  activate(session);
  draw();
  for (const one of shown) one.show();
  session.term.focus();
}

function activate(session) {
  if (active === session) return;
  active = session;
  files.follow(session);
  draw();
}

async function close(session) {
  const isRunning = session.state === "open" && session.isOwner;
  if (isRunning && !(await sure(words.close_running))) return;
  session.close();
  files.leave(session);
  sessions = sessions.filter((one) => one !== session);
  shown = shown.filter((one) => one !== session);
  if (active === session) active = null;
  const next = shown[0] ?? sessions.at(-1);
  if (next) show(next);
  draw();
}

function draw() {
  keep();
  empty.hidden = sessions.length > 0;
  panes.classList.toggle("is-split", shown.length > 1);
  for (const session of sessions) {
    session.element.classList.toggle("is-shown", shown.includes(session));
    session.element.classList.toggle("is-active", session === active && shown.length > 1);
  }
  tabs.replaceChildren(...sessions.map(tab));
  for (const tool of page.querySelectorAll("[data-tool]")) enable(tool);
  for (const name of ["ctrl", "alt"]) {
    page.querySelector(`[data-key=${name}]`)?.setAttribute("aria-pressed", String(Boolean(active?.sticky[name])));
  }
}

function tab(session) {
  const item = document.createElement("div");
  item.className = "web-terminal-tab";
  item.classList.toggle("is-active", session === active);
  item.dataset.state = session.state;
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("role", "tab");
  button.setAttribute("aria-controls", session.id);
  button.setAttribute("aria-selected", String(session === active));
  button.textContent = session.title || words.connecting;
  button.title = session.shellTitle ?? session.title;
  button.addEventListener("click", () => show(session));
  const end = document.createElement("button");
  end.type = "button";
  end.className = "btn-close";
  end.setAttribute("aria-label", `${document.documentElement.dataset.wordClose || "Close"} ${session.title}`);
  end.addEventListener("click", () => close(session));
  item.append(button, end);
  return item;
}

tabs.addEventListener("keydown", (pressed) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[pressed.key];
  if (!step || sessions.length < 2) return;
  const at = sessions.indexOf(active);
  show(sessions[(at + step + sessions.length) % sessions.length]);
  tabs.querySelector("[aria-selected=true]")?.focus();
});

// A reload of the page comes back to what runs.
function keep() {
  const running = sessions.filter((one) => one.uid && one.isOwner && !one.isOver && one.final === null);
  sessionStorage.setItem(KEPT, JSON.stringify(running.map((one) => ({ session: one.uid, title: one.title }))));
}

/* --- tools ------------------------------------------------------------------------------- */
function enable(button) {
  const needs = {
    copy: () => active?.actions.has("copy"),
    paste: () => active?.actions.has("paste") && active.mayType,
    share: () => active?.isOwner && active.state === "open" && active.actions.has("share"),
    files: () => active?.isOwner && (active.actions.has("upload") || active.actions.has("download")),
    search: () => active,
    split: () => sessions.length > 0,
  }[button.dataset.tool];
  if (needs) button.disabled = !needs();
  if (button.dataset.tool === "split") button.setAttribute("aria-pressed", String(isSplit));
  if (button.dataset.tool === "files") button.setAttribute("aria-pressed", String(files.isShown));
}

const TOOLS = {
  split() {
    isSplit = !isSplit;
    if (!isSplit) shown = active ? [active] : shown.slice(0, 1);
    else if (sessions.length > 1) shown = [active, sessions.find((one) => one !== active)];
    else askToConnect(active?.hello.asset);
    draw();
    for (const one of shown) one.show();
  },
  search: () => toggleSearch(true),
  copy: () => active?.copy(),
  paste: () => active?.paste(),
  smaller: () => setFont(fontSize - 1),
  larger: () => setFont(fontSize + 1),
  files() {
    files.toggle(active);
    draw();
  },
  share: () => askToShare(),
  full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else page.requestFullscreen?.();
  },
};

page.addEventListener("click", (click) => {
  const tool = click.target.closest("[data-tool]");
  if (tool) TOOLS[tool.dataset.tool]();
});

function setFont(size) {
  fontSize = Math.max(9, Math.min(24, size));
  localStorage.setItem(FONT, fontSize);
  for (const session of sessions) {
    session.term.options.fontSize = fontSize;
    session.resize();
  }
}

document.addEventListener("rdmp:theme", () => {
  for (const session of sessions) session.term.options.theme = palette();
});

page.addEventListener("keydown", (pressed) => {
  if (!pressed.ctrlKey || !pressed.shiftKey) return;
  const act = { KeyC: TOOLS.copy, KeyV: TOOLS.paste, KeyF: TOOLS.search }[pressed.code];
  const pastesItself = pressed.code === "KeyV" && active?.screen.contains(pressed.target); // without asking for a right
  if (!act || pastesItself) return;
  pressed.preventDefault();
  pressed.stopPropagation();
  act();
}, true);

/* --- search ------------------------------------------------------------------------------ */
const search = find("seek");
function toggleSearch(isOn) {
  search.hidden = !isOn;
  if (isOn) search.elements.q.select();
  else active?.term.focus();
  for (const one of shown) one.resize();
}
function look(way) {
  const text = search.elements.q.value;
  const isFound = text && active?.search[way](text);
  find("seek-result").textContent = text && !isFound ? words.no_match : "";
}
search.addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  look("findNext");
});
find("seek-previous").addEventListener("click", () => look("findPrevious"));
find("seek-close").addEventListener("click", () => toggleSearch(false));
search.addEventListener("keydown", (pressed) => {
  if (pressed.key === "Escape") toggleSearch(false);
});

/* --- the bar of keys ----------------------------------------------------------------------- */
find("keys").addEventListener("pointerdown", (pressed) => pressed.preventDefault()); // the keyboard of the screen stays
find("keys").addEventListener("click", (click) => {
  const name = click.target.closest("[data-key]")?.dataset.key;
  if (!name || !active) return;
  if (name === "ctrl" || name === "alt") active.sticky[name] = !active.sticky[name];
  else if (name in CURSOR) active.type(`\x1b${active.term.modes.applicationCursorKeysMode ? "O" : "["}${CURSOR[name]}`);
  else active.type(SEQUENCES[name]);
  draw();
  active.term.focus();
});

/* --- to connect ------------------------------------------------------------------------------ */
const connecting = document.getElementById("connect-dialog");
const form = find("connect");
const problem = find("connect-problem");
let asking = 0;
let needsWork = false;

async function ask(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" }, credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });

async function listResources(query, chosen) {
  const mine = ++asking;
  try {
    const { resources } = await ask(`${page.dataset.resources}?q=${encodeURIComponent(query)}`);
    if (mine !== asking) return;
    const select = form.elements.asset;
    select.replaceChildren(...resources.map((one) => option(one.asset, [one.name, one.address, one.customer].filter(Boolean).join(" · "))));
    problem.textContent = resources.length ? "" : words.no_resource;
    if (chosen && resources.some((one) => one.asset === chosen)) select.value = String(chosen);
    else if (resources.length) select.selectedIndex = 0;
    await describe();
  } catch {
    if (mine === asking) problem.textContent = words.offline;
  }
}

async function describe() {
  const asset = form.elements.asset.value;
  form.elements.account.replaceChildren();
  find("connect-offers").replaceChildren();
  find("connect-terms").textContent = "";
  if (!asset) return;
  try {
    const about = await ask(`${page.dataset.resources}${asset}/`);
    if (form.elements.asset.value !== asset) return;
    form.elements.account.replaceChildren(...about.accounts.map((name) => option(name, name === OWN ? words.own_account : name)));
    find("connect-offers").replaceChildren(...about.offers.map((one) => option(one.number, `${one.number} ${one.title}`)));
    find("connect-terms").textContent = about.terms.join(" ");
    needsWork = about.needs_work;
    form.elements.work.required = needsWork;
    problem.textContent = about.accounts.length ? "" : words.no_account;
  } catch {
    problem.textContent = words.no_resource;
  }
}

function askToConnect(asset) {
  if (!connecting.open) connecting.showModal();
  form.elements.asset.replaceChildren();
  find("connect-q").value = "";
  listResources("", asset);
}

let typing = 0;
find("connect-q").addEventListener("input", ({ target }) => {
  clearTimeout(typing);
  typing = setTimeout(() => listResources(target.value), 200);
});
form.elements.asset.addEventListener("change", describe);
form.addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const { asset, account, work } = form.elements;
  if (!asset.value || !account.value) return;
  if (needsWork && !work.value.trim()) {
    problem.textContent = words.work_needed;
    return;
  }
  connecting.close();
  const name = asset.selectedOptions[0].textContent.split(" · ")[0];
  open({ do: "connect", asset: Number(asset.value), account: account.value, work: work.value.trim(), title: account.value === OWN ? name : `${account.value}@${name}` });
});
for (const button of document.querySelectorAll("[data-new]")) button.addEventListener("click", () => askToConnect(start.asset));

/* --- name and password of one's own: sent once, then forgotten ------------------------------------ */
const owning = document.getElementById("own-dialog");
const own = find("own");
let ownSession = null;
function askForOwn(said, session) {
  ownSession = session;
  own.reset();
  own.elements.name.value = said.account || session.ownName || "";
  own.elements.name.readOnly = Boolean(said.account);
  find("own-problem").textContent = said.words;
  find("own-title").textContent = session.title.split("@").at(-1);
  if (!owning.open) owning.showModal();
  own.elements[own.elements.name.value ? "password" : "name"].focus();
}
own.addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const { name, password } = own.elements;
  ownSession.ownName = name.value.trim();
  ownSession.link.send(event({ do: "own", name: ownSession.ownName, password: password.value }));
  own.reset();
  ownSession = null;
  owning.close();
});
owning.addEventListener("close", () => {
  ownSession?.link.send(event({ do: "own" }));
  own.reset();
  ownSession = null;
});

/* --- to invite ---------------------------------------------------------------------------------- */
const sharing = document.getElementById("share-dialog");
const invitation = find("share");
function askToShare() {
  invitation.reset();
  find("share-problem").textContent = "";
  find("share-list").replaceChildren();
  sharing.showModal();
  active.link.say({ do: "shares", session: active.uid });
}
invitation.addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const { email, may_type: mayType } = invitation.elements;
  active?.link.say({ do: "share", session: active.uid, email: email.value, may_type: mayType.checked });
});

function heard(said, session) {
  if (said.do === "share_refused") find("share-problem").textContent = said.words;
  if (said.do !== "shares" || session !== active) return;
  find("share-problem").textContent = "";
  const list = said.shares.map((one) => {
    const row = document.createElement("li");
    row.className = "d-flex flex-wrap align-items-center gap-2 py-1";
    const text = document.createElement("span");
    text.className = "flex-fill";
    text.textContent = [one.name, one.may_type ? words.share_type : words.share_view, one.joined ? words.share_joined : ""].filter(Boolean).join(" · ");
    row.append(text, small(words.share_link, () => copyLink(one.share)));
    row.append(small(words.share_remove, () => session.link.say({ do: "unshare", session: session.uid, share: one.share })));
    return row;
  });
  find("share-list").replaceChildren(...(list.length ? list : [Object.assign(document.createElement("li"), { className: "text-secondary", textContent: words.share_none })]));
}

function small(text, act) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-sm", textContent: text });
  button.addEventListener("click", act);
  return button;
}

async function copyLink(share) {
  const address = new URL(page.dataset.shared.replace("/0/", `/${share}/`), location.href).href;
  try {
    await navigator.clipboard.writeText(address);
    toast({ level: "success", text: words.share_copied });
  } catch {
    toast({ level: "info", text: address });
  }
}

/* --- the beginning -------------------------------------------------------------------------------- */
window.addEventListener("online", () => {
  for (const session of sessions) if (session.state === "lost") session.comeBack();
});
window.addEventListener("resize", () => {
  for (const session of shown) session.resize();
});
window.visualViewport?.addEventListener("resize", () => {
  page.style.setProperty("--terminal-height", `${Math.round(window.visualViewport.height)}px`);
});

for (const kept of JSON.parse(sessionStorage.getItem(KEPT) ?? "[]")) {
  open({ do: "return", session: kept.session, title: kept.title });
}
if (start.share) open({ do: "guest", share: start.share });
else if (start.asset && !sessions.length) askToConnect(start.asset);
draw();
