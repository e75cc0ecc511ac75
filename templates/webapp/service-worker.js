{% load static %}// Shows push messages, opens what they are about, and keeps one page for when the network is gone.
const KEPT = "rdmp-offline-1"; // another number when other files are kept
const OFFLINE = "/offline/";
const FILES = [OFFLINE, "{% static 'vendor/tabler/css/tabler.min.css' %}", "{% static 'css/rdmp.css' %}", "{% static 'img/logo.svg' %}"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => names.filter((name) => name.startsWith("rdmp-") && name !== KEPT);
  event.waitUntil(
    caches.keys().then((names) => Promise.all(old(names).map((name) => caches.delete(name)))).then(() => self.clients.claim()),
  );
});

// Pages alone, and only when the network does not answer: nothing of a customer is ever kept.
self.addEventListener("fetch", (event) => {
  if (event.request.mode === "navigate" && event.request.method === "GET") {
    event.respondWith(fetch(event.request).catch(() => caches.match(OFFLINE)));
  } else if (FILES.includes(new URL(event.request.url).pathname)) {
    event.respondWith(fetch(event.request).catch(() => caches.match(event.request, { ignoreSearch: true })));
  }
});

self.addEventListener("push", (event) => {
  const message = event.data ? event.data.json() : {};
  const options = {
    body: message.body || "",
    tag: message.tag || undefined,
    renotify: Boolean(message.tag),
    requireInteraction: Boolean(message.urgent),
    icon: "{% static 'img/icon-192.png' %}",
    badge: "{% static 'img/badge-96.png' %}",
    data: { url: message.url || "/notify/inbox/" },
  };
  event.waitUntil(self.registration.showNotification(message.title || "TR Monitor", options));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const url = new URL(event.notification.data.url, self.location.origin);
  if (url.origin !== self.location.origin) return;
  event.waitUntil(
    self.clients.matchAll({ type: "window", includeUncontrolled: true }).then((windows) => {
      const open = windows.find((one) => new URL(one.url).pathname === url.pathname);
      return open ? open.focus() : self.clients.openWindow(url.href);
    }),
  );
});
