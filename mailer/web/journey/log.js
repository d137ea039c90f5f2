"use strict";
// What happened, page by page, the newest first. News of the ledger (the event `news`) brings the newest page anew.
{
  const area = document.getElementById("log");
  const part = (id) => document.getElementById(id);
  const csrf = document.querySelector("meta[name=csrf]").content;
  const language = document.documentElement.lang;
  const TIME = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
  const SHORT = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const SOON = 1000;
  let from = 0;
  let asked = 0;
  let news = null;
  let timer = 0;
  let shown = "";

  const make = (name, values = {}) => Object.assign(document.createElement(name), values);

  // Data, and what a server says: whichever way it is written, the words around it keep theirs.
  function data(name, text, className) {
    const made = make(name, { className });
    made.append(make("bdi", { textContent: text }));
    return made;
  }

  function moment(seconds) {
    const time = new Date(seconds * 1000);
    return (time.toDateString() === new Date().toDateString() ? SHORT : TIME).format(time);
  }

  function item(line) {
    const made = make("li", { className: line.kind.replace(" ", "-") });
    const body = make("div");
    if (line.who) {
      const [row, name, address] = line.who;
      const who = make("p", { className: "who" });
      who.append(make("bdi", { textContent: name || address }));
      if (name) who.append(" ", make("bdi", { textContent: address, className: "quiet small" }));
      if (row) who.title = row;
      body.append(who);
    }
    if (line.campaign && area.dataset.campaigns) body.append(data("p", line.campaign, "quiet small"));
    body.append(make("p", { textContent: line.text.replace("{until}", line.until ? moment(line.until) : "") }));
    if (line.words) {
      const details = make("details", { className: "small" });
      details.append(make("summary", { textContent: area.dataset.words }), data("p", line.words, "code"));
      body.append(details);
    }
    made.append(make("time", { textContent: moment(line.at), dateTime: new Date(line.at * 1000).toISOString(), className: "quiet small number" }), body);
    return made;
  }

  async function load() {
    const number = ++asked;
    const search = part("search").value;
    let text;
    try {
      const answer = await fetch(area.dataset.log, { method: "POST", body: new URLSearchParams({ csrf, q: search, from }) });
      text = await answer.text();
    } catch {
      return; // the page says itself that nothing answers
    }
    if (number !== asked || text === shown) return;
    shown = text;
    const said = JSON.parse(text);
    part("lines").replaceChildren(...said.lines.map(item));
    part("none").textContent = said.lines.length ? "" : search ? area.dataset.none : area.dataset.empty;
    part("none").hidden = said.lines.length > 0;
    part("newer").disabled = from === 0;
    part("older").disabled = !said.more;
    part("pages").hidden = from === 0 && !said.more;
    part("newer").onclick = () => { from = Math.max(0, from - said.size); load(); };
    part("older").onclick = () => { from += said.size; load(); };
  }

  const soon = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(() => { timer = 0; load(); }, wait);
  };

  part("search").addEventListener("input", () => { from = 0; soon(200); });
  addEventListener("news", (event) => {
    if (event.detail === news) return;
    const first = news === null;
    news = event.detail;
    // who reads an older page, or has opened the details of a line, is not disturbed
    if (first) load();
    else if (from === 0 && !area.querySelector("details[open]") && !timer) soon(SOON);
  });
}
