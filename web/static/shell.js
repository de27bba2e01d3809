// What every page needs: short words that come and go. Knows no page.

export function toast(text, seconds = 4) {
  const box = document.getElementById("toasts");
  const line = document.createElement("p");
  line.textContent = text;
  box.append(line);
  setTimeout(() => line.remove(), seconds * 1000);
}
