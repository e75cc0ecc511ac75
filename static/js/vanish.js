// A secret on the page goes away by itself: out of the document, not merely out of sight.
for (const box of document.querySelectorAll("[data-vanishes]")) {
  const ends = Date.now() + Number(box.dataset.vanishes) * 1000;
  const figure = box.querySelector("[data-vanishes-in]");
  const after = box.parentElement.querySelector("[data-vanished]");
  const go = () => {
    clearInterval(ticking);
    box.remove();
    if (after) after.hidden = false;
  };
  const tick = () => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    if (left <= 0) go();
    else if (figure) figure.textContent = left;
  };
  const ticking = setInterval(tick, 250);
  window.addEventListener("pagehide", go, { once: true });
}
