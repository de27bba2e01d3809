// Hotels: narrowed as soon as something is chosen; the list works without this.
import { showPlaceholders } from "./placeholders.js";

showPlaceholders();
document.body.addEventListener("htmx:after:swap", () => showPlaceholders());
document.body.addEventListener("change", (event) => {
  if (event.target.closest("#narrow") && event.target.name === "sort") event.target.form.requestSubmit();
});
