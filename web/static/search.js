// The search page: what is typed and clicked becomes an address, and what the server answers becomes the page.

import { address, droppedParts, joined, read, typedPart } from "./asked.js";
import { acceptPhotos } from "./dropped.js";
import { Grid } from "./grid.js";
import { Picking } from "./picking.js";
import { showPlaceholders } from "./placeholders.js";
import { shortcuts, toast } from "./shell.js";
import { Suggestions } from "./suggestions.js";

const TYPING_MS = 60;
const START = { place: 0, below: 0, focused: null }; // of the reader: the photo at the top, px of its row above, the focus
const byId = (id) => document.getElementById(id);
const words = JSON.parse(byId("words").textContent);
const box = byId("box");
const answer = byId("answer");

let state = read(location.search);
let shown = state; // what the photos in the page answer, which a query that cannot be read leaves standing
let settled = true; // whether what is asked stands in the history for good
let asking = new AbortController();
let typing = null;

const grid = new Grid({ tiles: fetchTiles, rested: keepPlace, entered });
const picking = new Picking({ grid, words, get, report, state: () => shown, go });
const suggestions = new Suggestions(box, byId("suggestions"), (text) => {
  box.value = text;
  settle();
});

function entered(node, place) {
  picking.entered(node, place);
  showPlaceholders(node);
}

class Told extends Error {} // what people are told, in words; other errors are mistakes of this page

async function get(address, signal, how = "text", options = {}) {
  const response = await fetch(address, { signal, ...options }).catch((error) => {
    throw error.name === "AbortError" ? error : new Told(words.offline);
  });
  if (!response.ok) throw new Told(await said(response));
  return response[how]();
}

async function said(response) { // what an error says to people
  const text = await response.text();
  if (response.headers.get("content-type")?.includes("json")) return JSON.parse(text).detail ?? text;
  const page = new DOMParser().parseFromString(text, "text/html");
  return (page.querySelector(".note") ?? page.body).textContent.trim().slice(0, 300) || String(response.status);
}

function report(error) {
  if (error instanceof Told) toast(error.message);
  else if (error.name !== "AbortError") throw error;
}

// Asks for another state. push: whether the one before stays in the history.
function go(changes, push = true) {
  state = { ...state, ...changes };
  const query = address(state);
  history[push ? "pushState" : "replaceState"](null, "", query ? `/?${query}` : "/");
  ask();
}

function keepPlace(top) {
  const focused = document.activeElement?.closest(".tile") ? grid.active : null;
  if (top) history.replaceState({ ...top, focused }, "");
}

// Asks the server, and shows what it says; kept: the place where the reader was.
async function ask(kept = null) {
  asking.abort();
  asking = new AbortController();
  const [{ signal }, asked] = [asking, state];
  document.body.classList.add("asking");
  showState();
  try {
    const page = document.createElement("template");
    page.innerHTML = await get(`/answer?${address(asked)}`, signal);
    answer.querySelector(".problem")?.remove();
    const refused = page.content.querySelector("[data-error]") !== null;
    answer.classList.toggle("stale", refused); // the photos below answer what was asked before
    if (refused) answer.prepend(page.content);
    else {
      shown = asked;
      picking.clear();
      grid.stop();
      answer.replaceChildren(page.content);
      if (!kept) window.scrollTo({ top: 0, behavior: "instant" });
      await showAll(signal, kept);
    }
  } catch (error) {
    report(error);
  } finally {
    if (!signal.aborted) document.body.classList.remove("asking");
  }
}

async function showAll(signal, kept) {
  await Promise.all([showPhotos(signal, kept), showFacets(signal), showMap(signal)]);
}

function showOrder(summary) { // without words photos have no score, and the newest come first
  const unscored = summary?.dataset.unscored !== undefined;
  byId("sort").querySelector("[value=score]").disabled = unscored;
  byId("sort").value = unscored && state.sort === "score" ? "newest" : state.sort;
}

async function showPhotos(signal, kept) {
  const [list, summary] = [byId("grid"), answer.querySelector("[data-count]")];
  showOrder(summary);
  const size = Number(summary?.dataset.count ?? 0);
  if (size === 0 || !list?.firstElementChild) return;
  const line = summary.dataset.line === undefined ? null : Number(summary.dataset.line);
  const tiles = [...list.querySelectorAll(".tile")];
  const first = Uint8Array.from(tiles, (tile) => tile.className.match(/\br(\d+)/)[1]);
  if (tiles[0].dataset.rank === "1") await grid.adopt(list, line, size, first);
  const known = first.length === size ? first : new Uint8Array(await get(`/results/ratios?${address(shown)}`, signal, "arrayBuffer"));
  if (known.length !== size) return ask(kept); // the library has changed meanwhile
  if (!grid.list) await grid.adopt(list, line, size, known);
  else if (known !== first) await grid.layOut(known);
  if (!kept || signal.aborted) return;
  if (kept.place) grid.show(Math.min(kept.place, size - 1), kept.below);
  if (Number.isInteger(kept.focused)) grid.focus(kept.focused);
}

const folded = new Map(); // facets that the reader opened or closed, by name

async function showFacets(signal) {
  const facets = byId("facets");
  facets.innerHTML = await get(`/facets?${address(shown)}`, signal);
  for (const facet of facets.querySelectorAll("details")) facet.open = folded.get(facet.dataset.name) ?? facet.open;
}

async function showMap(signal) {
  const wanted = shown.view === "map";
  document.body.classList.toggle("mapped", wanted);
  byId("map").hidden = !wanted;
  if (!wanted) return;
  const { showPlaces } = await import("./places.js");
  const places = await get(`/map/places?${address(shown)}`, signal, "json");
  await showPlaces(byId("map"), places, words, narrow);
}

async function narrow(term) {
  try {
    go(await get(`/filtered?${address(state)}&${new URLSearchParams({ term })}`, undefined, "json"));
  } catch (error) {
    report(error);
  }
}

async function fetchTiles(first, count, signal) {
  const page = document.createElement("template");
  try {
    page.innerHTML = await get(`/results?${address(shown)}&first=${first}&count=${count}`, signal);
  } catch (error) {
    report(error);
  }
  return page.content.querySelectorAll(".tile");
}

// What stands beside the answer follows the state.
function showState() {
  const typed = typedPart(state.q);
  if (document.activeElement !== box || settled) box.value = typed;
  byId("export").href = `/export?${address(state)}`;
  for (const view of ["grid", "map"]) {
    const link = byId(`view-${view}`);
    link.href = `/?${address({ ...state, view })}`;
    link.ariaCurrent = state.view === view ? "true" : null;
  }
  document.title = document.title.replace(/^.*(?= · )/, typed || words.photos);
  photos.show(droppedParts(state.q), (term) => `/?${address({ ...state, q: joined(typed, droppedParts(state.q).filter((each) => each !== term)) })}`);
}

const photos = acceptPhotos({
  holder: byId("dropped"), words, get, report,
  found: (term) => go({ q: joined(typedPart(state.q), [term]) }),
});

function asksTyped() {
  const q = joined(box.value, droppedParts(state.q));
  if (q === joined(typedPart(state.q), droppedParts(state.q))) return;
  const push = settled;
  settled = false;
  go({ q }, push);
}

function settle() {
  clearTimeout(typing);
  asksTyped();
  settled = true;
}

box.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    asksTyped();
    suggestions.ask();
  }, TYPING_MS);
});
box.addEventListener("change", settle);
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  settle();
  suggestions.close();
  if (matchMedia("(hover: none)").matches) box.blur(); // a phone's keyboard goes
});
byId("sort").addEventListener("change", ({ target }) => go({ sort: target.value }));
byId("facets").addEventListener("click", ({ target }) => {
  const facet = target.closest("summary")?.parentElement;
  if (facet) folded.set(facet.dataset.name, !facet.open);
});

// A link to a search is followed without leaving the page.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("main a[href^='/?'], .search a[href^='/?'], dialog a[href^='/?'], main a[href='/']");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  settled = true;
  byId("saved").hidePopover();
  go(read(new URL(link.href).search));
});
byId("skip-rail").addEventListener("click", (event) => {
  if (!grid.list) return;
  event.preventDefault();
  grid.focus(grid.active);
});
window.addEventListener("popstate", () => {
  const before = address(state);
  state = read(location.search);
  if (address(state) === before) return; // a link within the page
  settled = true;
  ask(history.state ?? START);
});

// On a phone the rail is a dialog.
const sheet = byId("sheet");
byId("filters-button").addEventListener("click", () => {
  sheet.append(byId("facets"));
  sheet.showModal();
});
sheet.addEventListener("close", () => byId("rail").append(byId("facets")));

byId("save").addEventListener("submit", (event) => {
  event.preventDefault();
  keepSearches("/searches", { ...state, name: new FormData(event.target).get("name") });
});
byId("saved-list").addEventListener("click", ({ target }) => {
  const name = target.closest("[data-forget]")?.dataset.forget;
  if (name !== undefined) keepSearches("/searches/forget", { name });
});

async function keepSearches(address, fields) {
  const problem = byId("save-problem");
  try {
    byId("saved-list").innerHTML = await get(address, undefined, "text", { method: "POST", body: new URLSearchParams(fields) });
    byId("save").reset();
    problem.hidden = true;
  } catch (error) {
    if (!(error instanceof Told)) throw error;
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

const toBox = (event) => {
  event.preventDefault();
  box.focus();
  box.select();
};
shortcuts({ "/": toBox, "$mod+k": toBox });

history.scrollRestoration = "manual";
const asked = new URLSearchParams(location.search).get("rank");
const kept = history.state ?? (asked ? { ...START, place: Number(asked) - 1 } : null);
if (asked) history.replaceState(kept, "", `/?${address(state)}`);
showState();
if (!answer.querySelector("[data-error]")) showAll(asking.signal, kept).catch(report);
