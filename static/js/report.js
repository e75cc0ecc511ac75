// The parts of a report save themselves; nobody leaves the page with something that is not saved.
const unsaved = new Set();
const sent = new WeakMap();
const textOf = (form) => form.querySelector("textarea").value;

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-autosaves]");
  if (form) unsaved.add(form);
});
document.addEventListener("htmx:beforeRequest", (event) => {
  const form = event.target.closest?.("form[data-autosaves]");
  if (form) sent.set(form, textOf(form));
});
// What was typed while the request was under way is not saved by it.
document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.target.closest?.("form[data-autosaves]");
  if (form && event.detail.successful && sent.get(form) === textOf(form)) unsaved.delete(form);
});
// A form that htmx sends stays on the page.
document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented) unsaved.delete(event.target);
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved.size) event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.target.closest("form[data-autosaves]")?.requestSubmit();
});

// New figures show themselves where nobody is writing; else a link offers them.
document.addEventListener("htmx:afterSettle", () => {
  if (!document.querySelector("#report-reading [data-new-figures]")) return;
  const isCommenting = [...document.querySelectorAll("textarea[name=body]")].some((area) => area.value);
  if (!unsaved.size && !isCommenting && document.activeElement?.tagName !== "TEXTAREA") window.location.reload();
});
