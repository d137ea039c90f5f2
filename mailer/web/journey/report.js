"use strict";
// The report as a page in the page, as high as it is. News of the ledger bring it anew, unless somebody is searching in it.
const area = document.getElementById("report");
const news = document.getElementById("news");
const anew = document.getElementById("anew");
const CLOCK = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const PAUSE = 5000;
let frame = area.querySelector("iframe");
let known = null;
let timer = 0;
let coming = null;

function fit() {
  const height = frame.contentDocument.body.offsetHeight;
  if (Math.abs(height - frame.clientHeight) > 1) frame.style.height = `${height}px`;
}

function settle(one) {
  if (one !== frame) frame.remove();
  frame = one;
  frame.hidden = false;
  coming = null;
  fit();
  new ResizeObserver(fit).observe(frame.contentDocument.body);
  news.textContent = news.dataset.now.replace("{time}", CLOCK.format(new Date()));
  anew.hidden = true;
}

// The new one is loaded beside the old one, so that nothing flickers or jumps.
function load() {
  timer = 0;
  if (coming) return;
  coming = frame.cloneNode();
  coming.hidden = true;
  coming.addEventListener("load", (event) => settle(event.target), { once: true });
  coming.loading = "eager";
  area.append(coming);
}

const searching = () => [...(frame.contentDocument?.querySelectorAll("input") ?? [])].some((field) => field.value || field.matches(":focus"));

listen(area.dataset.events, (said) => {
  const now = JSON.stringify([said.counts, said.returned]);
  if (known === null || now === known) {
    known = now;
    return;
  }
  known = now;
  if (searching()) {
    news.textContent = news.dataset.new;
    anew.hidden = false;
  } else if (!timer) timer = setTimeout(load, PAUSE);
}, () => {});
anew.addEventListener("click", load);
addEventListener("resize", fit);
if (frame.contentDocument?.readyState === "complete" && frame.contentDocument.body?.childElementCount) settle(frame);
frame.addEventListener("load", () => settle(frame), { once: true });
