// One message: tabs, the width and darkness of the letter's frame, and keys handed to the page around.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const frame = document.querySelector("iframe");
  const view = document.getElementById("view");
  const choices = [...view.querySelectorAll("button")];
  const asked = new URLSearchParams(location.hash.slice(1));
  const state = { tab: asked.get("tab") || "", width: asked.get("width") || "wide", dark: asked.get("dark") || "" };

  // The page around cannot look into this one when both are files, so it is told what was chosen.
  const tell = (message) => { if (parent !== window) parent.postMessage(message, "*"); };
  const remember = () => tell({ mailer: "state", state: new URLSearchParams(state).toString() });

  const choose = (tab, focus) => {
    for (const other of tabs) {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !on;
    }
    view.hidden = !frame || tab.dataset.tab !== "html";
    if (focus) tab.focus();
  };
  const show = () => {
    if (!frame) return;
    frame.classList.toggle("phone", state.width === "phone");
    frame.classList.toggle("dark", state.dark === "1");
    for (const button of choices) {
      const on = button.dataset.width ? button.dataset.width === state.width : state.dark === "1";
      button.setAttribute("aria-pressed", String(on));
    }
  };

  for (const tab of tabs) {
    tab.addEventListener("click", () => { state.tab = tab.dataset.tab; choose(tab, false); remember(); });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
      state.tab = next.dataset.tab;
      choose(next, true);
      remember();
    });
  }
  for (const button of choices) {
    button.addEventListener("click", () => {
      if (button.dataset.width) state.width = button.dataset.width;
      else state.dark = state.dark === "1" ? "" : "1";
      show();
      remember();
    });
  }
  const HANDED_ON = ["ArrowUp", "ArrowDown", "/", "Escape"];
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !HANDED_ON.includes(event.key)) return;
    const scrolls = event.target.closest && event.target.closest(".panel");
    if (scrolls && event.key.startsWith("Arrow")) return;
    event.preventDefault();
    tell({ mailer: "key", key: event.key });
  });
  if (tabs.length) choose(tabs.find((tab) => tab.dataset.tab === state.tab) || tabs[0], false);
  show();
})();
