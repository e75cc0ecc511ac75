// A page for a screen on the wall: its clock, full screen, the screen kept awake, the pointer out of sight.
function tick() {
  const clock = document.querySelector("[data-tv-clock]");
  if (!clock) return;
  const now = new Date();
  clock.dateTime = now.toISOString();
  clock.textContent = now.toLocaleTimeString("zh-CN", { timeZone: "Asia/Shanghai", hour12: false });
}

async function stayAwake() {
  if (!navigator.wakeLock || document.hidden) return;
  await navigator.wakeLock.request("screen").catch(() => null);
}

document.querySelector("[data-tv-full]")?.addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen();
});
let still = 0;
document.addEventListener("mousemove", () => {
  document.body.classList.remove("is-still");
  clearTimeout(still);
  still = setTimeout(() => document.body.classList.add("is-still"), 4000);
});
document.addEventListener("visibilitychange", stayAwake);
setInterval(tick, 1000);
tick();
stayAwake();
