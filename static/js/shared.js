// Takes the secret from behind the # of a shared link and knocks with it. The browser has sent it to nobody.
const form = document.querySelector("[data-knock]");
const secret = location.hash.slice(1);
if (secret) {
  form.elements.secret.value = secret;
  history.replaceState(null, "", location.pathname);
  form.submit();
} else {
  form.hidden = true;
  document.querySelector("[data-knock-missing]").hidden = false;
}
