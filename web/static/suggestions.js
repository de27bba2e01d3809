// What may be typed next, under the search box.

import Combobox from "./vendor/combobox-nav-3.0.2/index.js";

export class Suggestions {
  // chosen: told of the whole text that a suggestion makes.
  constructor(box, list, chosen) {
    Object.assign(this, { box, list, asking: new AbortController() });
    this.combobox = new Combobox(box, list, { tabInsertsSuggestions: false });
    list.addEventListener("mousedown", (event) => event.preventDefault()); // the box keeps the focus
    list.addEventListener("combobox-commit", ({ target }) => {
      chosen(target.dataset.text);
      box.setSelectionRange(Number(target.dataset.caret), Number(target.dataset.caret));
      this.close();
    });
    box.addEventListener("blur", () => this.close());
    box.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  async ask() {
    this.asking.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    const about = new URLSearchParams({ q: this.box.value, caret: this.box.selectionStart });
    try {
      const response = await fetch(`/suggestions?${about}`, { signal });
      const html = response.ok ? await response.text() : "";
      if (!signal.aborted && document.activeElement === this.box) this.#show(html);
    } catch (error) {
      if (error.name !== "AbortError") this.close(); // the search says what is wrong
    }
  }

  #show(html) {
    this.combobox.stop();
    this.list.innerHTML = html;
    this.list.hidden = this.list.childElementCount === 0;
    if (!this.list.hidden) this.combobox.start();
  }

  close() {
    this.asking.abort();
    this.combobox.stop();
    this.list.hidden = true;
  }
}
