"use strict";
// How the letter looks, beside it, a moment after each change; fields at a click, into whatever was written in last; files from this computer.
const form = document.getElementById("write");

if (form) {
  const text = document.getElementById("text");
  const look = document.getElementById("look");
  const nothing = document.getElementById("nothing");
  const wrong = document.getElementById("wrong");
  const standing = document.getElementById("standing");
  const chips = document.getElementById("fields");
  const told = (line) => {
    const made = document.createElement("li");
    made.append(Object.assign(document.createElement("bdi"), { textContent: line }));
    return made;
  };
  let asked = 0;
  let timer = 0;
  let leaving = false;
  let taking = text;

  const closed = document.getElementById("closed");
  const values = () => new URLSearchParams(new FormData(form));
  const before = JSON.stringify(written(form));

  function showProblems(said) {
    const lines = [...(said.problems || []), said.error, said.hint].filter(Boolean);
    wrong.replaceChildren(...lines.map(told));
    wrong.hidden = !lines.length;
    for (const list of form.querySelectorAll("[data-wrong]")) {
      const found = (said.fields || {})[list.dataset.wrong] || [];
      list.replaceChildren(...found.map(told));
      list.hidden = !found.length;
      document.getElementById(`front-${list.dataset.wrong}`)?.setAttribute("aria-invalid", String(found.length > 0));
      if (found.length) list.closest("details")?.setAttribute("open", "");
    }
  }

  // what is said of attachments is in the order of those that stay
  function showFacts(facts) {
    const staying = [...form.querySelectorAll(".enclosure")].filter((one) => !one.querySelector(".off input").checked);
    staying.forEach((one, at) => {
      const list = one.querySelector("[data-fact]");
      if (!facts[at]) return;
      list.replaceChildren(...facts[at].lines.map(told));
      list.classList.toggle("bad", !facts[at].good);
    });
  }

  async function show() {
    const number = ++asked;
    try {
      const asking = () => fetch("/letter/look", { method: "POST", body: values(), headers: { Accept: "application/json" } });
      let answer = await asking();
      if (answer.status === 403 && await isOpen()) answer = await asking();
      if (answer.status === 403) return;
      const said = await answer.json();
      if (number !== asked) return;
      showProblems(said);
      showFacts(said.attachments || []);
      if (said.look) {
        look.src = said.look;
        look.hidden = false;
        nothing.hidden = true;
      }
    } catch {
      if (number === asked) standing.textContent = form.dataset.lost;
    }
  }

  // Whether the page is open to this browser; says so where it is not, and that nothing is lost.
  async function isOpen() {
    const found = await token();
    closed.hidden = found !== null;
    if (found === undefined) standing.textContent = form.dataset.lost;
    return Boolean(found);
  }

  const unkept = () => JSON.stringify(written(form)) !== before;

  function changed() {
    standing.textContent = unkept() ? form.dataset.changed : "";
    clearTimeout(timer);
    timer = setTimeout(show, 400);
  }

  // there is always one more row to fill in
  function grow(row) {
    const rows = row.parentElement;
    const filled = [...row.querySelectorAll("input, textarea, select")].some((one) => one.type !== "checkbox" && one.value);
    if (row !== rows.lastElementChild || !filled) return;
    const next = row.cloneNode(true);
    for (const one of next.querySelectorAll("[id], [name], [for]")) {
      for (const name of ["id", "name", "for"]) {
        const given = one.getAttribute(name);
        if (given) one.setAttribute(name, given.replace(/\d+/, (number) => String(Number(number) + 1)));
      }
      if ("value" in one) one.value = "";
    }
    rows.append(next);
  }

  form.addEventListener("input", (event) => {
    const row = event.target.closest("[data-more] > [data-row]");
    if (row) grow(row);
    if (event.target.type !== "file") changed();
  });
  // not whatever Tab passes on the way to the fields
  const takes = (event) => {
    if (event.key === "Tab" || event.key === "Shift") return;
    if (event.target === text || event.target.matches("[data-takes], [name$=-value]")) taking = event.target;
  };
  for (const kind of ["keyup", "input", "click"]) form.addEventListener(kind, takes);
  if (chips) chips.hidden = false;
  for (const chip of document.querySelectorAll("[data-field]")) {
    chip.addEventListener("click", () => {
      taking.focus();
      taking.setRangeText(`{{ ${chip.dataset.field} }}`, taking.selectionStart, taking.selectionEnd, "end");
      changed();
    });
  }
  // never into a page that is closed, which would throw it away
  let asking = false;
  form.addEventListener("submit", async (event) => {
    if (leaving) return;
    event.preventDefault();
    if (asking) return;
    asking = true;
    const open = await isOpen();
    asking = false;
    if (!open) return;
    leaving = true;
    form.requestSubmit(event.submitter);
    leaving = form.checkValidity();
  });
  addEventListener("pagehide", () => { if (!leaving && unkept()) remember(form); });
  const back = document.getElementById("recalled");
  if (recall(form, grow)) {
    back.hidden = false;
    standing.textContent = form.dataset.changed;
    back.querySelector("button").addEventListener("click", () => {
      leaving = true;
      location.reload();
    });
  }
  addEventListener("pageshow", () => { leaving = false; });
  addEventListener("beforeunload", (event) => { if (!leaving && unkept()) event.preventDefault(); });
  show();

  const upload = document.getElementById("upload");
  if (upload) {
    const input = document.getElementById("file");
    const status = document.getElementById("uploaded");
    const here = document.getElementById("attach-file");
    upload.hidden = false;

    const send = (file, taken) => fetch("/letter/attachment", {
      method: "POST",
      body: file,
      headers: {
        "Content-Type": "application/octet-stream",
        "X-CSRF": document.querySelector("meta[name=csrf]").content,
        "X-Filename": encodeURIComponent(file.name),
        "X-Taken": taken,
        Accept: "application/json",
      },
    });

    const decided = (said) => new Promise((resolve) => {
      const choices = document.createElement("span");
      choices.className = "choices";
      for (const choice of ["replace", "both"]) {
        const button = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: upload.dataset[choice] });
        button.addEventListener("click", () => resolve(choice));
        choices.append(button);
      }
      status.replaceChildren(said.error, choices);
      choices.firstElementChild.focus();
    });

    async function take(file) {
      status.textContent = upload.dataset.sending;
      let answer = await send(file, "");
      let said = await answer.json();
      if (answer.status === 409) {
        const choice = await decided(said);
        status.textContent = upload.dataset.sending;
        answer = await send(file, choice);
        said = await answer.json();
      }
      if (!answer.ok) throw new Error([said.error, said.hint].filter(Boolean).join(" "));
      if (![...here.options].some((one) => one.value === said.file)) here.append(new Option(said.file, said.file));
      return said.file;
    }

    input.addEventListener("change", async () => {
      const files = [...input.files];
      try {
        const kept = [];
        for (const file of files) kept.push(await take(file));
        if (kept.length === 1) {
          here.value = kept[0];
          form.requestSubmit(document.getElementById("attach"));
        } else if (kept.length) {
          here.closest("details").open = true;
          status.textContent = upload.dataset.several;
        }
      } catch (error) {
        status.textContent = error instanceof TypeError ? upload.dataset.failed : error.message;
      }
      input.value = "";
    });
  }
}
