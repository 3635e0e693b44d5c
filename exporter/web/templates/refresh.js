// Replaces what the page shows, in place: scroll position, focus and open details stay.
"use strict";
(() => {
  const main = document.getElementById("main");
  const every = Number(main.dataset.refresh) * 1000;
  const told = document.getElementById("as-of");
  let waiting;

  // What was done just now is said once, and not again with each refresh.
  const here = new URL(location.href);
  if (here.searchParams.has("done")) {
    here.searchParams.delete("done");
    history.replaceState(null, "", here);
  }

  const fields = () => [...main.querySelectorAll("input, select, textarea")];
  const changed = (field) =>
    field.options ? [...field.options].some((one) => one.selected !== one.defaultSelected && one.index > 0)
                  : field.value !== field.defaultValue;
  const busy = () => fields().some((field) => field === document.activeElement || changed(field));

  // Things of the same name are told apart by which of them it is.
  const focusable = () => [...main.querySelectorAll("a, button, summary")];
  const nameOf = (one) =>
    one.dataset.key || one.parentElement.dataset.key || one.getAttribute("href") || one.textContent;
  const placeOf = (one) => {
    const alike = focusable().filter((other) => nameOf(other) === nameOf(one));
    return { name: nameOf(one), at: alike.indexOf(one) };
  };
  const findAgain = ({ name, at }) => focusable().filter((one) => nameOf(one) === name)[at];

  function show(page) {
    const open = new Set([...main.querySelectorAll("details[open]")].map((one) => one.dataset.key));
    const active = document.activeElement;
    const place = main.contains(active) && active !== main ? placeOf(active) : null;
    const scrolled = [...main.querySelectorAll("[data-scroll]")].map((box) => box.scrollLeft);
    const lines = scrollY;
    main.replaceChildren(...page.getElementById("main").childNodes);
    for (const part of main.querySelectorAll("details")) part.open = open.has(part.dataset.key);
    main.querySelectorAll("[data-scroll]").forEach((box, at) => { box.scrollLeft = scrolled[at] || 0; });
    const again = place && findAgain(place);
    if (again) again.focus({ preventScroll: true });
    scrollTo({ top: lines, behavior: "instant" });
    told.replaceChildren(...page.getElementById("as-of").childNodes);
    document.title = page.title;
  }

  async function refresh() {
    if (document.hidden || busy() || !getSelection().isCollapsed) return;
    let note = "";
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!busy()) show(page);
    } catch {
      note = "Not refreshed any more: what is shown may be old.";
    }
    document.body.classList.toggle("lost", note !== "");
    told.dataset.lost = note;
  }

  const next = () => { waiting = setTimeout(() => refresh().finally(next), every); };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    clearTimeout(waiting);
    refresh().finally(next);
  });
  next();
})();
