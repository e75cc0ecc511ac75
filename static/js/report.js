// The parts of a report save themselves; nobody leaves the page with something that is not saved.
const unsaved = new Set();

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-autosaves]");
  if (form) unsaved.add(form);
});
document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.target.closest?.("form[data-autosaves]");
  if (form && event.detail.successful) unsaved.delete(form);
});
document.addEventListener("submit", (event) => unsaved.delete(event.target));
window.addEventListener("beforeunload", (event) => {
  if (unsaved.size) event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.target.closest("form[data-autosaves]")?.requestSubmit();
});
