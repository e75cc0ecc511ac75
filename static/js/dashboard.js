// Dashboards: boxes on a grid, arranged with the mouse, by touch, or with the buttons that each box gets meanwhile.
const NARROW = 700;
const MOVES = [
  ["left", "arrow-left", (box) => ({ x: Math.max(0, box.x - 1) })],
  ["right", "arrow-right", (box) => ({ x: Math.min(12 - box.w, box.x + 1) })],
  ["up", "arrow-up", (box) => ({ y: Math.max(0, box.y - 1) })],
  ["down", "arrow-down", (box) => ({ y: box.y + 1 })],
  ["wider", "arrow-autofit-width", (box) => ({ w: Math.min(12 - box.x, box.w + 1) })],
  ["narrower", "arrows-minimize", (box) => ({ w: Math.max(1, box.w - 1) })],
  ["taller", "arrow-autofit-height", (box) => ({ h: Math.min(24, box.h + 1) })],
  ["shorter", "fold", (box) => ({ h: Math.max(1, box.h - 1) })],
];

function grid(element) {
  if (element.gridstack) return element.gridstack;
  const made = window.GridStack.init({
    column: 12, cellHeight: 76, margin: 6, staticGrid: true, float: false, animate: false,
    columnOpts: { breakpointForWindow: true, breakpoints: [{ w: NARROW, c: 1, layout: "list" }] },
    draggable: { handle: ".box-head, .box-note" },
  }, element);
  element.classList.add("is-laid");
  return made;
}

function find(root) {
  if (!window.GridStack) return;
  for (const element of root.querySelectorAll("[data-dashboard]")) grid(element);
}

// --- arranging -------------------------------------------------------------------------------------------------------

function tools(element, item) {
  const bar = document.createElement("div");
  bar.className = "box-tools btn-group";
  const button = (word, icon, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "btn btn-icon btn-sm";
    made.title = word;
    made.setAttribute("aria-label", word);
    made.innerHTML = `<i class="ti ti-${icon}" aria-hidden="true"></i>`;
    made.addEventListener("click", act);
    bar.append(made);
  };
  for (const [name, icon, change] of MOVES) {
    button(element.dataset[`word${name[0].toUpperCase()}${name.slice(1)}`], icon, () => element.gridstack.update(item, change(item.gridstackNode)));
  }
  button(element.dataset.wordRemove, "trash", () => element.gridstack.removeWidget(item));
  item.querySelector(".grid-stack-item-content").append(bar);
}

function arranging(element, on) {
  document.body.classList.toggle("is-arranging", on);
  element.gridstack.setStatic(!on);
  for (const bar of element.querySelectorAll(".box-tools")) bar.remove();
  if (on) for (const item of element.querySelectorAll(".grid-stack-item")) tools(element, item);
  document.querySelector("[data-arrange]").hidden = on;
  document.querySelector("[data-arrange-save]").hidden = !on;
  document.querySelector("[data-arrange-cancel]").hidden = !on;
}

async function save(element) {
  const places = element.gridstack.getGridItems().map((item) => {
    const { x, y, w, h } = item.gridstackNode;
    return { id: item.dataset.widget, x, y, w, h };
  });
  const answer = await fetch(element.dataset.save, {
    method: "POST", body: JSON.stringify({ version: Number(element.dataset.version), places }),
    headers: { "Content-Type": "application/json", Accept: "application/json", ...JSON.parse(document.body.getAttribute("hx-headers")), "HX-Request": "true" },
  }).catch(() => null);
  if (answer?.ok) {
    element.dataset.version = (await answer.json()).version;
    arranging(element, false);
    return;
  }
  const told = answer?.headers.get("HX-Trigger");
  const words = document.documentElement.dataset;
  const text = told ? (JSON.parse(told).toast?.text ?? words.wordFailed) : answer ? words.wordFailed : words.wordNoAnswer;
  document.dispatchEvent(new CustomEvent("toast", { bubbles: true, detail: { text, level: "danger" } }));
}

document.addEventListener("click", (event) => {
  const element = document.querySelector("[data-dashboard]");
  if (!element) return;
  if (event.target.closest("[data-arrange]")) {
    // One column is no place to arrange twelve: a phone gets the grid as wide as it is, to scroll.
    if (element.gridstack.getColumn() === 1) element.gridstack.column(12, "none");
    arranging(element, true);
  } else if (event.target.closest("[data-arrange-save]")) save(element);
  else if (event.target.closest("[data-arrange-cancel]")) location.reload();
});

document.addEventListener("htmx:load", (event) => find(event.detail.elt.parentElement ?? document));
find(document);
