// TV mode: one slide after the other, each fetched afresh.
import "./screen.js";

const stage = document.querySelector("[data-tv]");
const slides = [...stage.querySelectorAll("[data-tv-slide]")].map((link) => ({ url: link.href, title: link.textContent }));
const dots = [...document.querySelectorAll(".tv-dot")];
const every = Number(stage.dataset.every) * 1000;
let at = -1;
let timer = 0;
let paused = false;

async function next(step = 1) {
  clearTimeout(timer);
  at = (at + step + slides.length) % slides.length;
  const slide = slides[at];
  try {
    await window.htmx.ajax("GET", slide.url, { target: "#slide", select: "#slide", swap: "outerHTML" });
    document.querySelector("[data-tv-title]").textContent = slide.title;
    dots.forEach((dot, place) => dot.classList.toggle("active", place === at));
  } catch {
    // The bar above says that there is no connection; the last slide stays.
  }
  if (!paused && slides.length > 1) timer = setTimeout(next, every);
  else if (!paused) timer = setTimeout(() => next(0), Math.max(every, 60_000));
}

function pause() {
  paused = !paused;
  document.querySelector("[data-tv-pause]").setAttribute("aria-pressed", String(paused));
  if (paused) clearTimeout(timer);
  else next();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") next();
  else if (event.key === "ArrowLeft") next(-1);
  else if (event.key === " " && event.target === document.body) pause();
});
document.querySelector("[data-tv-pause]").addEventListener("click", pause);
next();
