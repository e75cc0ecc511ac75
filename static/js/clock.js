// The server's clock: deadlines are the server's, and a laptop's clock may be minutes off.
// Owns the offset between the two; every other module asks `now()`.

function offsetAtLoad() {
  const server = Date.parse(document.documentElement.dataset.now ?? "");
  if (Number.isNaN(server)) return 0;
  const [navigation] = performance.getEntriesByType("navigation");
  // A page out of the back/forward or HTTP cache carries an old stamp: the answer came in no time.
  const arrived = performance.timeOrigin + (navigation?.responseStart || performance.now());
  return server - arrived;
}

let offset = offsetAtLoad();

// Every answer of the server carries its time to the second. It corrects a page that has been
// open since before the laptop slept or its clock was set; smaller differences are only jitter.
document.addEventListener("htmx:afterRequest", (event) => {
  const header = event.detail?.xhr?.getResponseHeader("Date");
  const server = Date.parse(header ?? "");
  if (Number.isNaN(server)) return;
  const measured = server + 500 - Date.now();
  if (Math.abs(measured - offset) > 2500) offset = measured;
});

export function now() {
  return Date.now() + offset;
}
