// Search, choose and read: what the gallery and the mailbox have in common around the list and the message's frame.
"use strict";
// `label(index)` names a message in the address after #, `find(label)` is its inverse (-1: none), `page(index)` is the
// address of its page, `title(index)` its name for a screen reader, `count(found, all)` the line below the search.
function browse({ draw, haystack, facets, label, find, page, title, count }) {
  const el = (id) => document.getElementById(id);
  const search = el("search");
  const frame = el("frame");
  let filter = null;
  let state = "";
  let waiting = 0;
  const reading = () => document.body.classList.contains("reading");

  const list = new MessageList(el("list"), {
    draw,
    haystack,
    facets,
    // Holding an arrow key passes over messages; only where it rests is loaded.
    changed: () => say(),
    choose: (index) => { settle(); waiting = setTimeout(() => { waiting = 0; read(index); }, 60); },
    open: () => { settle(); if (list.chosen !== null) { read(list.chosen); frame.focus(); } },
  });

  function settle() { clearTimeout(waiting); waiting = 0; }

  function read(index) {
    const hash = `#${label(index)}`;
    if (location.hash === hash) show();
    else if (reading()) location.replace(hash);
    else location.hash = hash;
  }

  function show() {
    const index = find(location.hash.slice(1));
    const on = index >= 0;
    document.body.classList.toggle("reading", on);
    el("overview").hidden = on;
    for (const id of ["message", "back", "steps"]) el(id).hidden = !on;
    if (!on) return;
    frame.title = title(index);
    const wanted = new URL(`${page(index)}#${state}`, document.baseURI).href;
    if (frame.dataset.page !== wanted) frame.contentWindow.location.replace(wanted);
    frame.dataset.page = wanted;
    // The address tells of a change late; whoever has moved on since is not to be taken back.
    if (!waiting && list.chosen !== index && list.select(index)) settle();
  }

  function say() {
    const found = count(list.found.length, list.rows.length);
    const sofar = (el("found").dataset.searched || "{found} so far; {percent} % searched").replace("{percent}", Math.floor(list.searched * 100));
    el("found").textContent = list.searched < 1 ? sofar.replace("{found}", () => found.replace(/\.$/, "")) : found;
  }
  function look() { list.search(search.value, filter); say(); }
  function forward() { list.move(list.at + 1); }
  function backward() { list.move(Math.max(0, list.at - 1)); }
  function overview() {
    settle();
    if (reading()) location.hash = "";
    el("list").focus();
  }

  const keys = {
    "/": () => { search.focus(); search.select(); },
    ArrowDown: forward,
    ArrowUp: backward,
    Escape: overview,
  };
  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { list.move(Math.max(0, list.at)); list.open(); }
    else if (event.key === "ArrowDown") { el("list").focus(); forward(); }
    else if (event.key === "Escape" && search.value) { search.value = ""; look(); }
    else return;
    event.preventDefault();
  });
  el("back").addEventListener("click", overview);
  el("previous").addEventListener("click", backward);
  el("next").addEventListener("click", forward);
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    if (event.target === search && event.key !== "Escape") return;
    if (event.target.closest("#overview") && event.key.startsWith("Arrow")) return;
    event.preventDefault();
    keys[event.key]();
  });
  addEventListener("message", (event) => {
    if (event.source !== frame.contentWindow || !event.data) return;
    if (event.data.mailer === "state") state = String(event.data.state);
    if (event.data.mailer === "key" && Object.hasOwn(keys, event.data.key)) keys[event.data.key]();
  });
  addEventListener("hashchange", show);

  return {
    show,
    // New rows; the message that is being read stays chosen.
    update(rows) {
      const index = find(location.hash.slice(1));
      list.setRows(rows, index < 0 ? undefined : index);
      say();
      if (reading() !== index >= 0) show();
    },
    only(wanted) { filter = wanted; look(); },
    look(words) { search.value = words; look(); search.focus(); },
  };
}
