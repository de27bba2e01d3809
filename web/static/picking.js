// Photos picked in the grid: by check box, key or range, or the whole search; and what is done with them.

import { address } from "./asked.js";
import { shortcuts, toast } from "./shell.js";

const MOST_LIKES = 100; // of an address
const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];
const number = new Intl.NumberFormat(document.documentElement.lang);

export class Picking {
  // get: asks the server; report: tells of its errors. state: () -> what is asked. go: asks for something else.
  constructor({ grid, words, get, report, state, go }) {
    Object.assign(this, { grid, words, get, report, state, go, chosen: new Map(), whole: 0, anchor: 0, turn: 0 });
    this.bar = document.getElementById("selection");
    this.answer = document.getElementById("answer");
    this.tools = document.getElementById("hover-tools").content.firstElementChild.cloneNode(true);
    this.#listen();
    shortcuts({
      x: () => this.toggle(this.#here()),
      "Shift+X": () => this.range(this.#here()),
      "$mod+a": (event) => this.#all(event),
      m: () => this.#act("more"),
      l: () => this.#act("less"),
      b: () => this.#act("basket"),
      i: () => this.answer.classList.toggle("told"),
      Escape: () => this.clear(),
    });
  }

  #listen() {
    const placeOf = (element) => Number(element.closest(".tile").dataset.rank) - 1;
    const arm = ({ target }) => {
      const tile = target.closest?.("#grid .tile[data-id]:has(img)");
      if (!tile || tile === this.tools.parentNode) return; // moved below a pressed button, they would lose the click
      if (!this.tools.querySelector(":focus-visible")) tile.append(this.tools); // a click's focus does not hold them
    };
    this.answer.addEventListener("pointerover", arm);
    this.answer.addEventListener("focusin", (event) => {
      if (!event.target.closest(".tile")) return;
      arm(event);
      if (this.grid.list) this.grid.activate(placeOf(event.target));
    });
    this.answer.addEventListener("click", (event) => {
      if (event.target.closest("[data-do]")) return this.#act(event.target.closest("[data-do]").dataset.do, event.target.closest(".tile"));
      if (!event.target.matches(".pick input")) {
        if (event.target.closest(".tile a")) this.grid.rested(this.grid.top());
        return;
      }
      if (event.shiftKey) this.range(placeOf(event.target));
      else this.toggle(placeOf(event.target));
    });
    this.answer.addEventListener("keydown", (event) => {
      if (!this.grid.list || !MOVES.includes(event.key) || !event.target.matches(".tile *") || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      if (event.shiftKey && this.chosen.size === 0) this.anchor = this.grid.active;
      this.grid.focus(this.grid.beside(this.grid.active, event.key));
      if (event.shiftKey) this.range(this.grid.active);
    });
    this.bar.addEventListener("click", ({ target }) => {
      const what = target.closest("[data-do]")?.dataset.do;
      if (what === "clear") this.clear();
      else if (what) this.#act(what);
    });
  }

  #here() { // the place that keys are about: that of the focus, or else of the mouse
    const tile = document.activeElement?.closest(".tile") ?? this.answer.querySelector(".tile:hover");
    return tile ? Number(tile.dataset.rank) - 1 : null;
  }

  entered(node, place) {
    const picked = this.whole ? place < this.whole : this.chosen.has(Number(node.dataset.id));
    node.classList.toggle("chosen", picked);
    const check = node.querySelector(".pick input");
    if (check) check.checked = picked;
  }

  #show() {
    const { words, grid } = this;
    for (const [place, node] of grid.nodes) this.entered(node, place);
    const size = this.whole || this.chosen.size;
    const text = this.whole ? (this.whole < grid.size ? words.above : words.all) : words.selected;
    this.bar.hidden = size === 0;
    for (const button of this.bar.querySelectorAll("[data-do=more], [data-do=less]")) button.hidden = this.whole > 0;
    document.getElementById("selected").textContent = text.replace("{n}", number.format(size));
    this.answer.classList.toggle("picking", size > 0);
  }

  clear() {
    this.turn += 1;
    this.chosen.clear();
    this.whole = 0;
    this.#show();
  }

  toggle(place) {
    const id = Number(this.grid.nodes.get(place)?.dataset.id);
    if (place === null || !id) return;
    if (this.whole) this.clear();
    if (!this.chosen.delete(id)) this.chosen.set(id, place);
    this.anchor = place;
    this.#show();
  }

  // Picks all from the photo picked last to another, be they in the page or not.
  async range(place) {
    if (place === null) return;
    const [first, last, turn] = [Math.min(this.anchor, place), Math.max(this.anchor, place), ++this.turn];
    const about = `${address(this.state())}&first=${first}&count=${last - first + 1}`;
    const bytes = await this.get(`/results/ids?${about}`, undefined, "arrayBuffer").catch(this.report);
    const ids = new BigInt64Array(bytes ?? 0);
    if (turn !== this.turn) return; // another was picked meanwhile
    this.whole = 0;
    this.chosen.clear();
    ids.forEach((id, i) => this.chosen.set(Number(id), first + i));
    this.#show();
  }

  #all(event) {
    if (this.grid.length === 0) return;
    event.preventDefault();
    this.chosen.clear();
    const { line, size } = this.grid;
    this.whole = line && this.whole !== line ? line : size; // once more: those below the line too
    this.#show();
  }

  #act(what, tile = null) {
    const here = tile ?? this.grid.nodes.get(this.#here());
    const ids = tile || !(this.chosen.size || this.whole) ? [Number(here?.dataset.id)].filter(Boolean) : [...this.chosen.keys()];
    const whole = tile ? 0 : this.whole;
    if (what === "basket" && (ids.length || whole)) return this.#intoBasket(ids, whole);
    if (ids.length === 0 || whole) return;
    const now = this.state();
    const before = now[what].split(",").filter(Boolean).map(Number);
    const all = [...new Set([...before, ...ids])];
    if (all.length > MOST_LIKES) toast(this.words.tooMany);
    const other = what === "more" ? "less" : "more";
    const others = now[other].split(",").filter((id) => id && !ids.includes(Number(id)));
    this.go({ [what]: all.slice(0, MOST_LIKES).join(","), [other]: others.join(",") });
  }

  async #intoBasket(ids, whole) {
    const { q, sort, more, less } = this.state();
    const form = new URLSearchParams(whole ? { q, sort, more, less, k: whole } : ids.map((id) => ["id", id]));
    const taken = await this.get("/basket/photos", undefined, "text", { method: "POST", body: form }).catch(this.report);
    if (taken === undefined) return;
    const count = whole || ids.length;
    toast(count === 1 ? this.words.basketedOne : this.words.basketed.replace("{n}", number.format(count)));
    document.body.dispatchEvent(new CustomEvent("basket-changed"));
    if (whole || ids.length > 1) this.clear();
  }
}
