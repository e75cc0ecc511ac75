// Forms that forgive: no double submit, files can be pasted, a question before what cannot be undone,
// filters that apply themselves, and a copy button.
import { toast } from "./toast.js";

const words = document.documentElement.dataset;

/* One press, one request. */
function lock(form, submitter) {
  form.dataset.busy = "1";
  // Not within the event: a disabled button's own name and value would not be sent.
  setTimeout(() => {
    for (const button of form.querySelectorAll("button[type=submit], button:not([type])")) button.disabled = true;
    submitter?.classList.add("btn-loading");
  });
}

function unlock(form) {
  delete form.dataset.busy;
  for (const button of form.querySelectorAll("button[type=submit], button:not([type])")) {
    button.disabled = false;
    button.classList.remove("btn-loading");
  }
}

const isHtmx = (element) => element.matches("[hx-get], [hx-post], [hx-put], [hx-patch], [hx-delete]");
const downloads = (form, submitter) => form.dataset.download !== undefined || submitter?.dataset.download !== undefined || submitter?.name === "export";

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || isHtmx(form) || form.method === "dialog") return;
  if (form.dataset.busy) {
    event.preventDefault();
    return;
  }
  if (!downloads(form, event.submitter)) lock(form, event.submitter);
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.matches("form")) lock(event.target, event.detail.requestConfig?.triggeringEvent?.submitter);
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.matches("form")) unlock(event.target);
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-busy]")) unlock(form);
});

/* A question first: data-confirm="What will happen?" on a button, link, form or hx element. */
function ask(text, proceed) {
  const dialog = document.getElementById("confirm-dialog");
  if (!dialog) {
    proceed();
    return;
  }
  dialog.querySelector("[data-confirm-text]").textContent = text;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => dialog.returnValue === "yes" && proceed(), { once: true });
  dialog.showModal();
}
document.addEventListener(
  "click",
  (event) => {
    const element = event.target.closest("[data-confirm]");
    if (!element || element.matches("form") || isHtmx(element) || element.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(element.dataset.confirm, () => {
      element.dataset.confirmed = "1";
      element.click();
      delete element.dataset.confirmed;
    });
  },
  true,
);
document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    if (!form.matches("form[data-confirm]") || isHtmx(form) || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(form.dataset.confirm, () => {
      form.dataset.confirmed = "1";
      form.requestSubmit(event.submitter);
      delete form.dataset.confirmed;
    });
  },
  true,
);
document.addEventListener("htmx:confirm", (event) => {
  const text = event.target.closest("[data-confirm]")?.dataset.confirm ?? event.detail.question;
  if (!text || event.target.dataset.confirmed) return;
  event.preventDefault();
  ask(text, () => event.detail.issueRequest(true));
});

/* Filters apply themselves; typing waits for a pause. */
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-autosubmit]");
  if (form && !event.target.matches("[type=search], [type=text]")) form.requestSubmit();
});
document.addEventListener("formdata", (event) => {
  // Empty filters only make the address long.
  if (event.target.method !== "get") return;
  for (const [name, value] of [...event.formData.entries()]) if (value === "") event.formData.delete(name);
});

/* A screenshot from the clipboard goes into the file field: data-paste-files="#id_files". */
document.addEventListener("paste", (event) => {
  const area = event.target.closest("[data-paste-files]");
  const files = [...(event.clipboardData?.files ?? [])];
  if (!area || !files.length) return;
  const input = document.querySelector(area.dataset.pasteFiles);
  if (!input) return;
  event.preventDefault();
  const all = new DataTransfer();
  for (const file of [...(input.multiple ? input.files : []), ...files]) all.items.add(file);
  input.files = all.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  toast({ level: "info", text: `${words.wordAttached}: ${files.map((file) => file.name).join(", ")}` });
});

/* Copy. */
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    toast({ level: "success", text: words.wordCopied });
  } catch {
    // No clipboard without HTTPS: select the text instead, so that the keys can copy it.
    const shown = document.querySelector(button.dataset.copyFrom || "[data-copy-source]");
    if (shown) getSelection().selectAllChildren(shown);
  }
});

/* Dialogs: <button data-dialog="#id"> opens <dialog id>. */
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (!opener) return;
  const dialog = document.querySelector(opener.dataset.dialog);
  if (!dialog) return;
  event.preventDefault();
  dialog.showModal();
});

/* "Select all" on top of a list of checkboxes. */
document.addEventListener("change", (event) => {
  const name = event.target.dataset?.checkAll;
  if (!name) return;
  for (const box of event.target.closest("form, table").querySelectorAll(`input[type=checkbox][name="${CSS.escape(name)}"]`)) {
    box.checked = event.target.checked;
  }
});

/* The server did not answer: say so, keep what was typed. */
document.addEventListener("htmx:sendError", () => toast({ level: "danger", text: words.wordNoAnswer }));
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  if (xhr.getResponseHeader("HX-Trigger")?.includes('"toast"')) return;
  if (xhr.status === 401 || (xhr.status === 403 && xhr.responseText.length < 20)) {
    location.reload();
    return;
  }
  toast({ level: "danger", text: xhr.status === 403 ? words.wordForbidden : xhr.status === 404 ? words.wordGone : words.wordFailed });
});

/* A whole page where a fragment was asked for: the session has ended or a second factor is missing. It is welcome
   where a piece of a page was asked for and the page has it. */
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target, etc, requestConfig } = event.detail;
  if (target === document.body || !/^\s*<!doctype html/i.test(xhr.responseText)) return;
  const piece = etc?.select ?? requestConfig.elt.getAttribute("hx-select");
  if (piece?.startsWith("#") && xhr.responseText.includes(`id="${piece.slice(1)}"`)) return;
  event.detail.shouldSwap = false;
  if (new URL(xhr.responseURL, location.href).pathname.includes("/login")) location.reload();
});
