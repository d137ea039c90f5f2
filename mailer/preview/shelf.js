// The lines of a very long list, in files of their own, of which only a few are at hand at a time.
"use strict";
const Shelf = (() => {
  const KEPT = 60;

  return class {
    constructor(length, size) {
      Object.assign(this, { length, size });
      this.files = new Map();
      this.asked = new Map();
      window.mailerRows = (number, rows) => {
        this.files.set(number, rows);
        if (this.files.size > KEPT) this.files.delete(this.files.keys().next().value);
      };
    }

    row(index) { return this.files.get(Math.floor(index / this.size))?.[index % this.size]; }

    async fetch(index) {
      await this.load(Math.floor(index / this.size));
      return this.row(index);
    }

    load(number) {
      if (this.files.has(number)) return Promise.resolve();
      if (!this.asked.has(number)) {
        this.asked.set(number, new Promise((done) => {
          const script = document.createElement("script");
          script.src = `rows/${String(number).padStart(5, "0")}.js`;
          script.onload = script.onerror = () => { script.remove(); this.asked.delete(number); done(); };
          document.head.append(script);
        }));
      }
      return this.asked.get(number);
    }

    async walk(visit, told) {
      for (let start = 0; start < this.length; start += this.size) {
        await this.load(start / this.size);
        const rows = this.files.get(start / this.size) || [];
        if (!rows.every((row, place) => visit(row, start + place))) return;
        told(Math.min(1, (start + this.size) / this.length));
      }
    }
  };
})();
