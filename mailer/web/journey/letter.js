"use strict";
// How the letter looks, beside it, a moment after each change; the fields of the list at a click; the subject as a form.
const form = document.getElementById("write");

if (form) {
  const text = document.getElementById("text");
  const look = document.getElementById("look");
  const nothing = document.getElementById("nothing");
  const wrong = document.getElementById("wrong");
  const standing = document.getElementById("standing");
  const subject = document.getElementById("subject");
  const LINE = /^(subject:[ \t]*)(.*)$/m;
  let asked = 0;
  let timer = 0;
  let saved = text.value;

  const head = () => (/^---\r?\n[^]*?\n---\r?\n/.exec(text.value) || [""])[0];

  function readSubject() {
    const found = LINE.exec(head());
    document.getElementById("front").hidden = !found;
    if (!found || document.activeElement === subject) return;
    const plain = found[2].trim();
    subject.value = /^".*"$/.test(plain) ? plain.slice(1, -1).replace(/\\(["\\])/g, "$1") : plain;
  }

  function writeSubject() {
    const before = head();
    const value = `"${subject.value.replace(/[\r\n]+/g, " ").replace(/["\\]/g, "\\$&")}"`;
    text.value = before.replace(LINE, (_line, name) => name + value) + text.value.slice(before.length);
    changed();
  }

  async function show() {
    const number = ++asked;
    try {
      const answer = await fetch("/letter/look", { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/json" } });
      const said = await answer.json();
      if (number !== asked) return;
      const lines = [...(said.problems || []), said.error, said.hint].filter(Boolean);
      wrong.replaceChildren(...lines.map((line) => {
        const made = document.createElement("li");
        made.append(Object.assign(document.createElement("bdi"), { textContent: line }));
        return made;
      }));
      wrong.hidden = !lines.length;
      if (said.look) {
        look.src = said.look;
        look.hidden = false;
        nothing.hidden = true;
      }
    } catch {
      if (number === asked) standing.textContent = form.dataset.lost;
    }
  }

  function changed() {
    standing.textContent = text.value === saved ? "" : form.dataset.changed;
    clearTimeout(timer);
    timer = setTimeout(show, 400);
  }

  text.addEventListener("input", () => { readSubject(); changed(); });
  subject.addEventListener("input", writeSubject);
  for (const chip of document.querySelectorAll("[data-field]")) {
    chip.addEventListener("click", () => {
      text.focus();
      text.setRangeText(`{{ ${chip.dataset.field} }}`, text.selectionStart, text.selectionEnd, "end");
      changed();
    });
  }
  form.addEventListener("submit", () => { saved = text.value; });
  addEventListener("beforeunload", (event) => { if (text.value !== saved) event.preventDefault(); });
  readSubject();
  show();
}
