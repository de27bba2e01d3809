// A justified grid of up to 100,000 photos: keeps those near the viewport in the page, and fetches the others where
// scrolling rests. Knows places and tiles; no query, no selection.

import { GAP, justified } from "./justified.js";

const WINDOW = 100; // tiles of a request
const KEPT = 3000; // tiles that are remembered
const REST_MS = 80;

export class Grid {
  // tiles: (first, count, signal) -> Promise of list items with data-rank. rested: told where scrolling came to rest.
  // entered: told of every tile that enters the page, with its place.
  constructor({ tiles, rested, entered }) {
    Object.assign(this, { tiles, rested, entered });
    this.#clear(null, null, 0);
    window.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => {
      if (this.length && this.list.clientWidth !== this.width) this.layOut(this.ratios);
    }).observe(document.querySelector(".found"));
  }

  #clear(list, line, size) {
    Object.assign(this, { list, line, size, active: 0, width: 0, ratios: new Uint8Array(), places: { rows: [] } });
    this.nodes = new Map(); // in the page, by place
    this.loaded = new Map(); // fetched, by place
    this.asked = new Map(); // windows under way, by their first place
    this.seen = null;
  }

  stop() {
    for (const controller of this.asked.values()) controller.abort();
    clearTimeout(this.resting);
    this.#clear(null, null, 0);
  }

  // Takes over a list that came as HTML. size: photos that there will be; ratios: of all, or of those that came.
  adopt(list, line, size, ratios) {
    this.stop();
    this.#clear(list, line, size);
    this.lineItem = list.querySelector("[data-line]") ?? document.getElementById("line").content.cloneNode(true).firstElementChild;
    this.lineItem.ariaPosInSet = String(line + 1);
    this.lineItem.ariaSetSize = String(size + 1);
    this.#keep(list.querySelectorAll(".tile"));
    list.classList.add("placed");
    list.replaceChildren();
    return this.layOut(ratios);
  }

  async layOut(ratios) {
    const [list, width, turn] = [this.list, this.list.clientWidth, (this.turn = {})];
    const drawn = this.line !== null && this.line < ratios.length;
    this.list.append(this.lineItem);
    this.lineItem.hidden = false; // to be measured
    const lineHeight = this.lineItem.offsetHeight;
    this.lineItem.hidden = (this.places.lineTop ?? null) === null;
    const places = await justified(ratios, width, drawn ? this.line : null, lineHeight);
    if (this.list !== list || this.turn !== turn) return; // another list, or another width, came meanwhile
    const anchor = this.top();
    Object.assign(this, { ratios, width, places });
    this.lineItem.hidden = !drawn;
    this.list.style.height = `${this.places.height}px`;
    this.lineItem.style.transform = `translateY(${this.places.lineTop}px)`;
    for (const [place, node] of this.nodes) this.#put(place, node);
    if (anchor && anchor.place > 0) this.show(anchor.place, anchor.below);
    this.render();
    this.#rest();
  }

  get length() {
    return this.ratios.length;
  }

  #row(test) { // the last row for which test(row) holds, or the first
    let [low, high] = [0, this.places.rows.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (test(this.places.rows[middle])) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #rowOf(place) {
    return this.#row(([first]) => first <= place);
  }

  #header() {
    return document.querySelector(".bar").offsetHeight + GAP;
  }

  #offset() { // px from the list's top to the viewport's
    return -this.list.getBoundingClientRect().top;
  }

  // What stands at the top of the viewport: a place, and how many px of its row are above.
  top() {
    if (!this.list || this.length === 0) return null;
    const above = this.#offset() + this.#header();
    const [place, top] = this.places.rows[this.#row((row) => row[1] <= above)];
    return above <= 0 ? { place: 0, below: 0 } : { place, below: above - top };
  }

  // Scrolls to a place; below: px of its row that are to be above the top.
  show(place, below = 0) {
    const [, top] = this.places.rows[this.#rowOf(place)];
    window.scrollTo({ top: window.scrollY - this.#offset() + top + below - this.#header(), behavior: "instant" });
    this.render();
  }

  // Gives a place the focus, and brings it into view.
  focus(place) {
    this.activate(Math.max(0, Math.min(place, this.length - 1)));
    const [, top, height] = this.places.rows[this.#rowOf(this.active)];
    const [at, room] = [top - this.#offset(), window.innerHeight - 80]; // px: what stands at the bottom stays clear
    if (at < this.#header()) this.show(this.active);
    else if (at + height > room) this.show(this.active, height - room + this.#header());
    this.render();
    this.nodes.get(this.active).querySelector("a, span").focus({ preventScroll: true });
  }

  // Moves the one place that Tab leads to.
  activate(place) {
    const before = this.active;
    this.active = place;
    for (const each of [before, place]) if (this.nodes.has(each)) this.#put(each, this.nodes.get(each));
  }

  // The place that a key leads to from another.
  beside(place, key) {
    if (key === "ArrowLeft") return place - 1;
    if (key === "ArrowRight") return place + 1;
    if (key === "Home") return 0;
    if (key === "End") return this.length - 1;
    const { rows, left, wide } = this.places;
    const row = this.#rowOf(place) + (key === "ArrowDown" ? 1 : -1);
    if (row < 0 || row >= rows.length) return place;
    const x = this.column?.place === place ? this.column.x : left[place] + wide[place] / 2;
    let best = rows[row][0];
    for (let i = best; i < (rows[row + 1]?.[0] ?? this.length); i++) if (left[i] <= x) best = i;
    this.column = { place: best, x }; // up leads back to where down came from
    return best;
  }

  render() {
    if (!this.list || this.length === 0) return;
    const [view, at, { rows }] = [window.innerHeight, this.#offset(), this.places];
    const first = rows[this.#row((row) => row[1] <= at - 2 * view)][0];
    const last = rows[this.#row((row) => row[1] <= at + 3 * view) + 1]?.[0] ?? this.length;
    const focused = document.activeElement?.closest?.(".tile") ?? null;
    const wanted = [];
    for (const [place, node] of this.nodes) {
      if (place >= first && place < last) continue;
      if (node === focused) wanted.push(place); // or the keyboard would lose its place
      else {
        node.remove();
        this.nodes.delete(place);
      }
    }
    for (let place = first; place < last; place++) wanted.push(place);
    wanted.sort((a, b) => a - b);
    this.#fill(wanted);
    this.seen = [first, last];
  }

  #fill(wanted) { // the list with tiles in their order, and the line among them
    let [at, drawn] = [this.list.firstChild, false];
    const next = (node) => {
      if (node === at) at = at.nextSibling;
      else this.list.insertBefore(node, at);
    };
    for (const place of wanted) {
      if (!drawn && place >= (this.line ?? Infinity)) drawn = next(this.lineItem) ?? true;
      if (!this.nodes.has(place)) this.#enter(place, this.loaded.get(place) ?? this.#blank(place));
      next(this.nodes.get(place));
    }
    if (!drawn) next(this.lineItem);
  }

  #enter(place, node) {
    this.nodes.set(place, node);
    this.#put(place, node);
    this.entered(node, place);
  }

  #put(place, node) {
    if (place >= this.length) return;
    const [, top, height] = this.places.rows[this.#rowOf(place)];
    node.style.transform = `translate(${this.places.left[place]}px, ${top}px)`;
    node.style.width = `${this.places.wide[place]}px`;
    node.style.height = `${height}px`;
    for (const each of node.querySelectorAll("a, input, .blank")) each.tabIndex = place === this.active ? 0 : -1;
  }

  #blank(place) {
    const item = Object.assign(document.createElement("li"), { className: "tile" });
    const below = this.line !== null && place >= this.line;
    item.dataset.rank = place + 1;
    item.ariaPosInSet = String(place + 1 + below);
    item.ariaSetSize = String(this.size + (this.line !== null));
    item.append(Object.assign(document.createElement("span"), { className: "blank" }));
    return item;
  }

  #keep(items) {
    for (const item of items) {
      const place = Number(item.dataset.rank) - 1;
      const before = this.nodes.get(place);
      this.loaded.set(place, item);
      if (!before) continue;
      const focused = before.contains(document.activeElement);
      before.replaceWith(item);
      this.#enter(place, item);
      if (focused) item.querySelector("a").focus({ preventScroll: true });
    }
  }

  #scrolled() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.render();
    });
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.#rest(), REST_MS);
  }

  // Where scrolling rests, what is seen and not there is fetched, and what is no longer seen is not waited for.
  #rest() {
    if (!this.seen) return;
    this.rested(this.top());
    const [first, last] = this.seen;
    for (const [place, asked] of this.asked) if (place + WINDOW <= first || place >= last) asked.abort();
    const missing = (place) => place >= first && place < last && !this.loaded.has(place);
    for (let place = first - (first % WINDOW); place < last; place += WINDOW) {
      if (!this.asked.has(place) && [...Array(WINDOW).keys()].some((i) => missing(place + i))) this.#fetch(place);
    }
    for (const place of this.loaded.keys()) {
      if (this.loaded.size <= KEPT) break;
      if (Math.abs(place - first) > KEPT / 3) this.loaded.delete(place);
    }
  }

  async #fetch(place) {
    const [controller, list] = [new AbortController(), this.list];
    this.asked.set(place, controller);
    const items = await this.tiles(place, WINDOW, controller.signal);
    if (this.list === list) this.#keep(items);
    if (this.asked.get(place) === controller) this.asked.delete(place);
  }
}
