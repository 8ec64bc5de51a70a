"use strict";
// Texts of data go into the page as text nodes alone, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const index = JSON.parse(byId("index").textContent);
  const PAGE = 40;
  const controls = { evaluator: byId("evaluator"), q: byId("query"), a: byId("a"), b: byId("b"), show: byId("show"), sort: byId("sort"), part: byId("part"), documents: byId("documents") };
  const loaded = new Map();
  let rows = [], shown = 0, data = null;

  function make(tag, className, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    for (const child of children) if (child !== null && child !== undefined) element.append(child);
    return element;
  }
  function text(tag, className, value) {
    const element = make(tag, className, String(value));
    element.dir = "auto";
    return element;
  }
  const number = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
  const shownValue = (value) => (typeof value === "number" ? String(Math.round(value * 1000) / 1000) : String(value));
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(value).toFixed(3);
  const count = (value) => value.toLocaleString("en-US");
  const plural = (value, word) => count(value) + " " + word + (value === 1 ? "" : "s");

  function load(place) {
    if (!loaded.has(place)) loaded.set(place, JSON.parse(byId("items-" + place).textContent));
    return loaded.get(place);
  }
  const answer = (item, model) => item.m[model] || null;
  const score = (item, model) => (answer(item, model) ? answer(item, model).v : null);
  const difference = (item, now) => {
    const one = score(item, now.modelA), other = score(item, now.modelB);
    return one === null || other === null ? null : one - other;
  };
  const documentOf = (place) => data.documents[place][1];

  // The text of an item that a search looks at: ids, texts and labels, or its documents as well.
  function searchable(item, withDocuments) {
    const name = withDocuments ? "everything" : "words";
    if (item[name] === undefined) {
      const parts = [item.id, item.t, item.s, item.e, item.part];
      for (const [, , label] of item.x || []) parts.push(label);
      for (const one of Object.values(item.m)) {
        parts.push(one.p);
        if (withDocuments) for (const [place] of [...(one.r || []), ...(one.k || [])]) parts.push(data.documents[place][0], documentOf(place));
        for (const [, , label] of one.g || []) parts.push(label);
        for (const [, , word] of one.w || []) parts.push(word);
      }
      item[name] = parts.filter((part) => part !== undefined && part !== null).join("\n").toLowerCase();
    }
    return item[name];
  }

  // Controls and what is chosen in them.
  function options(select, entries, chosen) {
    select.replaceChildren(...entries.map(([value, label]) => {
      const option = make("option", "", label);
      option.value = value;
      return option;
    }));
    select.value = entries.some(([value]) => value === chosen) ? chosen : entries.length ? entries[0][0] : "";
  }
  const state = () => Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.type === "checkbox" ? (control.checked ? "yes" : "") : control.value]));

  function open(wanted) {
    const labels = index.evaluators.map((evaluator) => evaluator.label);
    options(controls.evaluator, labels.map((label, place) => [label, label + " (" + count(index.evaluators[place].items) + ")"]), wanted.evaluator);
    const place = Math.max(0, labels.indexOf(controls.evaluator.value));
    data = load(place);
    const names = data.models.map((model) => [index.models[model], index.models[model]]);
    options(controls.a, names, wanted.a);
    const others = names.filter(([name]) => name !== controls.a.value);
    options(controls.b, names.length > 1 ? names : [], wanted.b && wanted.b !== controls.a.value ? wanted.b : others.length ? others[0][0] : "");
    controls.b.parentElement.hidden = names.length < 2;
    const two = names.length > 1, judged = data.items.some((item) => Object.values(item.m).some((one) => one.c !== undefined));
    options(controls.show, [
      ["all", "all items"],
      ...(judged ? [...(two ? [["a-right", "A right, B wrong"], ["b-right", "B right, A wrong"], ["both-wrong", "both wrong"], ["both-right", "both right"]] : [["right", "right"], ["wrong", "wrong"]])] : []),
      ...(two ? [["a-better", "A better than B"], ["b-better", "B better than A"], ["differ", "A and B differ"]] : []),
    ], wanted.show);
    options(controls.sort, [
      ...(two ? [["difference", "largest difference"], ["a-ahead", "A ahead of B"], ["b-ahead", "B ahead of A"]] : []),
      ["worst", "lowest score of A"], ["best", "highest score of A"], ["order", "order of the data"],
    ], wanted.sort);
    const parts = [...new Set(data.items.map((item) => item.part).filter(Boolean))];
    options(controls.part, [["", "all"], ...parts.map((part) => [part, part])], wanted.part);
    controls.part.parentElement.hidden = parts.length < 2;
    if (parts.length < 2) controls.part.value = "";
    if (wanted.q !== undefined) controls.q.value = wanted.q;
    controls.documents.checked = Boolean(wanted.documents);
    controls.documents.parentElement.hidden = data.documents.length === 0;
    legend();
    update();
  }

  function legend() {
    const grades = new Set();
    for (const item of data.items) for (const one of Object.values(item.m)) for (const [, grade] of [...(one.r || []), ...(one.k || [])]) grades.add(grade);
    const known = [...grades].filter((grade) => grade !== null).sort((one, other) => other - one);
    data.highest = known.length ? Math.max(1, known[0]) : 1;
    const target = byId("legend");
    target.hidden = grades.size === 0;
    if (grades.size) target.replaceChildren("Relevance:", ...known.map((grade) => chipOf(grade)), ...(grades.has(null) ? [chipOf(null)] : []));
  }

  function matches(item, now, words) {
    if (now.part && item.part !== now.part) return false;
    if (words.length) {
      const searched = searchable(item, now.documents && data.documents.length > 0);
      if (!words.every((word) => searched.includes(word))) return false;
    }
    const one = answer(item, now.modelA), other = now.two ? answer(item, now.modelB) : null;
    const right = (it) => it !== null && it.c === true, wrong = (it) => it !== null && it.c === false;
    const ahead = difference(item, now);
    switch (now.show) {
      case "a-right": return right(one) && wrong(other);
      case "b-right": return right(other) && wrong(one);
      case "both-wrong": return wrong(one) && wrong(other);
      case "both-right": return right(one) && right(other);
      case "right": return right(one);
      case "wrong": return wrong(one);
      case "a-better": return ahead > 1e-9;
      case "b-better": return ahead < -1e-9;
      case "differ": return Math.abs(ahead) > 1e-9;
      default: return true;
    }
  }

  function current() {
    const now = state();
    now.modelA = index.models.indexOf(now.a);
    now.modelB = index.models.indexOf(now.b);
    now.two = now.modelB >= 0;
    return now;
  }

  function update() {
    const now = current(), words = now.q.toLowerCase().split(/\s+/).filter(Boolean);
    const low = (value, missing) => (value === null ? missing : value);
    const orders = {
      difference: (item) => -Math.abs(low(difference(item, now), -0)),
      "a-ahead": (item) => -low(difference(item, now), -9e9),
      "b-ahead": (item) => low(difference(item, now), 9e9),
      worst: (item) => low(score(item, now.modelA), 9e9),
      best: (item) => -low(score(item, now.modelA), -9e9),
    };
    rows = data.items.filter((item) => matches(item, now, words));
    const order = orders[now.sort];
    if (order) rows = rows.map((item, place) => [order(item), place, item]).sort((x, y) => x[0] - y[0] || x[1] - y[1]).map((row) => row[2]);
    shown = 0;
    byId("list").replaceChildren();
    more(now);
    const label = controls.evaluator.value, entry = index.evaluators.find((evaluator) => evaluator.label === label);
    const metric = (model) => index.models[model] + " " + number(entry.values[model]);
    const stored = entry.total > data.items.length ? ", a sample of " + count(entry.total) : "";
    const compared = now.two ? [now.modelA, now.modelB] : [now.modelA];
    byId("status").textContent = (rows.length < data.items.length ? count(rows.length) + " of " : "") + plural(data.items.length, "item") + stored + ". " + entry.metric + ": " + compared.map(metric).join(", ") + ".";
    const wanted = new URLSearchParams(Object.entries({ evaluator: now.evaluator, q: now.q, a: now.a, b: now.b, show: now.show, sort: now.sort, part: now.part, documents: now.documents }).filter(([, value]) => value));
    try { history.replaceState(null, "", "#" + wanted); } catch { /* some browsers refuse this for files */ }
  }

  function more(now) {
    const list = byId("list");
    for (const item of rows.slice(shown, shown + PAGE)) list.append(row(item, now));
    shown = Math.min(rows.length, shown + PAGE);
    const button = byId("more");
    button.hidden = shown >= rows.length;
    button.textContent = "Show " + count(Math.min(PAGE, rows.length - shown)) + " more of " + count(rows.length - shown);
  }

  // An item: the head at once, the rest when it is opened.
  function row(item, now) {
    const title = text("span", "title", item.t || "(empty)");
    if (item.s) title.append(" ", text("span", "other", "· " + item.s));
    const numbers = make("span", "numbers");
    const add = (letter, model) => {
      const it = answer(item, model);
      const mark = it && it.c !== undefined ? make("span", "chip " + (it.c ? "yes" : "no"), it.c ? "right" : "wrong") : null;
      numbers.append(make("span", "", make("span", "name", letter), make("b", "", number(score(item, model))), mark ? " " : null, mark));
    };
    add("A", now.modelA);
    if (now.two) {
      add("B", now.modelB);
      const ahead = difference(item, now);
      numbers.append(make("span", "difference" + (ahead > 0 ? " up" : ahead < 0 ? " down" : ""), ahead === null ? "–" : signed(ahead)));
    }
    const details = make("details", "item", make("summary", "", title, numbers));
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(body(item, now));
    });
    return details;
  }

  function body(item, now) {
    const models = now.two ? [now.modelA, now.modelB] : [now.modelA], letters = ["A", "B"];
    const target = make("div", "body");
    const whole = make("div", "text");
    whole.dir = "auto";
    const masked = Object.values(item.m).find((one) => one.w);
    if (item.x) whole.append(...marked(item.t, item.x.map(([from, to, label]) => [from, to, "true", label])));
    else if (masked) whole.append(...marked(item.t, masked.w.map(([from, to]) => [from, to, "masked", ""])));
    else whole.append(item.t);
    // The head shows a short text whole.
    if (item.x || masked || item.s || item.t.length > 100) target.append(whole);
    if (item.s) target.append(text("div", "text", item.s));
    const facts = make("p", "soft");
    if (item.part) facts.append(item.part + " · ");
    if (item.e !== undefined) facts.append("true: ", text("span", "chip label gn", shownValue(item.e)), " · ");
    facts.append("id ", text("code", "", item.id));
    target.append(facts);
    const sides = make("div", "sides");
    models.forEach((model, place) => {
      const it = answer(item, model), other = answer(item, models[1 - place]);
      const side = make("section", "", make("h3", "", letters[place] + ": ", text("span", "", index.models[model]), " ", make("small", "", it ? number(it.v) : "has no such item")));
      if (it) fill(side, item, it, other, letters[1 - place]);
      sides.append(side);
    });
    target.append(sides);
    if (data.models.length > models.length) target.append(everyModel(item));
    return target;
  }

  function fill(side, item, it, other, otherLetter) {
    if (it.p !== undefined) side.append(make("p", "", "predicted: ", text("span", "chip label " + (it.c === undefined ? "gn" : it.c ? "yes" : "no"), shownValue(it.p))));
    if (it.r) {
      const theirs = new Map((other && other.r ? other.r : []).map(([place], rank) => [place, rank + 1]));
      const there = (place) => (!other || !other.r ? "" : theirs.has(place) ? otherLetter + ": rank " + theirs.get(place) : "not in " + otherLetter + "’s first " + other.r.length);
      side.append(make("ol", "ranks", ...it.r.map(([place, grade, value], rank) => ranked(rank + 1, grade, place, [value === null ? "" : shownValue(value), there(place)]))));
      if (!it.r.length) side.append(make("p", "soft", "no document was found"));
    }
    if (it.k && it.k.length) {
      side.append(make("h3", "", "Relevant, not among the first " + (it.r || []).length));
      side.append(make("ol", "ranks", ...it.k.map(([place, grade, , rank]) => ranked("", grade, place, [rank ? "rank " + count(rank) : "not ranked"]))));
    }
    if (it.g) {
      const same = (one, another) => one[0] === another[0] && one[1] === another[1] && one[2] === another[2];
      const truth = item.x || [];
      const line = make("div", "text", ...marked(item.t, it.g.map((span) => [span[0], span[1], truth.some((other) => same(span, other)) ? "" : "no", span[2]])));
      line.dir = "auto";
      side.append(line);
      const lost = truth.filter((span) => !it.g.some((other) => same(span, other)));
      if (lost.length) side.append(make("p", "soft", "missed: "), make("div", "words", ...lost.map(([from, to, label]) => text("span", "chip label no", Array.from(item.t).slice(from, to).join("") + " · " + label))));
    }
    if (it.w) {
      const letters = Array.from(item.t);
      side.append(make("div", "words", ...it.w.map(([from, to, guess, correct]) => {
        const truth = letters.slice(from, to).join("");
        return text("span", "chip label " + (correct ? "yes" : "no"), correct ? truth : truth + " ← " + (guess || "(nothing)"));
      })));
    }
  }

  function everyModel(item) {
    const predicted = Object.values(item.m).some((one) => one.p !== undefined);
    const head = make("tr", "", make("th", "", "model"), make("th", "n", "score"), predicted ? make("th", "", "predicted") : null);
    const lines = data.models.map((model) => {
      const it = answer(item, model);
      return make("tr", "", text("td", "", index.models[model]), make("td", "n", it ? number(it.v) : "–"), predicted ? text("td", "", it && it.p !== undefined ? shownValue(it.p) : "") : null);
    });
    return make("div", "wide", make("table", "all", head, ...lines));
  }

  function chipOf(grade) {
    if (grade === null) return make("span", "chip gn", "not judged");
    const level = grade <= 0 ? 0 : Math.max(1, Math.round((3 * grade) / data.highest));
    return make("span", "chip g" + level, "grade " + grade);
  }

  function ranked(rank, grade, place, notes) {
    const said = notes.filter(Boolean).join(" · ");
    return make("li", "", make("span", "n", String(rank)), make("span", "", chipOf(grade)), make("span", "", text("span", "document", documentOf(place) || data.documents[place][0]), said ? make("small", "", said) : null));
  }

  // A text with marked places, counted in characters as Python counts them; where two overlap, the later one is left out.
  function marked(whole, places) {
    const letters = Array.from(whole), pieces = [];
    let end = 0;
    for (const [from, to, kind, label] of [...places].sort((one, other) => one[0] - other[0])) {
      if (from < end || to > letters.length) continue;
      pieces.push(letters.slice(end, from).join(""));
      pieces.push(make("mark", kind, make("bdi", "", letters.slice(from, to).join("")), label ? text("small", "", label) : null));
      end = to;
    }
    pieces.push(letters.slice(end).join(""));
    return pieces;
  }

  const asked = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  byId("controls").hidden = false;
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  controls.evaluator.addEventListener("change", () => open({ ...state(), part: "" }));
  controls.a.addEventListener("change", () => open(state()));
  for (const name of ["b", "show", "sort", "part", "documents"]) controls[name].addEventListener("change", update);
  let waiting = 0;
  controls.q.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(update, 120); });
  byId("more").addEventListener("click", () => {
    const first = shown;
    more(current());
    const next = byId("list").children[first];
    if (next) next.firstElementChild.focus({ preventScroll: true });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !["INPUT", "SELECT"].includes(event.target.tagName)) {
      event.preventDefault();
      controls.q.focus();
    }
  });
  addEventListener("hashchange", () => open(asked()));
  open(asked());
})();
