"use strict";
// Asks for its own page again and puts what changed in place: rows by their keys, cells one by one, so that neither
// scrolling nor focus nor a selection is lost. What comes is the server's page, escaped there, under this page's policy.
(() => {
  const status = document.getElementById("status");
  const here = location.pathname + location.search;
  const SLOW = 15;
  let tag = null;
  let every = Number(document.body.dataset.every);

  const focusable = (within) => [...within.querySelectorAll("a, button, input, select, summary")];

  const replace = (old, now) => {
    if (old.innerHTML === now.innerHTML) return;
    const held = old.contains(document.activeElement) ? focusable(old).indexOf(document.activeElement) : -1;
    old.replaceChildren(...[...now.childNodes].map((node) => document.importNode(node, true)));
    if (held >= 0) focusable(old)[held]?.focus({ preventScroll: true });
  };

  const rowsOf = (list) => new Map([...list.children].map((row) => [row.dataset.key, row]));

  // The order is that of the first look: a row that moved away under the pointer would be another one's click.
  const updateList = (old, now) => {
    const before = rowsOf(old);
    const after = rowsOf(now);
    for (const [key, row] of before) if (!after.has(key)) row.remove();
    const fresh = [];
    for (const [key, row] of after) {
      const known = before.get(key);
      if (!known) {
        fresh.push(document.importNode(row, true));
        continue;
      }
      [...row.children].forEach((cell, k) => known.children[k] && replace(known.children[k], cell));
    }
    old.prepend(...fresh);
  };

  const anchor = () => {
    const rows = [...document.querySelectorAll("[data-key]")];
    const row = rows.find((r) => r.getBoundingClientRect().bottom > 0);
    return row && window.scrollY > 0 ? { row, top: row.getBoundingClientRect().top } : null;
  };

  const update = (text) => {
    const now = new DOMParser().parseFromString(text, "text/html");
    const held = anchor();
    for (const list of now.querySelectorAll("[data-list]")) {
      const old = document.querySelector(`[data-list="${CSS.escape(list.dataset.list)}"]`);
      if (old) updateList(old, list);
    }
    for (const part of now.querySelectorAll("[data-part]")) {
      const old = document.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`);
      if (!old) continue;
      old.hidden = part.hidden;
      if (!part.querySelector("[data-list], [data-part]")) replace(old, part);
    }
    document.title = now.title;
    every = Number(now.body.dataset.every) || every;
    if (held && held.row.isConnected) window.scrollBy(0, held.row.getBoundingClientRect().top - held.top);
  };

  const say = (text) => {
    if (status.textContent !== text) status.textContent = text;
  };

  const look = async () => {
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(here, { headers, cache: "no-store", redirect: "error" });
      if (answer.status === 403) {
        say("This page may not look any more: open the address that bon-eval view has printed last.");
        every = SLOW;
      } else if (answer.ok) {
        tag = answer.headers.get("ETag");
        update(await answer.text());
        say("");
      } else if (answer.status === 304) {
        say("");
      } else {
        say(`bon-eval view answers ${answer.status}; what stands here is what it said before.`);
      }
    } catch {
      say("bon-eval view does not answer; what stands here is what it said before.");
    }
  };

  const next = () => setTimeout(async () => {
    if (!document.hidden) await look();
    next();
  }, every * 1000);

  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  next();
})();
