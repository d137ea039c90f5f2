// One message out of its pack: the page that was written for it, put in the place of this one.
"use strict";
(() => {
  const number = Number(new URLSearchParams(location.search).get("n"));
  const together = Number(document.documentElement.dataset.together);
  const place = (number - 1) % together;
  const whole = (lines, runs, end) => {
    const parts = [];
    for (let i = 0; i < runs.length; i += 2) parts.push(...lines.slice(runs[i], runs[i] + runs[i + 1]));
    return parts.join(end);
  };
  const say = (words) => { document.body.textContent = words; };

  window.mailerPack = (_pack, { lines, pages, mails }) => {
    if (!pages[place]) { say("There is no such message."); return; }
    // The policy of this document stays in force for what is written into it, and that brings the same one along.
    document.open();
    document.write(whole(lines, pages[place], ""));
    document.close();
    const link = document.querySelector("a.download");
    if (!link || !mails[place]) return;
    const octets = Uint8Array.from(whole(lines, mails[place], "\r\n"), (character) => character.charCodeAt(0));
    link.href = URL.createObjectURL(new Blob([octets], { type: "message/rfc822" }));
    link.download = `${String(number).padStart(6, "0")}.eml`;
  };

  if (!Number.isInteger(number) || number < 1) { say("There is no such message."); return; }
  const script = document.createElement("script");
  script.src = `../packs/${String(Math.floor((number - 1) / together)).padStart(5, "0")}.js`;
  script.onerror = () => say("This message is missing: was the whole folder copied?");
  document.head.append(script);
})();
