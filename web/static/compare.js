// Before and after laid over each other: the slider says how much of the one is shown, a button shows what visitors see.

for (const figure of document.querySelectorAll("[data-compare]")) {
  const [before, after] = figure.querySelectorAll("img");
  const slider = figure.querySelector("input");
  const seen = figure.querySelector("[data-seen]");
  const show = () => {
    after.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`;
    figure.querySelector(".left").hidden = slider.value < 15;
    figure.querySelector(".right").hidden = slider.value > 85;
  };
  slider.addEventListener("input", show);
  seen.addEventListener("click", () => {
    const on = seen.getAttribute("aria-pressed") !== "true";
    seen.setAttribute("aria-pressed", String(on));
    for (const image of [before, after]) {
      const address = new URL(image.src);
      address.searchParams.set("seen", on);
      image.src = address.href;
    }
  });
  show();
}
