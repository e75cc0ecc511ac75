// The steps of a flow: added, removed and moved in the page. Without this the same form works with numbers and buttons.
for (const form of document.querySelectorAll("form[data-flow]")) {
  const list = form.querySelector("[data-flow-steps]");
  const total = form.querySelector("[name$=-TOTAL_FORMS]");
  const blank = form.querySelector("template[data-flow-empty]");
  const steps = () => [...list.querySelectorAll("[data-flow-step]:not([data-removed])")];

  const number = () => {
    steps().forEach((step, place) => {
      step.querySelector("[data-flow-number]").textContent = place + 1;
      const order = step.querySelector("[name$=-ORDER]");
      if (order) order.value = place + 1;
    });
  };
  const enhance = (step) => {
    for (const plain of step.querySelectorAll("[data-flow-plain]")) plain.classList.add("d-none");
    for (const button of step.querySelectorAll("[data-flow-up], [data-flow-down], [data-flow-remove]")) button.hidden = false;
  };

  form.querySelector("[data-flow-add]").addEventListener("click", (event) => {
    event.preventDefault();
    const index = Number(total.value);
    const holder = document.createElement("div");
    holder.innerHTML = blank.innerHTML.replaceAll("__prefix__", String(index));
    const step = holder.firstElementChild;
    list.append(step);
    total.value = String(index + 1);
    enhance(step);
    number();
    step.querySelector("input[type=text]")?.focus();
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const step = button?.closest("[data-flow-step]");
    if (!step) return;
    const others = steps();
    const place = others.indexOf(step);
    if (button.matches("[data-flow-remove]")) {
      step.querySelector("[name$=-DELETE]").checked = true;
      step.dataset.removed = "1";
    } else if (button.matches("[data-flow-up]") && place > 0) {
      others[place - 1].before(step);
    } else if (button.matches("[data-flow-down]") && place + 1 < others.length) {
      others[place + 1].after(step);
    }
    number();
    button.focus();
  });
  steps().forEach(enhance);
  number();
}
