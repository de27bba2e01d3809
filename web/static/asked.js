// What the search page is asked: the whole of its state, as it stands in the address.

const UPLOAD = /(?<!\S)[-+]?image:u_[\w-]+(?::[0-9.]+)?(?!\S)/g; // as search_state.py has it
const DEFAULTS = { q: "", sort: "score", view: "grid", more: "", less: "" };

export function read(search) {
  const said = new URLSearchParams(search);
  return Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, said.get(name) ?? DEFAULTS[name]]));
}

export function address(state) {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(DEFAULTS)) {
    if (state[name].trim() !== value) said.set(name, state[name].trim());
  }
  return said.toString();
}

export const typedPart = (q) => q.replace(UPLOAD, "").trim();
export const droppedParts = (q) => q.match(UPLOAD) ?? [];
export const joined = (typed, dropped) => [typed.trim(), ...dropped].filter(Boolean).join(" ");
