// Labelling photo by photo. One tag: y, n. Whole photos: a key a tag, Enter. Both: s, u, Esc. Each answer is kept by the
// server at once; the next photos are ready.

import { tinykeys } from "/static/vendor/tinykeys-4.0.0/tinykeys.mjs";

const AHEAD = 4; // photos that are loaded before they are asked about
const KEYS = "123456789abcdefghijklmoprtvwxz"; // of tags
const page = document.getElementById("labelling");
const words = document.getElementById("words").dataset;
const at = (id) => document.getElementById(id);
const { tag, vocabulary, back } = page.dataset;
const language = document.documentElement.lang;
const number = new Intl.NumberFormat(language);
const share = new Intl.NumberFormat(language, { style: "percent" });
const hundredths = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const change = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "always" });
const tab = sessionStorage.getItem("tab") ?? crypto.getRandomValues(new Uint32Array(2)).join("-");
sessionStorage.setItem("tab", tab);

let waiting = []; // photos to come, the one that is shown first
let done = []; // what was said, the last at the end
let chosen = new Set(); // tags of the photo that is shown, where it is a whole one
let busy = false;
let asked = 0; // how often photos to come were asked for
let coming = 0; // how many of these questions are not answered yet

const picture = (photo) => `/api/v1/photos/${photo.photo_id}/image?w=1600`;
const filled = (text, values) => text.replace(/{(\w+)}/g, (_, name) => values[name]);

function show() {
  const photo = waiting[0];
  page.dataset.said = done.length;
  at("photo").hidden = !photo;
  at("done").hidden = Boolean(photo) || coming > 0;
  if (photo && at("photo").dataset.id !== String(photo.photo_id)) {
    at("photo").src = picture(photo);
    at("photo").dataset.id = photo.photo_id;
    if (!tag) offer(photo);
  }
  if (!photo) delete at("photo").dataset.id;
  if (!photo && !tag) at("choices").replaceChildren();
  for (const next of waiting.slice(1, AHEAD)) new Image().src = picture(next);
  for (const id of tag ? ["yes", "no", "skip"] : ["these", "skip"]) at(id).disabled = !photo;
  at("undo").disabled = !done.length;
}

function offer(photo) {
  chosen = new Set(photo.tags.filter((each) => each.said).map((each) => each.tag));
  at("choices").replaceChildren(...photo.tags.map((each, place) => chip(each.tag, KEYS[place])));
}

function chip(name, key) {
  const button = document.createElement("button");
  button.className = "chip";
  button.dataset.tag = name;
  button.setAttribute("aria-pressed", String(chosen.has(name)));
  if (key) {
    const shown = document.createElement("kbd");
    shown.textContent = key;
    button.setAttribute("aria-keyshortcuts", key);
    button.append(shown, " ");
  }
  button.append(name);
  button.addEventListener("click", () => toggle(name));
  return button;
}

function toggle(name) {
  if (!chosen.delete(name)) chosen.add(name);
  const button = [...at("choices").children].find((each) => each.dataset.tag === name);
  if (button) button.setAttribute("aria-pressed", String(chosen.has(name)));
  else at("choices").append(chip(name));
}

function tell(state) {
  if (tag) {
    at("labelled").textContent = `${number.format(state.yes)} / ${number.format(state.no)}`;
    at("taught").textContent = state.taught ? at("taught").dataset.some.replace("{}", number.format(state.taught)) : at("taught").dataset.none;
    at("photos").textContent = number.format(state.photos);
    at("expected").textContent =
      state.expected === null ? at("expected").dataset.none : `${number.format(state.photos_taught)}, ~${share.format(state.expected)}`;
  } else {
    at("labelled").textContent = number.format(state.photos);
    at("labels").textContent = `${number.format(state.yes)} / ${number.format(state.no)}`;
    at("taught").textContent = number.format(state.taught);
  }
  at("brought").textContent = state.brought ? inWords(state.brought) : "";
}

function inWords(gain) {
  if (gain.low === null) return filled(words.few, { count: number.format(gain.fewest) });
  const figures = { labels: number.format(gain.yes + gain.no), before: hundredths.format(gain.f1_before), now: hundredths.format(gain.f1) };
  const told = filled(words.brought, { ...figures, low: change.format(gain.low), high: change.format(gain.high) });
  return gain.clear ? told : `${told} ${words.unsure}`;
}

async function answered(url, options) {
  const answer = await fetch(url, options);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail ?? String(answer.status));
  return said;
}

// Asks for photos to come, while the one that is there can be answered already.
async function more(skipped = []) {
  const question = new URLSearchParams({ vocabulary, tab, count: AHEAD });
  if (tag) question.set("tag", tag);
  for (const id of skipped) question.append("skipped", id);
  const turn = ++asked;
  coming++;
  try {
    const state = await answered(`/api/v1/labelling${tag ? "" : "/photos"}?${question}`);
    const here = new Set([...waiting, ...done.map((each) => each.photo)].map((photo) => photo.photo_id));
    waiting.push(...state.next.filter((photo) => !here.has(photo.photo_id)));
    if (turn === asked) tell(state);
  } catch (error) {
    complain(error);
  }
  coming--;
  show();
}

function complain(error) {
  at("problem").textContent = error instanceof TypeError ? words.failed : error.message;
  at("problem").hidden = false;
}

const asJson = (method, body) => ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const label = (photo, present) =>
  answered(`/api/v1/photos/${photo.photo_id}/labels`, asJson("POST", { tag, present, vocabulary, tab }));
const labelWhole = (photo, said, again = false) =>
  answered(`/api/v1/photos/${photo.photo_id}/labels`, asJson("PUT", { said, again, vocabulary, tab }));

// Answers go to the server one after the other; what did not get there is said, and the photo stays.
async function once(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
    at("problem").hidden = true;
  } catch (error) {
    complain(error);
  }
  busy = false;
  show();
}

async function keep(photo, what) {
  if (what === "yes" || what === "no") await label(photo, what === "yes");
  if (what !== "these") return {};
  const names = new Set([...photo.tags.map((each) => each.tag), ...chosen]);
  const kept = await labelWhole(photo, Object.fromEntries([...names].map((name) => [name, chosen.has(name)])));
  return kept.before;
}

function say(what) {
  return once(async () => {
    const photo = waiting[0];
    if (!photo) return;
    const before = await keep(photo, what);
    waiting.shift();
    done.push({ photo, before });
    at("said").textContent = words[what];
    more(what === "skip" ? [photo.photo_id] : []);
  });
}

function undo() {
  return once(async () => {
    const last = done.at(-1);
    if (!last) return;
    if (tag) await label(last.photo, null);
    else await labelWhole(last.photo, last.before, true);
    done.pop();
    waiting.unshift(last.photo);
    at("said").textContent = words.undo;
    more();
  });
}

at("skip").addEventListener("click", () => say("skip"));
at("undo").addEventListener("click", undo);
const keys = { s: () => say("skip"), u: undo, Escape: () => location.assign(back) };
if (tag) {
  for (const what of ["yes", "no"]) {
    at(what).addEventListener("click", () => say(what));
    keys[what[0]] = () => say(what);
  }
} else {
  at("these").addEventListener("click", () => say("these"));
  for (const [place, key] of [...KEYS].entries()) {
    keys[key] = () => {
      const meant = waiting[0]?.tags[place];
      if (meant && !busy) toggle(meant.tag);
    };
  }
  keys.Enter = (event) => {
    if (event.target.matches?.("button:not(.chip), a")) return; // which do what they say
    event.preventDefault(); // a tag that was clicked is not pressed again
    say("these");
  };
  at("another")?.addEventListener("change", (event) => {
    const name = event.target.value.trim();
    if ([...at("tags").options].some((option) => option.value === name) && !chosen.has(name)) toggle(name);
    event.target.value = "";
  });
}
tinykeys(window, keys);
more();
