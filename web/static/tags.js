// The page of one tag: the slider moves over counts that came with the page; nothing is asked while it moves.

const BINS = 64;
const EACH = 8; // examples on each side
const slider = document.getElementById("threshold");

if (slider) {
  const counts = JSON.parse(document.getElementById("counts").textContent);
  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language);
  const share = new Intl.NumberFormat(language, { style: "percent" });
  const hundredths = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const at = (id) => document.getElementById(id);
  const bars = [...document.querySelectorAll(".histogram .bar")];
  const line = document.querySelector(".histogram .line");
  const start = Number(slider.value);
  const total = (values, from) => values.slice(from).reduce((sum, value) => sum + value, 0);

  function photosOf(ids, list) {
    list.replaceChildren(
      ...ids.map((id) => {
        const item = document.createElement("li");
        const link = document.createElement("a");
        const image = document.createElement("img");
        link.href = `/photo/${id}`;
        image.src = `/api/v1/photos/${id}/image?w=480`;
        image.alt = at("above").dataset.alt.replace("{}", id);
        link.append(image);
        item.append(link);
        return item;
      }),
    );
  }

  function examples(place) {
    photosOf(counts.examples.slice(place).flat().slice(0, EACH), at("above"));
    const lower = counts.examples.map((ids, bin) => [...ids, ...counts.passed_over[bin]]).slice(0, place);
    photosOf(lower.reverse().flat().slice(0, EACH), at("below"));
  }

  function figures(place) {
    const moved = place !== start;
    const threshold = moved ? place / BINS : Number(slider.dataset.now);
    const right = total(counts.said_yes, place);
    const judged = right + total(counts.said_no, place);
    at("at").textContent = hundredths.format(threshold);
    at("count").textContent = number.format(moved ? counts.yes + total(counts.histogram, place) : slider.dataset.photos);
    at("judged").textContent = number.format(judged);
    at("right").textContent = judged ? `${number.format(right)} (${share.format(right / judged)})` : at("right").dataset.none;
    at("chosen").value = threshold;
    at("use").disabled = !moved;
    slider.setAttribute("aria-valuetext", hundredths.format(threshold));
    line.setAttribute("x1", threshold * 640);
    line.setAttribute("x2", threshold * 640);
    for (const bar of bars) bar.classList.toggle("in", Number(bar.dataset.bin) >= place);
  }

  let resting;
  slider.addEventListener("input", () => {
    figures(Number(slider.value));
    clearTimeout(resting);
    resting = setTimeout(() => examples(Number(slider.value)), 150);
  });
  figures(start);
  examples(start);
}
