// The mailbox's own part: what has arrived, asked for again every two seconds while the page is looked at.
"use strict";
(() => {
  const el = (id) => document.getElementById(id);
  const PAUSE = 2000;
  const [KEY, SUBJECT, FROM, TO, AT] = [0, 1, 2, 3, 4];
  const number = (n) => n.toLocaleString("en");
  let rows = [];
  let version = "";

  const browser = browse({
    draw: (row) => ({
      who: row[TO] || "(no recipient known)",
      row: row[AT].slice(11, 19),
      about: row[SUBJECT] || "(no subject)",
      marks: row[AT].slice(0, 10),
      doubt: false,
    }),
    haystack: (row) => `${row[SUBJECT]} ${row[FROM]} ${row[TO]}`,
    facets: { domain: (row) => row[TO].slice(row[TO].lastIndexOf("@") + 1) },
    label: (index) => rows[index][KEY],
    find: (label) => rows.findIndex((row) => row[KEY] === label),
    page: (index) => `messages/${rows[index][KEY]}`,
    title: (index) => `Message: ${rows[index][SUBJECT] || "no subject"}`,
    count: (found, all) => {
      if (!all) return "Nothing has arrived yet.";
      if (found === all) return `${number(all)} ${all === 1 ? "message" : "messages"}, newest first`;
      return found ? `${number(found)} of ${number(all)} messages` : "No message matches.";
    },
  });

  async function refresh() {
    try {
      const answer = await fetch(`messages?version=${version}`, { cache: "no-store" });
      if (answer.status === 200) {
        ({ rows, version } = await answer.json());
        browser.update(rows);
        el("total").textContent = number(rows.length);
        el("noun").textContent = rows.length === 1 ? "message" : "messages";
        el("delete").hidden = rows.length === 0;
      }
      say(answer.ok ? "New messages appear by themselves." : "The mailbox's folder cannot be read just now.");
    } catch {
      say("The mailbox has been stopped. What arrived is still in its folder.");
    }
    setTimeout(later, PAUSE);
  }

  // A status that is written again is read aloud again.
  function say(words) { if (el("alive").textContent !== words) el("alive").textContent = words; }

  // A page nobody looks at asks for nothing.
  function later() {
    if (!document.hidden) refresh();
    else document.addEventListener("visibilitychange", refresh, { once: true });
  }

  refresh();
})();
