"use strict";
// Back to the page before, where what was typed still stands; the link itself leads to the same step without it.
document.getElementById("back").addEventListener("click", (event) => {
  if (history.length > 1) {
    event.preventDefault();
    history.back();
  }
});
