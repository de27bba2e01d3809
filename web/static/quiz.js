// The quiz question by question; without this, all questions stand one below the other and are handed in as they are.

const form = document.getElementById("quiz");
const questions = [...form.querySelectorAll("[data-question]")];
const back = document.getElementById("back");
const on = document.getElementById("on");
const last = document.getElementById("handing-in");
let at = 0;

const kept = `quiz ${location.search}`; // answers outlive a reload, in this tab

const choices = () => [...questions[at].querySelectorAll("input[type=radio]")];

function show(place) {
  at = Math.min(Math.max(place, 0), questions.length - 1);
  questions.forEach((question, number) => { question.hidden = number !== at; });
  const chosen = choices().some((choice) => choice.checked);
  back.hidden = at === 0;
  on.hidden = at === questions.length - 1;
  on.disabled = !chosen;
  last.hidden = at < questions.length - 1 || !chosen;
  keep();
  document.getElementById("where").textContent = form.dataset.of.replace("{a}", at + 1).replace("{b}", questions.length);
}

function move(by) {
  if (by > 0 && on.disabled) return;
  show(at + by);
  (choices().find((choice) => choice.checked) ?? choices()[0]).focus();
}

function keep() {
  const given = [...form.querySelectorAll("input[type=radio]:checked")].map((choice) => [choice.name, choice.value]);
  sessionStorage.setItem(kept, JSON.stringify({ at, given }));
}

function restore() {
  const { at: place = 0, given = [] } = JSON.parse(sessionStorage.getItem(kept) ?? "{}");
  for (const [name, value] of given) {
    const choice = [...form.querySelectorAll("input[type=radio]")].find((each) => each.name === name && each.value === value);
    if (choice) choice.checked = true;
  }
  show(place);
}

form.addEventListener("change", () => show(at));
form.addEventListener("submit", () => sessionStorage.removeItem(kept));
back.addEventListener("click", () => move(-1));
on.addEventListener("click", () => move(1));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.name === "player") return;
  const choice = /^[1-9]$/.test(event.key) ? choices()[event.key - 1] : undefined;
  if (choice) {
    choice.checked = true;
    choice.focus();
    show(at);
  } else if (event.key === "ArrowLeft") move(-1);
  else if (event.key === "ArrowRight" || (event.key === "Enter" && at < questions.length - 1)) move(1);
  else return;
  event.preventDefault();
});
restore();
