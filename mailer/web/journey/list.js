"use strict";
// A file is sent as it is, without a form around it: the page writes it straight into contacts/.
const area = document.getElementById("upload");
const input = document.getElementById("file");
const told = document.getElementById("uploaded");
const csrf = document.querySelector("meta[name=csrf]").content;

function refused(text) {
  told.textContent = text;
  told.className = "trouble";
}

const asked = document.getElementById("asked");
const taken = document.getElementById("taken");

// Another list has the name: the file is sent once more with what is to become of that one.
function ask(said) {
  told.textContent = "";
  asked.textContent = asked.dataset.asked.replace(/\{(\w+)\}/g, (_all, name) => said[name]);
  taken.hidden = false;
  asked.focus();
}

async function upload(file, existing = "") {
  taken.hidden = true;
  told.textContent = area.dataset.sending;
  told.className = "quiet small";
  input.disabled = true;
  try {
    const answer = await fetch("/list/upload", {
      method: "POST",
      body: file,
      headers: { "X-CSRF": csrf, "X-Existing": existing, "X-Filename": encodeURIComponent(file.name), "Content-Type": "application/octet-stream" },
    });
    const said = await answer.json();
    if (said.list) {
      const query = new URLSearchParams(location.search);
      for (const name of ["column", "sheet", "skip"]) query.delete(name);
      query.set("list", said.list);
      location.assign(`/list?${query}`);
      return;
    }
    if (said.taken) {
      ask(said);
      input.disabled = false;
      return;
    }
    refused([said.error, said.hint].filter(Boolean).join(" "));
  } catch {
    refused(area.dataset.failed);
  }
  input.disabled = false;
  input.value = "";
}

area.hidden = false;
input.addEventListener("change", () => input.files.length && upload(input.files[0]));
for (const choice of ["replace", "both"]) document.getElementById(choice).addEventListener("click", () => upload(input.files[0], choice));
