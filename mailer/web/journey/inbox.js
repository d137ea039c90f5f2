"use strict";
// What is known of the mailbox, told by the page as it changes (server-sent events).
const area = document.getElementById("mailbox");
const part = (id) => document.getElementById(id);
const NUMBER = new Intl.NumberFormat(document.documentElement.lang);

// What a command says is English, whichever way the page is written.
function line(text) {
  const made = document.createElement("p");
  made.append(Object.assign(document.createElement("bdi"), { textContent: text }));
  return made;
}

function write(place, lines) {
  if (place.textContent !== lines.join("")) place.replaceChildren(...lines.map(line));
  place.hidden = !lines.length;
}

function show(now) {
  const data = area.dataset;
  let doing = "";
  if (now.looking) doing = data.looking;
  else if (now.watching) doing = [data.watching, ...now.said].join(" ");
  else if (now.counts) doing = now.read ? data.read.replace("{read}", NUMBER.format(now.read)) : data.nothing;
  if (part("doing").textContent !== doing) part("doing").textContent = doing;
  part("look").hidden = now.looking || now.watching;
  part("watch").hidden = now.watching;
  part("stop").hidden = !now.watching;
  for (const row of area.querySelectorAll("[data-count]")) {
    const number = now.counts?.[row.dataset.count] ?? 0;
    row.querySelector("dd").textContent = NUMBER.format(number);
    row.hidden = !number;
  }
  write(part("error"), now.error);
  write(part("warnings"), now.warnings);
  dispatchEvent(new CustomEvent("news", { detail: String(now.news) }));
}

listen("/inbox/events", show, () => { part("doing").textContent = area.dataset.lost; });
