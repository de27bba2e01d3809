// Blurred placeholders of pictures that are still to come: <img data-placeholder="..."> holds a ThumbHash in base64.
import { thumbHashToDataURL } from "./vendor/thumbhash-0.1.1/thumbhash.js";

export function showPlaceholders(within = document) {
  for (const image of within.querySelectorAll("img[data-placeholder]")) {
    const hash = Uint8Array.from(atob(image.dataset.placeholder), (letter) => letter.charCodeAt(0));
    delete image.dataset.placeholder;
    if (image.complete && image.naturalWidth) continue;
    image.style.background = `url(${thumbHashToDataURL(hash)}) center / cover`;
    image.addEventListener("load", () => { image.style.background = ""; }, { once: true });
  }
}
