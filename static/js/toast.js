// Short messages in the corner. The server sends them as `HX-Trigger: {"toast": {level, text}}`,
// modules call toast(). Errors stay until they are read; the rest goes after some seconds.
const ICONS = { success: "ti-circle-check", info: "ti-info-circle", warning: "ti-alert-triangle", danger: "ti-alert-octagon" };
const SECONDS = 6;

export function toast({ level = "info", text }) {
  const box = document.getElementById("toasts");
  if (!box || !text) return;
  const tone = level in ICONS ? level : level === "error" ? "danger" : "info";
  const item = document.createElement("div");
  item.className = `alert alert-${tone} alert-dismissible`;
  item.setAttribute("role", tone === "danger" ? "alert" : "status");
  const row = document.createElement("div");
  row.className = "d-flex gap-2";
  const icon = document.createElement("i");
  icon.className = `ti ${ICONS[tone]} fs-2`;
  icon.setAttribute("aria-hidden", "true");
  const body = document.createElement("div");
  body.className = "pre-line";
  body.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn-close";
  close.setAttribute("aria-label", document.documentElement.dataset.wordClose || "Close");
  close.addEventListener("click", () => item.remove());
  row.append(icon, body);
  item.append(row, close);
  box.append(item);
  if (tone !== "danger") setTimeout(() => item.remove(), SECONDS * 1000);
}

document.addEventListener("toast", (event) => toast(event.detail ?? {}));
