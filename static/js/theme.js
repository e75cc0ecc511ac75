// Light, dark or as the system says; remembered in a cookie so that the server renders the right one.
const YEAR = 60 * 60 * 24 * 365;
const system = window.matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

function apply(choice) {
  const theme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
  root.setAttribute("data-bs-theme", theme);
  if (choice === "auto") root.dataset.themeAuto = "1";
  else delete root.dataset.themeAuto;
  document.dispatchEvent(new CustomEvent("rdmp:theme", { detail: { theme } }));
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    const mine = button.dataset.themeChoice === choice;
    button.classList.toggle("active", mine);
    button.setAttribute("aria-pressed", String(mine));
  }
}

function remember(choice) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `theme=${choice}; Path=/; Max-Age=${YEAR}; SameSite=Lax${secure}`;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-choice]");
  if (!button) return;
  remember(button.dataset.themeChoice);
  apply(button.dataset.themeChoice);
});
system.addEventListener("change", () => {
  if (root.dataset.themeAuto) apply("auto");
});
apply(root.dataset.themeAuto ? "auto" : root.getAttribute("data-bs-theme"));
