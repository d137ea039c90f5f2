"use strict";
// Where the campaign stands, told by the page as it changes (server-sent events); a lost line is taken up again by the browser.
const area = document.getElementById("campaign");
const words = area.dataset;
const part = (id) => document.getElementById(id);
const LANGUAGE = document.documentElement.lang;
const NUMBER = new Intl.NumberFormat(LANGUAGE);
const CLOCK = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const OTHER_DAY = new Intl.DateTimeFormat(LANGUAGE, { weekday: "long", hour: "2-digit", minute: "2-digit" });

const said = (value) => (typeof value === "number" ? NUMBER.format(value) : value);
const told = (text, values) => text.replace(/\{(\w+)\}/g, (_all, name) => said(values[name]));

function clock(seconds, exact = false) {
  const time = new Date(seconds * 1000);
  if (time.toDateString() !== new Date().toDateString()) return OTHER_DAY.format(time);
  return (exact ? EXACT : CLOCK).format(time);
}

function figures(now) {
  const parts = [told(words.of, { done: now.done, total: now.mailed })];
  if (now.pace) parts.push(told(words.pace, { pace: now.pace }));
  const left = now.left_seconds;
  if (left > 5400) parts.push(told(words.hours, { hours: Math.round(left / 3600) }));
  else if (left > 110) parts.push(told(words.minutes, { minutes: Math.round(left / 60) }));
  else if (left) parts.push(words.seconds);
  if (left > 110) parts.push(told(words.ends, { time: clock(Date.now() / 1000 + left) }));
  return now.total ? parts.join(" · ") : "";
}

// Whether a person has it go on.
const still = (now) => ["paused", "stopped", "left"].includes(now.state);

// What holds it just now, and until when.
function holding(now) {
  const full = now.quotas.filter((quota) => quota.until).sort((one, other) => other.until - one.until)[0];
  if (now.state === "sending" && full && full.until - Date.now() / 1000 > 2) return told(words.limit, { limit: full.limit, time: clock(full.until, true) });
  const away = now.away && now.away.people + now.counts.deferred === now.left ? told(words.away, { hours: now.away.hours, time: clock(now.away.since) }) : "";
  if (now.state === "waiting") {
    if (now.in_use) return told(words.other, { name: now.in_use });
    if (now.in_use === "") return words.busy;
    if (away) return away;
    return now.next_due > Date.now() / 1000 ? told(words.later, { time: clock(now.next_due) }) : words.soon;
  }
  if (now.state !== "finished" && away) return away;
  if (still(now) && now.next_due && now.counts.deferred === now.left) return told(words.due, { time: clock(now.next_due) });
  return "";
}

// Only what differs is written: a screen reader reads again whatever is.
function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function show(now) {
  const state = part("state");
  write(state, state.dataset[now.state]);
  state.className = `state ${now.state}`;
  write(part("figures"), figures(now));
  Object.assign(part("progress"), { max: now.mailed || 1, value: now.mailed ? now.done : 1 });
  const hold = holding(now);
  write(part("now"), hold);
  part("now").hidden = !hold;
  // what is used of a second tells nothing
  const quotas = now.quotas.filter((quota) => quota.seconds > 1).map((quota) => told(words.quota, quota));
  write(part("used"), quotas.join(" · "));
  part("quotas").hidden = !quotas.length;
  for (const line of area.querySelectorAll("[data-count]")) {
    const key = line.dataset.count;
    const number = now.counts[key] ?? now.returned[key] ?? 0;
    write(line.querySelector("dd"), NUMBER.format(number));
    line.hidden = !number && key !== "sent";
  }
  part("returned").hidden = !Object.values(now.returned).some(Boolean);
  write(part("total"), NUMBER.format(now.total));
  const under = ["sending", "starting", "waiting"].includes(now.state);
  part("pause").hidden = !under;
  part("go-on").hidden = !still(now);
  corrected(now);
  part("again").hidden = now.state !== "refused";
  for (const link of area.querySelectorAll("[data-begun]")) link.hidden = !now.total;
  part("uncertain").hidden = under || !now.counts.uncertain;
  part("retry").hidden = under || !now.counts.failed;
  why(under ? [] : now.error.length ? [...now.error, ...now.problems] : (now.last?.said ?? []), now.last?.kind, under ? [] : now.ways);
  write(part("said"), now.said.join("\n"));
  part("output").hidden = !now.said.length;
  dispatchEvent(new CustomEvent("news", { detail: String(now.news) }));
}

// Where a file of the campaign has changed, the way on leads through a look at the messages.
function corrected(now) {
  const link = part("rest");
  const files = now.corrected.length > 5 ? [...now.corrected.slice(0, 5), "…"] : now.corrected;
  link.hidden = !still(now) || !now.total;
  write(link, files.length ? link.dataset.corrected : link.dataset.correct);
  link.classList.toggle("main", files.length > 0);
  part("go-on").querySelector("button").classList.toggle("main", !files.length);
  write(part("corrected"), files.length ? part("corrected").dataset.files.replace("{files}", files.join(", ")) : "");
  part("corrected").hidden = !files.length;
}

function why(lines, kind, ways) {
  const shown = part("error");
  const all = JSON.stringify([lines, ways]);
  if (shown.dataset.told !== all) {
    shown.dataset.told = all;
    const leading = Object.assign(document.createElement("p"), { className: "row" });
    leading.append(...ways.map(([textContent, href]) => Object.assign(document.createElement("a"), { className: "button", href, textContent })));
    shown.replaceChildren(...lines.map((line) => {
      const made = document.createElement("p");
      made.append(Object.assign(document.createElement("bdi"), { textContent: line }));
      return made;
    }), ...(ways.length ? [leading] : []));
  }
  shown.className = kind === "held" || kind === "paused" ? "note" : "trouble";
  shown.hidden = !lines.length;
}

listen(words.events, show, () => { part("figures").textContent = words.lost; });
part("pause").addEventListener("submit", () => { part("figures").textContent = words.pausing; });
