// Replaces what the page shows, in place: scroll position, focus and open details stay.
"use strict";
(() => {
  const main = document.getElementById("main");
  const every = Number(main.dataset.refresh) * 1000;
  const seconds = document.getElementById("as-of");
  let waiting;

  const keyOf = (element) => element.dataset.key || element.id || element.name;
  const busy = () => {
    const field = document.activeElement;
    return field && main.contains(field) && field.matches("input, select, textarea");
  };

  async function refresh() {
    if (document.hidden || busy() || !getSelection().isCollapsed) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (busy()) return;
      const open = new Set([...main.querySelectorAll("details[open]")].map(keyOf));
      const focused = main.contains(document.activeElement) ? keyOf(document.activeElement) : null;
      const scrolled = [...main.querySelectorAll("[data-scroll]")].map((box) => box.scrollLeft);
      main.replaceChildren(...page.getElementById("main").childNodes);
      for (const part of main.querySelectorAll("details")) if (open.has(keyOf(part))) part.open = true;
      main.querySelectorAll("[data-scroll]").forEach((box, at) => { box.scrollLeft = scrolled[at] || 0; });
      if (focused) {
        const again = [...main.querySelectorAll("a, button, summary")].find((one) => keyOf(one) === focused);
        if (again) again.focus({ preventScroll: true });
      }
      seconds.replaceChildren(...page.getElementById("as-of").childNodes);
      document.title = page.title;
      document.body.classList.remove("lost");
    } catch {
      document.body.classList.add("lost");
      seconds.dataset.lost = "No answer from restate-medic: what is shown may be old.";
    }
  }

  const next = () => { waiting = setTimeout(() => refresh().finally(next), every); };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    clearTimeout(waiting);
    refresh().finally(next);
  });
  next();
})();
