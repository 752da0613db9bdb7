"use strict";
// Model texts reach the page through textContent only; nothing is ever parsed as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  // One run is the case of one side.
  const labels = data.sides ?? [""];
  const problems = data.sides ? data.problems : data.problems.map((p) => ({ ...p, sides: [p] }));
  for (const p of problems) p.sides.forEach((s, k) => { s.reasons = data.sides ? data.reasons[k] : data.reasons; });
  const list = document.getElementById("problems");
  const status = document.getElementById("status");
  const filter = document.getElementById("filter");
  const search = document.getElementById("search");
  const previous = document.getElementById("previous");
  const next = document.getElementById("next");
  const PAGE = 25;
  let shown = [];
  let page = 0;

  // Control and bidirectional marks are made visible: unseen, they could make a text read otherwise than it is.
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
  const visible = (text) =>
    text.replace(HIDDEN, (c) => {
      const code = c.charCodeAt(0);
      if (code < 32) return String.fromCharCode(0x2400 + code);
      return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
    });

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const labelled = (label, text) => {
    const field = make("div", "field");
    field.append(make("div", "label", label), make("div", "text", visible(text)));
    return field;
  };

  const FILTERS = {
    all: () => true,
    gained: ({ sides: [s] }) => s.greedy === 0 && s.best > 0.5,
    lost: ({ sides: [s] }) => s.greedy === 1 && s.best < 0.5,
    contested: ({ sides: [s] }) => s.sample > 0 && s.sample < 1,
    greedy_gained: ({ sides: [a, b] }) => b.greedy > a.greedy,
    greedy_lost: ({ sides: [a, b] }) => b.greedy < a.greedy,
    sample_up: ({ sides: [a, b] }) => b.sample > a.sample,
    sample_down: ({ sides: [a, b] }) => b.sample < a.sample,
    cut: ({ sides }) => sides.some((s) => s.cut === 1),
    unfinished: ({ sides }) => sides.some((s) => s.unfinished === 1),
    unscored: ({ sides }) => sides.some((s) => s.unscored === 1),
  };

  const grade = (correct) => {
    if (correct === 1) return make("span", "yes", "correct");
    return make("span", "no", correct === 0 ? "wrong" : "unscored");
  };

  // Responses of one text and verdict share a box, but greedy keeps its own.
  const grouped = (p, order) => {
    const boxes = new Map();
    for (const k of order) {
      const own = p.index[k] === -1 || p.text[k] === -1;
      const key = own ? `row ${k}` : `${p.text[k]} ${p.correct[k]} ${p.finish[k]} ${p.tokens[k]}`;
      if (!boxes.has(key)) boxes.set(key, []);
      boxes.get(key).push(k);
    }
    return [...boxes.values()];
  };

  // `of`: name, n and pick of the draw that the responses are of.
  const response = (p, of, [k, ...alike]) => {
    const greedy = p.index[k] === -1;
    const pick = p.index[k] === of.pick;
    const box = make("article", pick ? "response pick" : "response");
    const head = make("div", "head");
    head.append(make("b", "", greedy ? "greedy" : `${visible(of.name)} ${p.index[k]}`));
    if (pick) head.append(make("b", "", `best-of-${of.n} pick`));
    head.append(grade(p.correct[k]));
    const answer = p.answers[p.answer[k]];
    head.append(make("span", "text", answer === null ? "no answer read" : `answer: ${visible(answer)}`));
    head.append(make("span", "soft", visible(p.reasons[p.reason[k]])));
    const perToken = (p.ll[k] / p.tokens[k]).toFixed(3);
    head.append(make("span", "soft", `${p.ll[k].toFixed(2)} nats, ${perToken} per token, ${p.tokens[k]} tokens`));
    if (alike.length) head.append(make("span", "soft", `the same text: ${visible(of.many)} ${alike.map((a) => p.index[a]).join(", ")}`));
    if (p.finish[k] === "length") head.append(make("span", "no", "cut at the token limit"));
    box.append(head);
    if (p.text[k] === -1) {
      box.append(make("div", "soft", "text left to the run's Parquet files"));
    } else {
      const t = p.text[k];
      const rest = (more) => {
        if (more) box.append(make("div", "soft", `… ${more.toLocaleString("en")} more characters in the run's Parquet files`));
      };
      // What no grader read comes first, dimmed.
      if (p.reasoning && p.reasoning[t] !== null) {
        box.append(make("div", "text reasoning", visible(p.reasoning[t])));
        rest(p.reasoning_more[t]);
      }
      if (p.texts[t] || !p.reasoning) box.append(make("div", "text", visible(p.texts[t])));
      rest(p.more[t]);
    }
    return box;
  };

  const body = (p) => {
    const box = make("div", "body");
    for (const [name, text] of Object.entries(p.fields)) box.append(labelled(name, text));
    box.append(labelled("gold answer", p.gold));
    const columns = make("div", "sides");
    p.sides.forEach((s, k) => columns.append(side(s, labels[k], data.n[k], data.draws[k])));
    box.append(columns);
    return box;
  };

  const side = (p, label, n, draws) => {
    const box = make("section");
    if (label) box.append(make("h3", "", visible(label)));
    box.append(responses(p, { name: "sample", many: "samples", n, pick: p.pick, size: n + 1 }, 0));
    draws.forEach((draw, k) => box.append(another(p, draw, k)));
    return box;
  };

  // Another draw's responses are made when they are looked at.
  const another = (p, draw, k) => {
    const box = make("details", "draw");
    const [sample, best] = p.worth[k];
    const worth = `${sample.toFixed(2)}${best === undefined ? "" : `, best-of-${draw.n} ${best.toFixed(2)}`}`;
    const head = make("summary", "", `${visible(draw.name)} ${worth} `);
    head.append(make("span", "soft", visible(draw.how)));
    box.append(head);
    const of = { name: draw.name, many: draw.name, n: draw.n, pick: draw.n > 1 ? p.picks[k] : null, size: draw.n };
    box.addEventListener("toggle", () => box.append(responses(p, of, k + 1)), { once: true });
    return box;
  };

  const responses = (p, of, draw) => {
    const box = make("div");
    const own = p.index.map((_, k) => k).filter((k) => (p.draw ? p.draw[k] : 0) === draw);
    const order = own.sort((a, b) => {
      const first = (k) => (p.index[k] === -1 ? 2 : p.index[k] === of.pick ? 1 : 0);
      return first(b) - first(a) || p.ll[b] - p.ll[a];
    });
    const boxes = grouped(p, order);
    const holder = make("div");
    const some = (from) => {
      for (const rows of boxes.slice(from, from + 12)) holder.append(response(p, of, rows));
      return from + 12;
    };
    let at = some(0);
    box.append(holder);
    if (boxes.length > at) {
      const more = make("button", "", "more responses");
      more.addEventListener("click", () => {
        at = some(at);
        if (at >= boxes.length) more.remove();
      });
      box.append(more);
    }
    if (own.length < of.size) {
      box.append(make("p", "soft", `${of.size - own.length} more responses are in the run's Parquet files.`));
    }
    return box;
  };

  const row = (p) => {
    const box = make("div", "problem");
    const button = make("button");
    button.setAttribute("aria-expanded", "false");
    button.append(make("span", "id text", visible(p.id)));
    p.sides.forEach((s, k) => {
      const greedy = make("span", "", `${labels[k] ? `${visible(labels[k])}: ` : ""}greedy `);
      greedy.append(s.greedy ? make("span", "yes", "right") : make("span", "no", "wrong"));
      const more = `${s.cut ? ", cut" : ""}${s.unfinished ? ", reasoning not finished" : ""}${s.unscored ? ", unscored" : ""}`;
      button.append(greedy, make("span", "", `best-of-${data.best_of[k]} ${s.best.toFixed(2)}`));
      button.append(make("span", "facts", `sample ${s.sample.toFixed(2)}${more}`));
    });
    let open = null;
    button.addEventListener("click", () => {
      if (open) {
        open.remove();
        open = null;
      } else {
        open = body(p);
        box.append(open);
      }
      button.setAttribute("aria-expanded", String(open !== null));
    });
    box.append(button);
    return box;
  };

  const render = () => {
    list.replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE).map(row));
    const last = Math.max(0, Math.ceil(shown.length / PAGE) - 1);
    previous.disabled = page === 0;
    next.disabled = page >= last;
    const from = shown.length ? page * PAGE + 1 : 0;
    status.textContent = `${from} to ${Math.min(shown.length, (page + 1) * PAGE)} of ${shown.length} problems`;
  };

  const choose = () => {
    const wanted = search.value.trim().toLowerCase();
    shown = problems.filter((p) => FILTERS[filter.value](p) && p.id.toLowerCase().includes(wanted));
    page = 0;
    render();
  };

  filter.addEventListener("change", choose);
  search.addEventListener("input", choose);
  previous.addEventListener("click", () => { page -= 1; render(); });
  next.addEventListener("click", () => { page += 1; render(); });
  choose();
})();
