// The mailbox's own part: what has arrived, asked for again every two seconds while the page is looked at.
"use strict";
(() => {
  const el = (id) => document.getElementById(id);
  const PAUSE = 2000;
  const [KEY, SUBJECT, FROM, TO, AT] = [0, 1, 2, 3, 4];
  const number = (n) => n.toLocaleString(document.documentElement.lang);
  const words = el("words").dataset;
  let rows = [];
  let version = "";

  const browser = browse({
    draw: (row) => ({
      who: row[TO] || words.nobody,
      row: row[AT].slice(11, 19),
      about: row[SUBJECT] || words.noSubject,
      marks: row[AT].slice(0, 10),
      doubt: false,
    }),
    haystack: (row) => `${row[SUBJECT]} ${row[FROM]} ${row[TO]}`,
    facets: { domain: (row) => row[TO].slice(row[TO].lastIndexOf("@") + 1) },
    label: (index) => rows[index][KEY],
    find: (label) => rows.findIndex((row) => row[KEY] === label),
    page: (index) => `messages/${rows[index][KEY]}`,
    title: (index) => words.title.replace("{subject}", rows[index][SUBJECT] || words.noSubject),
    count: (found, all) => {
      if (!all) return words.empty;
      if (found === all) return (all === 1 ? words.one : words.many).replace("{number}", number(all));
      return found ? words.of.replace("{found}", number(found)).replace("{all}", number(all)) : words.none;
    },
  });

  async function refresh() {
    try {
      const answer = await fetch(`messages?version=${version}`, { cache: "no-store" });
      if (answer.status === 200) {
        ({ rows, version } = await answer.json());
        browser.update(rows);
        el("total").textContent = number(rows.length);
        el("noun").textContent = rows.length === 1 ? words.arrivedOne : words.arrived;
        el("delete").hidden = rows.length === 0;
      }
      say(answer.ok ? words.new : words.unreadable);
    } catch {
      say(words.stopped);
    }
    setTimeout(later, PAUSE);
  }

  // A status that is written again is read aloud again.
  function say(sentence) { if (el("alive").textContent !== sentence) el("alive").textContent = sentence; }

  // A page nobody looks at asks for nothing.
  function later() {
    if (!document.hidden) refresh();
    else document.addEventListener("visibilitychange", refresh, { once: true });
  }

  refresh();
})();
