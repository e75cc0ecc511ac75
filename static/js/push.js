// Turns push messages on for this browser: asks the person, subscribes, and hands the subscription to the platform.
const box = document.querySelector("[data-push]");
const form = box?.querySelector("[data-push-form]");
const button = box?.querySelector("[data-push-on]");

function show(name) {
  for (const part of ["on", "is-on", "denied", "unable", "failed"]) {
    box.querySelector(`[data-push-${part}]`).hidden = part !== name;
  }
}

const able = () => "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

function bytes(text) {
  const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

async function look() {
  if (!able()) return show("unable");
  if (Notification.permission === "denied") return show("denied");
  const worker = await navigator.serviceWorker.ready;
  const subscription = await worker.pushManager.getSubscription();
  show(subscription && document.querySelector("[data-device]") ? "is-on" : "on");
}

async function turnOn() {
  if ((await Notification.requestPermission()) !== "granted") return show("denied");
  const worker = await navigator.serviceWorker.ready;
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const answer = await fetch(box.dataset.keyUrl, { method: "POST", headers });
  const key = bytes((await answer.json()).key);
  const before = await worker.pushManager.getSubscription();
  const known = before && new Uint8Array(before.options.applicationServerKey).join() === key.join();
  if (before && !known) await before.unsubscribe(); // it was made for another key
  const subscription = known ? before : await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  const { endpoint, keys } = subscription.toJSON();
  form.elements.endpoint.value = endpoint;
  form.elements.p256dh.value = keys.p256dh;
  form.elements.auth.value = keys.auth;
  form.submit();
}

if (box) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    button.disabled = true;
    turnOn().catch(() => show("failed")).finally(() => { button.disabled = false; });
  });
  look().catch(() => show("unable"));
}
