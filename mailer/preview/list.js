// A list of messages that draws only the rows in sight, so that ten thousand are as quick as ten.
"use strict";
const MessageList = (() => {
  const SPARE = 8;
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  // `draw(row)` gives [who, row, about, marks, doubt]; `haystack(row)` what a search looks through.
  return class {
    constructor(box, { draw, haystack, facets, choose, open }) {
      Object.assign(this, { box, draw, haystack, facets, choose, open });
      this.rows = [];
      this.found = [];
      this.folded = [];
      this.words = "";
      this.filter = null;
      this.at = -1;
      this.space = document.createElement("div");
      this.space.setAttribute("role", "presentation");
      this.box.append(this.space);
      this.drawn = new Map();
      this.box.addEventListener("scroll", () => this.paint(), { passive: true });
      new ResizeObserver(() => this.paint()).observe(this.box);
      this.box.addEventListener("keydown", (event) => this.key(event));
      this.box.addEventListener("click", (event) => {
        const option = event.target.closest('[role="option"]');
        if (option) { this.move(Number(option.dataset.at)); this.open(); }
      });
    }

    get chosen() { return this.at < 0 ? null : this.found[this.at]; }

    setRows(rows, keep) {
      this.rows = rows;
      this.folded = [];
      this.search(this.words, this.filter, keep ?? null);
    }

    // Words are looked for everywhere; `language:fr`, `domain:example.org` and `row:7` in their own place, exactly.
    search(words, filter, keep) {
      this.words = words;
      this.filter = filter;
      const wanted = [];
      const exact = [];
      for (const word of fold(words).split(/\s+/).filter(Boolean)) {
        const colon = word.indexOf(":");
        const facet = colon > 0 && this.facets[word.slice(0, colon)];
        if (facet) exact.push([facet, word.slice(colon + 1)]);
        else wanted.push(word);
      }
      const found = [];
      for (let i = 0; i < this.rows.length; i++) {
        const row = this.rows[i];
        if (filter && !filter(row, i)) continue;
        const text = this.folded[i] ??= fold(this.haystack(row, i));
        if (wanted.every((word) => text.includes(word)) && exact.every(([facet, value]) => fold(facet(row, i)) === value)) found.push(i);
      }
      this.found = found;
      this.at = typeof keep === "number" ? found.indexOf(keep) : -1;
      if (keep === undefined) this.box.scrollTop = 0;
      this.clear();
      this.paint();
    }

    clear() {
      for (const option of this.drawn.values()) option.remove();
      this.drawn.clear();
    }

    get height() {
      return this.rowHeight ??= 4.25 * parseFloat(getComputedStyle(document.documentElement).fontSize);
    }

    paint() {
      const top = this.box.scrollTop;
      const first = Math.max(0, Math.floor(top / this.height) - SPARE);
      const last = Math.min(this.found.length, Math.ceil((top + this.box.clientHeight) / this.height) + SPARE);
      this.space.style.height = `${this.found.length * this.height}px`;
      for (const [at, option] of this.drawn) {
        if ((at < first || at >= last) && at !== this.at) { option.remove(); this.drawn.delete(at); }
      }
      for (let at = first; at < last; at++) this.place(at);
      if (this.at >= 0) this.place(this.at);
      if (this.at >= 0) this.box.setAttribute("aria-activedescendant", `option-${this.found[this.at]}`);
      else this.box.removeAttribute("aria-activedescendant");
    }

    place(at) {
      let option = this.drawn.get(at);
      if (!option) {
        option = this.make(at);
        this.drawn.set(at, option);
        this.space.append(option);
      }
      option.setAttribute("aria-selected", String(at === this.at));
    }

    make(at) {
      const option = document.createElement("div");
      option.className = "option";
      option.id = `option-${this.found[at]}`;
      option.dataset.at = at;
      option.setAttribute("role", "option");
      option.setAttribute("aria-setsize", this.found.length);
      option.setAttribute("aria-posinset", at + 1);
      option.style.transform = `translateY(${at * this.height}px)`;
      const shown = this.draw(this.rows[this.found[at]], this.found[at]);
      for (const name of ["who", "row", "about", "marks"]) {
        const part = document.createElement("div");
        part.className = name === "marks" && shown.doubt ? "marks doubt" : name;
        if (name === "who" || name === "about") part.dir = "auto";
        part.textContent = shown[name];
        option.append(part);
      }
      return option;
    }

    move(at) {
      if (!this.found.length) return;
      this.at = Math.max(0, Math.min(this.found.length - 1, at));
      const top = this.at * this.height;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      else if (top + this.height > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + this.height - this.box.clientHeight;
      this.paint();
      this.choose(this.found[this.at]);
    }

    select(index) {
      const at = this.found.indexOf(index);
      if (at >= 0) this.move(at);
      return at >= 0;
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 1);
      const to = {
        ArrowDown: this.at + 1, ArrowUp: Math.max(0, this.at - 1), Home: 0, End: this.found.length - 1,
        PageDown: this.at + page, PageUp: this.at - page,
      }[event.key];
      if (to !== undefined) { event.preventDefault(); this.move(to); }
      else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        if (this.at < 0) this.move(0);
        this.open();
      }
    }
  };
})();
