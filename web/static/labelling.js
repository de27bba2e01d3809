// Labelling photo by photo: y, n, s, u, Esc. Each label is kept by the server at once; the next photos are ready.

import { tinykeys } from "/static/vendor/tinykeys-4.0.0/tinykeys.mjs";

const AHEAD = 4; // photos that are loaded before they are asked about
const page = document.getElementById("labelling");
const words = document.getElementById("words").dataset;
const at = (id) => document.getElementById(id);
const { tag, vocabulary, back } = page.dataset;
const language = document.documentElement.lang;
const number = new Intl.NumberFormat(language);
const share = new Intl.NumberFormat(language, { style: "percent" });
const hundredths = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const tab = sessionStorage.getItem("tab") ?? crypto.getRandomValues(new Uint32Array(2)).join("-");
sessionStorage.setItem("tab", tab);

let waiting = []; // photos to come, the one that is shown first
let done = []; // what was said, the last at the end
let busy = false;

const picture = (photo) => `/api/v1/photos/${photo.photo_id}/image?w=1600`;

function show() {
  const photo = waiting[0];
  at("photo").hidden = !photo;
  at("done").hidden = Boolean(photo);
  if (photo && at("photo").dataset.id !== String(photo.photo_id)) {
    at("photo").src = picture(photo);
    at("photo").dataset.id = photo.photo_id;
  }
  for (const next of waiting.slice(1, AHEAD)) new Image().src = picture(next);
  for (const id of ["yes", "no", "skip"]) at(id).disabled = !photo;
  at("undo").disabled = !done.length;
}

function tell(state) {
  at("labelled").textContent = `${number.format(state.yes)} / ${number.format(state.no)}`;
  at("right").textContent = state.judged
    ? `${number.format(state.right)} / ${number.format(state.judged)} (${share.format(state.right / state.judged)})`
    : at("right").dataset.none;
  const known = state.suggested !== null;
  at("suggested").textContent = known ? hundredths.format(state.suggested) : at("suggested").dataset.none.replace("{}", state.fewest);
  at("expected").textContent =
    known && state.expected !== null
      ? `${number.format(state.photos_suggested)}, ~${share.format(state.expected)}`
      : at("expected").dataset.none;
}

async function answered(url, options) {
  const answer = await fetch(url, options);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail ?? String(answer.status));
  return said;
}

async function more(skipped = []) {
  const asked = new URLSearchParams({ tag, vocabulary, tab, count: AHEAD });
  for (const id of skipped) asked.append("skipped", id);
  const state = await answered(`/api/v1/labelling?${asked}`);
  const here = new Set(waiting.map((photo) => photo.photo_id));
  waiting.push(...state.next.filter((photo) => !here.has(photo.photo_id)));
  tell(state);
}

const label = (photo, present) =>
  answered(`/api/v1/photos/${photo.photo_id}/labels`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ tag, present, vocabulary, tab }),
  });

// What is asked of the server goes one after the other; what did not get there is said, and the photo stays.
async function once(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
    at("problem").hidden = true;
  } catch (error) {
    at("problem").textContent = error instanceof TypeError ? words.failed : error.message;
    at("problem").hidden = false;
  }
  busy = false;
  page.dataset.said = done.length;
  show();
}

function say(what) {
  return once(async () => {
    const photo = waiting[0];
    if (!photo) return;
    if (what !== "skip") await label(photo, what === "yes");
    waiting.shift();
    done.push({ photo, what });
    at("said").textContent = words[what];
    show();
    await more(what === "skip" ? [photo.photo_id] : []);
  });
}

function undo() {
  return once(async () => {
    const last = done.at(-1);
    if (!last) return;
    await label(last.photo, null);
    done.pop();
    waiting.unshift(last.photo);
    at("said").textContent = words.undo;
    await more();
  });
}

at("yes").addEventListener("click", () => say("yes"));
at("no").addEventListener("click", () => say("no"));
at("skip").addEventListener("click", () => say("skip"));
at("undo").addEventListener("click", undo);
tinykeys(window, {
  y: () => say("yes"),
  n: () => say("no"),
  s: () => say("skip"),
  u: undo,
  Escape: () => location.assign(back),
});
once(() => more());
