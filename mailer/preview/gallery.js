// The gallery's own part: its rows, filters, counts and seal. Everything is in this folder; it asks nothing of a network.
"use strict";
(() => {
  const el = (id) => document.getElementById(id);
  const data = JSON.parse(el("data").textContent);
  const [NAME, ADDRESS, SUBJECT, ROW, LANGUAGE, FILES, WARNINGS] = [0, 1, 2, 3, 4, 5, 6];
  // Very many rows stand in files of their own, and their messages in packs.
  const rows = data.rows || new Shelf(data.total, data.size);
  const at = (index) => (data.rows ? data.rows[index] : rows.row(index));
  const number = (n) => n.toLocaleString("en");
  const padded = (n, width) => String(n).padStart(width, "0");
  const first = new Set(data.telling);
  const filters = { all: null, first: (_row, index) => first.has(index + 1), warned: (row) => row[WARNINGS] > 0 };

  filters.first.places = data.telling.map((n) => n - 1).sort((one, other) => one - other);

  const browser = browse({
    draw: (row) => ({
      who: row[NAME] || row[ADDRESS],
      row: `row ${row[ROW]}`,
      about: row[NAME] ? row[ADDRESS] : row[SUBJECT],
      marks: [row[LANGUAGE], row[FILES] ? `${row[FILES]} attached` : "", row[WARNINGS] ? "warning" : ""].filter(Boolean).join(" · "),
      doubt: row[WARNINGS] > 0,
    }),
    haystack: (row) => `${row[NAME]} ${row[ADDRESS]} ${row[SUBJECT]} ${row[ROW]} ${row[LANGUAGE]}`,
    facets: {
      language: (row) => row[LANGUAGE] || "none",
      domain: (row) => row[ADDRESS].slice(row[ADDRESS].lastIndexOf("@") + 1),
      row: (row) => String(row[ROW]),
    },
    label: (index) => index + 1,
    find: (label) => (/^[1-9]\d*$/.test(label) && Number(label) <= rows.length ? Number(label) - 1 : -1),
    page: (index) => data.rows ? `messages/${padded(Math.floor((index + 1) / 1000), 2)}/${padded(index + 1, 6)}.html` : `messages/read.html?n=${index + 1}`,
    title: (index) => {
      const row = at(index);
      return `Message ${index + 1}${row ? ` to ${row[NAME] || row[ADDRESS]}` : ""}`;
    },
    count: (found, all) => {
      if (found === all) return all === 1 ? "1 message" : `${number(all)} messages`;
      return found ? `${number(found)} of ${number(all)} messages` : "No message matches.";
    },
  });

  const chips = [...document.querySelectorAll("[data-filter]")];
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      for (const other of chips) other.setAttribute("aria-pressed", String(other === chip));
      browser.only(filters[chip.dataset.filter]);
    });
  }
  for (const button of document.querySelectorAll("[data-search]")) {
    button.addEventListener("click", () => browser.look(button.dataset.search));
  }
  el("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(el("seal").textContent);
      el("copied").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(el("seal"));
      el("copied").textContent = "Selected: copy it with Ctrl+C";
    }
  });
  browser.update(rows);
  browser.show();
})();
