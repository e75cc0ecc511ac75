// The search box on top: Escape or a click elsewhere closes the list, arrows walk through it.
const box = document.querySelector("[data-search]");
const results = document.getElementById("search-results");

function items() {
  return [...(results?.querySelectorAll("a[href]") ?? [])];
}

function close() {
  results?.replaceChildren();
}

if (box && results) {
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "ArrowDown" && items().length) {
      event.preventDefault();
      items()[0].focus();
    }
  });
  results.addEventListener("keydown", (event) => {
    const all = items();
    const here = all.indexOf(document.activeElement);
    if (event.key === "ArrowDown") all[Math.min(all.length - 1, here + 1)]?.focus();
    else if (event.key === "ArrowUp") (here > 0 ? all[here - 1] : box).focus();
    else if (event.key === "Escape") {
      close();
      box.focus();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".topbar-search")) close();
  });
}
