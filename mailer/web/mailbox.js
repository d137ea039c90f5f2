// The mailbox: the gallery's list over what has arrived, asked for again every two seconds while the page is looked at.
"use strict";
(() => {
  const el = (id) => document.getElementById(id);
  const PAUSE = 2000;
  const [ID, SUBJECT, FROM, TO, AT] = [0, 1, 2, 3, 4];
  const number = (n) => n.toLocaleString("en");
  const search = el("search");
  const frame = el("frame");
  let rows = [];
  let version = "";
  let state = "";
  let waiting = 0;

  const list = new MessageList(el("list"), {
    draw: (row) => ({ who: row[SUBJECT] || "(no subject)", row: row[AT].slice(11, 19), about: row[TO], marks: row[AT].slice(0, 10), doubt: false }),
    haystack: (row) => `${row[SUBJECT]} ${row[FROM]} ${row[TO]}`,
    facets: { domain: (row) => row[TO].slice(row[TO].lastIndexOf("@") + 1) },
    choose: (index) => { clearTimeout(waiting); waiting = setTimeout(() => read(index), 60); },
    open: () => { clearTimeout(waiting); if (list.chosen !== null) { read(list.chosen); frame.focus(); } },
  });

  const shown = () => location.hash.slice(1);
  const position = () => rows.findIndex((row) => row[ID] === shown());

  function read(index) {
    const hash = `#${rows[index][ID]}`;
    if (location.hash === hash) show();
    else if (document.body.classList.contains("reading")) location.replace(hash);
    else location.hash = hash;
  }

  function show() {
    const index = position();
    const reading = index >= 0;
    document.body.classList.toggle("reading", reading);
    el("overview").hidden = reading;
    el("message").hidden = !reading;
    el("back").hidden = !reading;
    el("steps").hidden = !reading;
    if (!reading) return;
    frame.title = `Message: ${rows[index][SUBJECT] || "no subject"}`;
    frame.contentWindow.location.replace(`/messages/${rows[index][ID]}#${state}`);
    if (list.chosen !== index) list.select(index);
  }

  function said() {
    const n = list.found.length;
    el("total").textContent = number(rows.length);
    el("noun").textContent = rows.length === 1 ? "message" : "messages";
    el("delete").hidden = rows.length === 0;
    el("found").textContent = n === rows.length ? (n ? `${number(n)} messages, newest first` : "Nothing has arrived yet.")
      : n ? `${number(n)} of ${number(rows.length)} messages` : "No message matches.";
  }

  async function refresh() {
    try {
      const answer = await fetch(`/messages?version=${encodeURIComponent(version)}`, { cache: "no-store" });
      if (answer.status === 200) {
        const news = await answer.json();
        version = news.version;
        rows = news.rows;
        const keep = position();
        list.setRows(rows, keep >= 0 ? keep : undefined);
        said();
        if (shown() && !document.body.classList.contains("reading")) show();
        if (keep < 0 && document.body.classList.contains("reading")) show();
      }
      el("alive").textContent = answer.ok ? "New messages appear by themselves." : "The mailbox cannot be read just now.";
    } catch {
      el("alive").textContent = "The mailbox has been stopped. What arrived is still in its folder.";
    }
    setTimeout(later, PAUSE);
  }
  // A page nobody looks at asks for nothing.
  function later() {
    if (!document.hidden) refresh();
    else document.addEventListener("visibilitychange", refresh, { once: true });
  }

  function find() { list.search(search.value, null); said(); }
  function overview() {
    if (document.body.classList.contains("reading")) location.hash = "";
    el("list").focus();
  }

  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); list.move(Math.max(0, list.at)); list.open(); }
    if (event.key === "ArrowDown") { event.preventDefault(); el("list").focus(); list.move(list.at + 1); }
    if (event.key === "Escape" && search.value) { event.stopPropagation(); search.value = ""; find(); }
  });
  el("back").addEventListener("click", overview);
  el("previous").addEventListener("click", () => list.move(Math.max(0, list.at - 1)));
  el("next").addEventListener("click", () => list.move(list.at + 1));

  function key(name) {
    if (name === "/") { search.focus(); search.select(); }
    else if (name === "ArrowDown") list.move(list.at + 1);
    else if (name === "ArrowUp") list.move(Math.max(0, list.at - 1));
    else if (name === "Escape") overview();
    else return false;
    return true;
  }
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === search && event.key !== "Escape") return;
    if (event.target.closest("#overview") && event.key.startsWith("Arrow")) return;
    if (key(event.key)) event.preventDefault();
  });
  addEventListener("message", (event) => {
    if (event.source !== frame.contentWindow || !event.data) return;
    if (event.data.mailer === "state") state = String(event.data.state);
    if (event.data.mailer === "key") key(event.data.key);
  });
  addEventListener("hashchange", show);
  refresh();
})();
