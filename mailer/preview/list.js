// A list of messages that draws only the rows in sight, so that a million are as quick as ten.
"use strict";
const MessageList = (() => {
  const SPARE = 8;
  // Browsers limit how high an element can be; beyond this one pixel of scrolling passes over several of the list.
  const HIGHEST = 8e6;
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  // All rows in their order, without a number for each.
  const all = (length) => ({ length, at: (place) => place, indexOf: (index) => (index < length ? index : -1) });

  // `draw(row)` gives [who, row, about, marks, doubt]; `haystack(row)` what a search looks through. Rows are an array, or
  // a shelf: `length`, `row(index)` if it is at hand, `fetch(index)` a promise of it, `walk(visit)` a promise of having
  // visited all, in order and with pauses, until `visit` returns false.
  return class {
    constructor(box, { draw, haystack, facets, choose, open, changed }) {
      Object.assign(this, { box, draw, haystack, facets, choose, open, changed });
      this.rows = [];
      this.found = [];
      this.folded = [];
      this.words = "";
      this.filter = null;
      this.at = -1;
      this.walks = 0;
      this.searched = 1;
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

    get chosen() { return this.at < 0 ? null : this.found.at(this.at); }

    row(index) { return this.rows.row ? this.rows.row(index) : this.rows[index]; }

    setRows(rows, keep) {
      this.rows = rows;
      // before the first key is pressed, which must not wait for it
      this.folded = rows.walk ? [] : rows.map((row, index) => fold(this.haystack(row, index)));
      this.search(this.words, this.filter, keep ?? null);
    }

    // Words are looked for everywhere; `language:fr`, `domain:example.org` and `row:7` in their own place, exactly.
    search(words, filter, keep) {
      this.words = words;
      this.filter = filter;
      this.walks += 1;
      this.searched = 1;
      const wanted = [];
      const exact = [];
      for (const word of fold(words).split(/\s+/).filter(Boolean)) {
        const colon = word.indexOf(":");
        const facet = colon > 0 && this.facets[word.slice(0, colon)];
        if (facet) exact.push([facet, word.slice(colon + 1)]);
        else wanted.push(word);
      }
      const fits = (row, index, text) => (!filter || filter(row, index))
        && wanted.every((word) => text().includes(word)) && exact.every(([facet, value]) => fold(facet(row, index)) === value);
      const some = wanted.length || exact.length ? null : filter ? filter.places : all(this.rows.length);
      if (some) this.found = some;
      else if (this.rows.walk) this.walk(fits, keep);
      else {
        const found = [];
        for (let i = 0; i < this.rows.length; i++) {
          if (fits(this.rows[i], i, () => this.folded[i])) found.push(i);
        }
        this.found = found;
      }
      this.at = typeof keep === "number" ? this.found.indexOf(keep) : -1;
      if (keep === undefined) this.box.scrollTop = 0;
      this.clear();
      this.paint();
    }

    // What is found is shown while the rest is still looked through.
    async walk(fits, keep) {
      const mine = this.walks;
      const found = [];
      this.found = found;
      this.searched = 0;
      await this.rows.walk((row, index) => {
        if (this.walks !== mine) return false;
        if (fits(row, index, () => fold(this.haystack(row, index)))) found.push(index);
        return true;
      }, (share) => {
        if (this.walks !== mine) return;
        this.searched = share;
        if (typeof keep === "number" && this.at < 0) this.at = found.indexOf(keep);
        this.paint();
        this.changed?.();
      });
    }

    clear() {
      for (const option of this.drawn.values()) option.remove();
      this.drawn.clear();
    }

    get height() {
      return this.rowHeight ??= 4.25 * parseFloat(getComputedStyle(document.documentElement).fontSize);
    }

    // How far the list moves for a pixel of scrolling: 1, but for very long ones.
    get pace() {
      const full = this.found.length * this.height;
      const seen = this.box.clientHeight;
      return full <= HIGHEST || seen >= HIGHEST ? 1 : (full - seen) / (HIGHEST - seen);
    }

    get top() { return this.box.scrollTop * this.pace; }

    paint() {
      const top = this.top;
      const first = Math.max(0, Math.floor(top / this.height) - SPARE);
      const last = Math.min(this.found.length, Math.ceil((top + this.box.clientHeight) / this.height) + SPARE);
      this.space.style.height = `${Math.min(this.found.length * this.height, Math.max(HIGHEST, this.box.clientHeight))}px`;
      for (const [at, option] of this.drawn) {
        if ((at < first || at >= last) && at !== this.at) { option.remove(); this.drawn.delete(at); }
      }
      for (let at = first; at < last; at++) this.place(at, top);
      if (this.at >= 0) this.place(this.at, top);
      if (this.at >= 0) this.box.setAttribute("aria-activedescendant", `option-${this.found.at(this.at)}`);
      else this.box.removeAttribute("aria-activedescendant");
    }

    place(at, top) {
      let option = this.drawn.get(at);
      if (!option) {
        option = this.make(at);
        this.drawn.set(at, option);
        this.space.append(option);
      }
      option.style.transform = `translateY(${at * this.height - top + this.box.scrollTop}px)`;
      option.setAttribute("aria-selected", String(at === this.at));
    }

    make(at) {
      const index = this.found.at(at);
      const option = document.createElement("div");
      option.className = "option";
      option.id = `option-${index}`;
      option.dataset.at = at;
      option.setAttribute("role", "option");
      option.setAttribute("aria-setsize", this.found.length);
      option.setAttribute("aria-posinset", at + 1);
      for (const name of ["who", "row", "about", "marks"]) option.append(document.createElement("div"));
      const row = this.row(index);
      if (row) this.fill(option, row, index);
      else this.rows.fetch(index).then((late) => { if (late && option.isConnected) this.fill(option, late, index); });
      return option;
    }

    fill(option, row, index) {
      const shown = this.draw(row, index);
      ["who", "row", "about", "marks"].forEach((name, number) => {
        const part = option.children[number];
        part.className = name === "marks" && shown.doubt ? "marks doubt" : name;
        if (name === "who" || name === "about") part.dir = "auto";
        part.textContent = shown[name];
      });
    }

    move(at) {
      if (!this.found.length) return;
      this.at = Math.max(0, Math.min(this.found.length - 1, at));
      const top = this.at * this.height;
      const seen = this.box.clientHeight;
      if (top < this.top) this.box.scrollTop = top / this.pace;
      else if (top + this.height > this.top + seen) this.box.scrollTop = Math.ceil((top + this.height - seen) / this.pace);
      this.paint();
      this.choose(this.found.at(this.at));
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
