// Photos to search by: chosen, dropped on the page or pasted; each becomes a term of the query, shown as a chip.

import { toast } from "./shell.js";

const LONGEST_S = 120; // until the server has made up its mind
const SHOWN = ["image/jpeg", "image/png", "image/webp"]; // by every browser
const TAKEN = /^image\/(jpeg|png|webp|hei[cf]|avif)$/;
const ENDING = /\.(hei[cf]|hif|avif)$/i; // whose kind many systems do not know

// found: told of the term of a photo that the server has taken.
export function acceptPhotos({ holder, words, get, report, found }) {
  const pictures = new Map(); // addresses of the photos that were given here, by term

  async function upload(file) {
    if (!file) return;
    if (!TAKEN.test(file.type) && !ENDING.test(file.name)) return toast(words.notPhoto);
    const form = new FormData();
    form.append("photo", file);
    const told = toast(words.uploading, LONGEST_S);
    try {
      const { id, term } = await get("/api/v1/uploads", undefined, "json", { method: "POST", body: form });
      pictures.set(term, SHOWN.includes(file.type) ? URL.createObjectURL(file) : `/api/v1/uploads/${id}/image`);
      found(term);
    } catch (error) {
      report(error);
    } finally {
      told();
    }
  }

  const photoOf = (transfer) => [...(transfer?.files ?? [])][0];
  const drags = (event) => event.dataTransfer?.types.includes("Files");
  document.body.dataset.drop = words.drop;
  document.addEventListener("dragover", (event) => {
    if (!drags(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!drags(event)) return;
    event.preventDefault();
    upload(photoOf(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => upload(photoOf(event.clipboardData)));
  document.getElementById("photo-file").addEventListener("change", ({ target }) => {
    upload(target.files[0]);
    target.value = "";
  });

  // Shows chips of terms; without: the address without a term.
  function show(terms, without) {
    holder.replaceChildren(...terms.map((term) => {
      const chip = document.getElementById("chip").content.firstElementChild.cloneNode(true);
      const picture = chip.querySelector("img");
      chip.href = without(term);
      chip.dataset.term = term;
      chip.ariaLabel = words.takeOut;
      if (pictures.has(term)) picture.src = pictures.get(term);
      else picture.remove();
      return chip;
    }));
  }
  return { show };
}
