// Makes the portal an installable web app: the service worker shows push messages and a page while offline.
if ("serviceWorker" in navigator && window.isSecureContext) {
  navigator.serviceWorker.register("/service-worker.js").catch(() => {
    // Without it the portal works as before; the page of devices says that push is not possible.
  });
}
