"use strict";
// Shows the page anew when what it waits for has come further: a login that is tried, a person who signs in elsewhere, a command.
const EVERY = 600;
const waiting = document.querySelector("[data-wait]");
const lost = document.getElementById("lost");

async function look() {
  try {
    const answer = await fetch(waiting.dataset.wait, { headers: { accept: "application/json" }, cache: "no-store" });
    if (!answer.ok || (await answer.json()).state !== waiting.dataset.state) {
      location.reload();
      return;
    }
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
  setTimeout(look, EVERY);
}

if (waiting) {
  for (const one of document.querySelectorAll(".unscripted")) one.hidden = true;
  setTimeout(look, EVERY);
}
