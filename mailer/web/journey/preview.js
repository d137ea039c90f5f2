"use strict";
// The table comes page by page, each message when it is asked for; the check goes on meanwhile and is asked after.
const query = location.search.slice(1);
const part = (id) => document.getElementById(id);
const check = part("check");
const words = check.dataset;
const rows = part("rows");
const frame = part("message");
const NUMBER = new Intl.NumberFormat(document.documentElement.lang);
const csrf = document.querySelector("meta[name=csrf]").content;
let from = 0;
let chosen = 0;
let known = null;
let asked = 0;

const told = (text, values) => text.replace(/\{(\w+)\}/g, (_all, name) => NUMBER.format(values[name]));

function item(name, text) {
  return Object.assign(document.createElement(name), { textContent: text });
}

// Data, and what a command says: whichever way it is written, the words around it keep theirs.
function data(name, text) {
  const made = document.createElement(name);
  made.append(item("bdi", text));
  return made;
}

function lines(id, found, list = "ul") {
  part(id).hidden = !found.length;
  part(id).querySelector(list).replaceChildren(...found.map((line) => data("li", line)));
}

function open(number) {
  chosen = number;
  frame.src = `/preview/message/${number}?${query}`;
  frame.hidden = false;
  part("nothing").hidden = true;
  mark();
}

function mark() {
  for (const row of rows.children) row.toggleAttribute("aria-current", Number(row.dataset.number) === chosen);
}

function button(text, number) {
  const made = Object.assign(document.createElement("button"), { type: "button", className: "who" });
  made.append(Object.assign(document.createElement("bdi"), { textContent: text }));
  made.addEventListener("click", () => open(number));
  return made;
}

async function table() {
  const number = ++asked;
  const search = part("search").value;
  const body = new URLSearchParams(query);
  for (const [name, value] of Object.entries({ csrf, q: search, from })) body.set(name, value);
  const answer = await fetch("/preview/rows", { method: "POST", body });
  const said = await answer.json();
  if (number !== asked) return;
  rows.replaceChildren(...said.rows.map(([at, row, name, address, subject]) => {
    const line = document.createElement("tr");
    line.dataset.number = at;
    const head = Object.assign(item("th", row), { scope: "row", className: "figure" });
    head.dataset.label = words.row;
    const who = document.createElement("td");
    who.append(button(name || address, at));
    if (name) who.append(document.createElement("br"), Object.assign(item("bdi", address), { className: "quiet small" }));
    const what = data("td", subject);
    line.append(head, who, what);
    return line;
  }));
  part("found").textContent = said.found ? told(words.found, { found: said.found }) : words.none;
  part("before").disabled = from === 0;
  part("after").disabled = from + said.size >= said.found;
  mark();
  if (!chosen && said.rows.length) open(said.rows[0][0]);
}

// The cells that can be filled in, once they are known: whoever is typing into one keeps it.
function blanks(cells, age) {
  const form = part("blanks");
  const told = JSON.stringify([cells, age]);
  if (form.dataset.told === told) return;
  form.dataset.told = told;
  form.hidden = !cells.length;
  form.elements.age.value = age;
  form.querySelector(".cells").replaceChildren(...cells.map(([name, label]) => {
    const cell = Object.assign(document.createElement("label"), { className: "field" });
    cell.append(item("bdi", label), Object.assign(document.createElement("input"), { name, autocomplete: "off", dir: "auto" }));
    return cell;
  }));
}

function leads(place, ways) {
  place.hidden = !ways.length;
  place.replaceChildren(...ways.map(([textContent, href]) => Object.assign(document.createElement("a"), { className: "button", href, textContent })));
}

// Of a campaign that has begun, or whose letter these people have from another one.
function rest(found) {
  const place = part("rest");
  place.hidden = !found?.lines.length;
  if (place.hidden) return;
  const heading = place.querySelector("h2");
  heading.textContent = found.title;
  heading.hidden = !found.title;
  place.querySelector("ul").replaceChildren(...found.lines.map((line) => data("li", line)));
  leads(place.querySelector("p"), found.ways);
}

async function state() {
  let said;
  try {
    said = await (await fetch(`/preview/state?${query}`)).json();
  } catch {
    part("phase").textContent = words.lost;
    setTimeout(state, 3000);
    return;
  }
  const bar = part("progress");
  const working = said.phase === "checking" || said.phase === "making";
  bar.hidden = !working;
  if (said.total) Object.assign(bar, { max: said.total, value: said.done });
  const text = { checking: said.total ? words.checking : words.reading, making: words.making, ready: words.ready, failed: "" }[said.phase];
  part("phase").textContent = told(text, { done: said.done, total: said.phase === "ready" ? said.messages : said.total });
  part("account").textContent = said.account;
  part("account").hidden = !said.account;
  if (said.error) {
    part("refused").replaceChildren(...said.error.filter(Boolean).map((line) => data("p", line)));
    part("refused").hidden = part("failed").hidden = false;
    part("phase").hidden = part("messages").hidden = true;
  }
  lines("problems", said.problems);
  if (part("mendable")) {
    part("mendable").hidden = !said.mendable;
    part("letter").hidden = said.mendable;
  }
  part("refusal").hidden = !said.refusal.length;
  part("refusal").replaceChildren(...said.refusal.map((line) => data("p", line)));
  blanks(said.blanks, said.age);
  lines("warnings", said.warnings);
  leads(part("ways"), said.ways);
  rest(said.rest);
  lines("changes", said.changes);
  part("telling").hidden = !said.telling.length;
  part("telling").querySelector("ol").replaceChildren(...said.telling.map(([number, why, name, subject]) => {
    const line = document.createElement("li");
    const about = Object.assign(document.createElement("span"), { className: "quiet" });
    about.append(" ", item("bdi", subject), ` (${why})`);
    line.append(button(name, number), about);
    return line;
  }));
  if (said.messages !== known) {
    known = said.messages;
    table();
  }
  if (said.seal) {
    part("seal").textContent = said.seal;
    part("sealed").hidden = false;
    part("onward").hidden = !said.messages || (said.problems.length && !words.skips);
  }
  // who gets one is known long before all is checked: it is asked for at short intervals until then
  if (working) setTimeout(state, said.messages === null ? 80 : 400);
}

let timer = 0;
part("search").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => { from = 0; table(); }, 30);
});
part("before").addEventListener("click", () => { from = Math.max(0, from - 50); table(); });
part("after").addEventListener("click", () => { from += 50; table(); });
state();
