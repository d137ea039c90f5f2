// Finds rows of a table as one types. Without this script the tables are whole, and the fields are not there.
"use strict";
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
for (const find of document.querySelectorAll(".find")) {
  const [field, said] = [find.querySelector("input"), find.querySelector("output")];
  const rows = [...document.getElementById(field.getAttribute("aria-controls")).tBodies[0].rows];
  const texts = rows.map((row) => plain(row.textContent));
  const number = (n) => n.toLocaleString(document.documentElement.lang);
  const say = (found) => said.dataset.words.replace("{found}", number(found)).replace("{all}", number(rows.length));
  const look = () => {
    const words = plain(field.value).split(/\s+/).filter(Boolean);
    let found = 0;
    rows.forEach((row, number) => {
      const fits = words.every((word) => texts[number].includes(word));
      row.hidden = !fits;
      found += fits;
    });
    said.textContent = words.length ? say(found) : "";
  };
  field.addEventListener("input", look);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && field.value) {
      field.value = "";
      look();
      event.preventDefault();
    }
  });
  find.hidden = false;
  look();
}
