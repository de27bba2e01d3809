// The page of one photo: neighbours by keys, the large view, the visitors' eyes, before and after.
import { showPlaceholders } from "./placeholders.js";
import { toast } from "./shell.js";

const words = JSON.parse(document.getElementById("words").textContent);
const around = JSON.parse(document.getElementById("around").textContent);
const byId = (id) => document.getElementById(id);
const VIEWER = "/static/vendor/photoswipe-5.4.4/";

// The photos before and after take this one's place, so that Back leads to where one came from; they are seen alike.
function stepTo(href) {
  const address = new URL(href, location.href);
  if (visitors.getAttribute("aria-pressed") === "true") address.searchParams.set("seen", "protan");
  location.replace(address);
}
const steps = { ArrowLeft: document.querySelector(".step.before"), ArrowRight: document.querySelector(".step.after") };
for (const step of Object.values(steps)) {
  step?.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    stepTo(step.href);
  });
}
const back = byId("back");
function goBack() {
  if (history.length > 1 && document.referrer.startsWith(`${location.origin}/`)) history.back();
  else location.assign(back.href);
}
back.addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  goBack();
});
document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, dialog, [popover]") || document.querySelector(".pswp, dialog[open]")) return;
  if (event.key === "Escape") goBack();
  else if (steps[event.key]) stepTo(steps[event.key].href);
});
for (const slide of around.slides) {
  if (Math.abs(slide.place - around.place) === 1) new Image().src = slide.shown;
}

// At once by a filter, then by the exact picture of the server.
const [large, shown, visitors] = ["large", "shown", "visitors"].map(byId);
function showAs(view) {
  const wanted = shown.dataset[view];
  visitors.setAttribute("aria-pressed", String(view === "protan"));
  byId("about-view").hidden = view !== "protan";
  for (const each of document.querySelectorAll(".compare")) each.classList.toggle("protan", view === "protan");
  large.classList.toggle("protan", view === "protan");
  if (view === "plain") { shown.src = wanted; return; }
  const exact = new Image();
  exact.src = wanted;
  exact.decode().then(() => {
    if (visitors.getAttribute("aria-pressed") !== "true") return;
    shown.src = wanted;
    large.classList.remove("protan");
  }, () => {});
}
visitors.addEventListener("click", (event) => {
  event.preventDefault();
  showAs(visitors.getAttribute("aria-pressed") === "true" ? "plain" : "protan");
});
visitors.addEventListener("keydown", (event) => {
  if (event.key === " ") { event.preventDefault(); visitors.click(); }
});
byId("about-view").hidden = visitors.getAttribute("aria-pressed") !== "true";

// The large view comes when it is asked for.
async function enlarge() {
  if (!document.querySelector("link[data-viewer]")) {
    const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: `${VIEWER}photoswipe.css` });
    style.dataset.viewer = "";
    const loaded = new Promise((resolve) => { style.onload = style.onerror = resolve; });
    document.head.append(style);
    await loaded;
  }
  const { default: PhotoSwipe } = await import(`${VIEWER}photoswipe.esm.min.js`);
  const viewer = new PhotoSwipe({
    dataSource: around.slides.map(({ src, small, width, height, alt }) => ({ src, msrc: small, width, height, alt })),
    index: around.slides.findIndex((slide) => slide.place === around.place),
    loop: false, bgOpacity: 1, maxZoomLevel: 4, secondaryZoomLevel: (levels) => Math.min(4, 2.5 * levels.initial),
    initialZoomLevel: ({ panAreaSize: room, elementSize: size }) => Math.min(2, room.x / size.x, room.y / size.y),
    closeTitle: words.close, zoomTitle: words.zoom, arrowPrevTitle: words.before, arrowNextTitle: words.after,
    errorMsg: words.broken, returnFocus: true,
  });
  viewer.on("close", () => {
    const seen = around.slides[viewer.currIndex];
    if (seen.place !== around.place) stepTo(seen.address);
  });
  viewer.init();
}
byId("zoom").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  enlarge();
});

for (const compare of document.querySelectorAll("[data-compare]")) {
  const slider = compare.querySelector("input");
  slider.hidden = false;
  compare.classList.add("live");
  slider.addEventListener("input", () => compare.style.setProperty("--shown", `${slider.value}%`));
}

const copy = byId("copy");
copy.hidden = !navigator.clipboard;
copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(copy.dataset.path);
  toast(words.copied);
});
document.body.addEventListener("basket-changed", () => toast(words.basket));

showPlaceholders();
// What was corrected stays in sight: the list is new, the focus and the opened part are as they were.
let focused = null, opened = false;
document.addEventListener("submit", () => { focused = document.activeElement?.id; opened = byId("other-tags")?.open; }, true);
document.body.addEventListener("htmx:after:swap", () => {
  showPlaceholders();
  if (opened && byId("other-tags")) byId("other-tags").open = true;
  const next = focused && (byId(focused) || byId(focused.replace("say-model-", "say-yes-")));
  if (next) next.focus();
  focused = null;
});
