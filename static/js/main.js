// What every page loads.
import "./theme.js";
import "./toast.js";
import "./forms.js";
import "./keyboard.js";
import "./countdown.js";
import "./ago.js";
import "./search.js";

// The menu is longer than a low screen: where one is, is in sight.
document.querySelector(".navbar-vertical .nav-link.active")?.scrollIntoView({ block: "nearest" });

// A fold that somebody has closed stays closed when what is around it is brought up to date. Pages of the entrance have no
// Idiomorph.
if (globalThis.Idiomorph) {
  const isFold = (name, element) => name === "open" && element.tagName === "DETAILS";
  globalThis.Idiomorph.defaults.callbacks.beforeAttributeUpdated = (...said) => !isFold(...said);
}

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-dismiss-alert]");
  if (closer) closer.closest(".alert")?.remove();
});
window.addEventListener("offline", () => document.body.classList.add("is-offline"));
window.addEventListener("online", () => document.body.classList.remove("is-offline"));
