// Choosing alerts in the list, by mouse or by `x` on the row.
// What is chosen stays chosen when the list refreshes itself.
const form = document.getElementById("alert-bulk");
const list = document.getElementById("alerts");
const bar = document.querySelector("[data-bulk]");
const picked = new Set();

const boxes = () => [...(list?.querySelectorAll("[data-pick]") ?? [])];

function show() {
  if (!bar) return;
  for (const box of boxes()) box.checked = picked.has(box.value);
  const here = boxes().filter((box) => box.checked).length;
  bar.classList.toggle("d-none", here === 0);
  bar.classList.toggle("d-flex", here > 0);
  bar.querySelector("[data-picked]").textContent = here;
  const all = list.querySelector("[data-pick-all]");
  if (all) {
    all.checked = here > 0 && here === boxes().length;
    all.indeterminate = here > 0 && here < boxes().length;
  }
}

function pick(box, on) {
  if (on) picked.add(box.value);
  else picked.delete(box.value);
}

list?.addEventListener("change", (event) => {
  if (event.target.matches("[data-pick]")) pick(event.target, event.target.checked);
  else if (event.target.matches("[data-pick-all]")) for (const box of boxes()) pick(box, event.target.checked);
  show();
});
form?.querySelector("[data-pick-none]")?.addEventListener("click", () => {
  picked.clear();
  show();
});
document.addEventListener("htmx:afterSettle", show);
document.addEventListener("htmx:afterSwap", show);
window.addEventListener("pageshow", () => {
  for (const box of boxes()) pick(box, box.checked);
  show();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog[open]")) return;
  const box = document.activeElement?.closest("[data-row]")?.querySelector("[data-pick]");
  if (!box) return;
  event.preventDefault();
  pick(box, !box.checked);
  show();
});
