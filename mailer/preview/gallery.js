// The gallery: search, choose, read. Everything it shows is in this folder; it asks nothing of any network.
"use strict";
(() => {
  const el = (id) => document.getElementById(id);
  const data = JSON.parse(el("data").textContent);
  const [NAME, ADDRESS, SUBJECT, ROW, LANGUAGE, FILES, WARNINGS] = [0, 1, 2, 3, 4, 5, 6];
  const first = new Set(data.telling);
  const filters = { all: null, first: (row, i) => first.has(i + 1), warned: (row) => row[WARNINGS] > 0 };
  const domain = (row) => row[ADDRESS].slice(row[ADDRESS].lastIndexOf("@") + 1);
  const number = (n) => n.toLocaleString("en");
  const search = el("search");
  const frame = el("frame");
  let filter = "all";
  let state = "";
  let waiting = 0;

  const list = new MessageList(el("list"), {
    draw: (row) => ({
      who: row[NAME] || row[ADDRESS],
      row: `row ${row[ROW]}`,
      about: row[NAME] ? row[ADDRESS] : row[SUBJECT],
      marks: [row[LANGUAGE], row[FILES] ? `${row[FILES]} attached` : "", row[WARNINGS] ? "warning" : ""].filter(Boolean).join(" · "),
      doubt: row[WARNINGS] > 0,
    }),
    haystack: (row) => `${row[NAME]} ${row[ADDRESS]} ${row[SUBJECT]} ${row[ROW]} ${row[LANGUAGE]}`,
    facets: { language: (row) => row[LANGUAGE] || "none", domain, row: (row) => String(row[ROW]) },
    // Holding an arrow key passes over messages; only where it rests is loaded.
    choose: (index) => { clearTimeout(waiting); waiting = setTimeout(() => read(index), 60); },
    open: () => { clearTimeout(waiting); if (list.chosen !== null) { read(list.chosen); frame.focus(); } },
  });

  const path = (n) => `messages/${String(Math.floor(n / 1000)).padStart(2, "0")}/${String(n).padStart(6, "0")}.html`;

  function read(index) {
    const hash = `#${index + 1}`;
    if (location.hash === hash) show();
    else if (document.body.classList.contains("reading")) location.replace(hash);
    else location.hash = hash;
  }

  function show() {
    const n = Number(location.hash.slice(1));
    const reading = Number.isInteger(n) && n >= 1 && n <= data.rows.length;
    document.body.classList.toggle("reading", reading);
    el("overview").hidden = reading;
    el("message").hidden = !reading;
    el("back").hidden = !reading;
    el("steps").hidden = !reading;
    if (!reading) return;
    const row = data.rows[n - 1];
    frame.title = `Message ${n} to ${row[NAME] || row[ADDRESS]}`;
    frame.contentWindow.location.replace(new URL(`${path(n)}#${state}`, document.baseURI).href);
    if (list.chosen !== n - 1) list.select(n - 1);
  }

  function find() {
    list.search(search.value, filters[filter]);
    const n = list.found.length;
    el("found").textContent = n === data.rows.length ? `${number(n)} messages` : n ? `${number(n)} of ${number(data.rows.length)} messages` : "No message matches.";
  }

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
  for (const chip of document.querySelectorAll("[data-filter]")) {
    chip.addEventListener("click", () => {
      filter = chip.dataset.filter;
      for (const other of document.querySelectorAll("[data-filter]")) other.setAttribute("aria-pressed", String(other === chip));
      find();
    });
  }
  for (const button of document.querySelectorAll("[data-search]")) {
    button.addEventListener("click", () => { search.value = button.dataset.search; find(); search.focus(); });
  }
  el("back").addEventListener("click", overview);
  el("previous").addEventListener("click", () => list.move(Math.max(0, list.at - 1)));
  el("next").addEventListener("click", () => list.move(list.at + 1));
  el("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(el("seal").textContent);
      el("copied").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(el("seal"));
      el("copied").textContent = "Selected: copy it with Ctrl+C";
    }
  });

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
    const typing = event.target === search;
    if (typing && event.key !== "Escape") return;
    if (event.target.closest("#overview") && event.key.startsWith("Arrow")) return;
    if (key(event.key)) event.preventDefault();
  });
  addEventListener("message", (event) => {
    if (event.source !== frame.contentWindow || !event.data) return;
    if (event.data.mailer === "state") state = String(event.data.state);
    if (event.data.mailer === "key") key(event.data.key);
  });
  addEventListener("hashchange", show);
  list.setRows(data.rows);
  find();
  show();
})();
