// Runs before the first paint: someone who chose "as the system" must not see a white flash.
(function () {
  var root = document.documentElement;
  if (root.dataset.bsTheme) return;
  var dark = window.matchMedia && window.matchMedia("(prefers-color-scheme: dark)").matches;
  root.setAttribute("data-bs-theme", dark ? "dark" : "light");
  root.dataset.themeAuto = "1";
})();
