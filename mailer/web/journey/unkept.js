"use strict";
// What was typed and not kept yet. A page that was closed meanwhile is opened again in another tab, and this one goes on with that one's
// token; over a reload the browser's memory of this tab holds the text, until it is read again or another page is shown.
const UNKEPT = "letter that is not kept";

// The token for forms as of now, also put into all of them; null while the page is closed to this browser, undefined where it does not answer.
async function token() {
  try {
    const answer = await fetch("/session", { cache: "no-store", headers: { Accept: "application/json" } });
    if (answer.status === 403) return null;
    if (!answer.ok) return undefined;
    const { csrf } = await answer.json();
    document.querySelector("meta[name=csrf]").content = csrf;
    for (const input of document.querySelectorAll("input[name=csrf]")) input.value = csrf;
    return csrf;
  } catch {
    return undefined;
  }
}

const NEVER = ["csrf", "file"];
const written = (form) => [...new FormData(form)].filter(([name]) => !NEVER.includes(name));

function remember(form) {
  sessionStorage.setItem(UNKEPT, JSON.stringify([form.elements.file.value, form.elements.text?.name ?? "", written(form)]));
}

// What was remembered of this very form, once; `grow` makes room for one row more where rows are filled in.
function recall(form, grow) {
  const text = sessionStorage.getItem(UNKEPT);
  sessionStorage.removeItem(UNKEPT);
  if (!text) return false;
  const [file, view, fields] = JSON.parse(text);
  if (file !== form.elements.file.value || view !== (form.elements.text?.name ?? "")) return false;
  if (JSON.stringify(fields) === JSON.stringify(written(form))) return false;
  for (const one of form.querySelectorAll("input[type=checkbox]")) one.checked = false;
  for (const [name, value] of fields) {
    for (const one of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (one.type === "checkbox") one.checked ||= one.value === value;
      else one.value = value;
      const row = one.closest("[data-more] > [data-row]");
      if (row) grow(row);
    }
  }
  return true;
}
