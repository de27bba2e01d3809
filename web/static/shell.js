// What every page needs: words that come and go, the look, the language, shortcuts and their help. Knows no page.

import { tinykeys } from "./vendor/tinykeys-4.0.0/tinykeys.mjs";

const YEAR_S = 365 * 24 * 3600;
const root = document.documentElement;
const help = document.getElementById("help");

// Shows words for a while; what is returned takes them away before.
export function toast(text, seconds = 5) {
  const line = document.createElement("p");
  line.textContent = text;
  document.getElementById("toasts").append(line);
  setTimeout(() => line.remove(), seconds * 1000);
  return () => line.remove();
}

// Binds keys to actions, as tinykeys names them. Single keys rest while one types, while a dialog is open, and where they
// are switched off; those with Ctrl do not.
export function shortcuts(keys) {
  tinykeys(window, keys, {
    ignore: (event) => {
      if (event.isComposing || document.querySelector("dialog[open]")) return true;
      const typing = event.target.matches?.("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
      if (event.ctrlKey || event.metaKey) return typing && event.key.toLowerCase() !== "k";
      return typing || root.dataset.shortcuts === "off";
    },
  });
}

function keep(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR_S}; samesite=lax`;
  root.dataset[name] = value;
}

document.getElementById("settings").addEventListener("change", ({ target }) => {
  keep(target.name, target.value);
  if (target.name === "language") location.reload();
});
document.getElementById("shortcuts").addEventListener("change", ({ target }) => keep("shortcuts", target.checked ? "on" : "off"));
for (const button of document.querySelectorAll("[data-help]")) {
  button.addEventListener("click", () => {
    document.getElementById("settings").hidePopover();
    help.showModal();
  });
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // beside it
}

// What changes in the basket is told to the other tabs.
const basket = new BroadcastChannel("basket");
document.body.addEventListener("basket-changed", () => basket.postMessage(""));
basket.addEventListener("message", () => document.body.dispatchEvent(new CustomEvent("basket-changed-elsewhere")));

const find = document.querySelector("[data-find]");
if (find) shortcuts({ "/": (event) => { event.preventDefault(); find.focus(); } });
shortcuts({ "[Shift]+?": () => help.showModal() });
