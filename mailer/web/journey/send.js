"use strict";
// Where the campaign stands, told by the page as it changes (server-sent events); a lost line is taken up again by the browser.
const area = document.getElementById("campaign");
const words = area.dataset;
const part = (id) => document.getElementById(id);
const NUMBER = new Intl.NumberFormat(document.documentElement.lang);

const told = (text, values) => text.replace(/\{(\w+)\}/g, (_all, name) => NUMBER.format(values[name]));

function show(said) {
  const state = part("state");
  if (state.textContent !== state.dataset[said.state]) state.textContent = state.dataset[said.state];
  state.className = `state ${said.state}`;
  const figures = [told(words.of, { done: said.done, total: said.total })];
  if (said.pace) figures.push(told(words.pace, { pace: said.pace }));
  if (said.left_seconds > 5400) figures.push(told(words.hours, { hours: Math.round(said.left_seconds / 3600) }));
  else if (said.left_seconds > 60) figures.push(told(words.minutes, { minutes: Math.round(said.left_seconds / 60) }));
  part("figures").textContent = said.total ? figures.join(" · ") : "";
  Object.assign(part("progress"), { max: said.total || 1, value: said.done });
  for (const line of area.querySelectorAll("[data-status]")) {
    const number = said.counts[line.dataset.status];
    line.querySelector("dd").textContent = NUMBER.format(number);
    line.hidden = !number && line.dataset.status !== "sent";
  }
  part("total").textContent = NUMBER.format(said.total);
  const under = said.state === "sending" || said.state === "starting";
  part("pause").hidden = !under;
  part("go-on").hidden = said.state !== "paused";
  for (const link of area.querySelectorAll("div > a.button")) link.hidden = !said.total;
  part("uncertain").hidden = under || !said.counts.uncertain;
  part("retry").hidden = under || !said.counts.failed;
  const error = under ? [] : [...said.error, ...said.problems];
  const shown = part("error");
  const told_now = JSON.stringify([error, said.ways]);
  if (shown.dataset.told !== told_now) {
    shown.dataset.told = told_now;
    const ways = Object.assign(document.createElement("p"), { className: "row" });
    ways.append(...said.ways.map(([textContent, href]) => Object.assign(document.createElement("a"), { className: "button", href, textContent })));
    shown.replaceChildren(...error.map((line) => Object.assign(document.createElement("p"), { textContent: line })), ways);
  }
  shown.hidden = !error.length;
  part("said").textContent = said.said.join("\n");
}

const events = new EventSource(words.events);
events.onmessage = (event) => show(JSON.parse(event.data));
events.onerror = () => { part("figures").textContent = words.lost; };
part("pause").addEventListener("submit", () => { part("figures").textContent = words.pausing; });
addEventListener("pagehide", () => events.close());
