// Rows that are longer than the window: arrows at their ends show that there is more, and move them.
//
// Knows elements with the attribute data-scrolls.
//
//     bindScrolling    watches all of them

export function bindScrolling() {
  for (const row of document.querySelectorAll("[data-scrolls]")) watch(row);
}

function watch(row) {
  const [before, after] = [-1, 1].map((direction) => arrow(row, direction));
  row.prepend(before);
  row.append(after);
  const look = () => {
    const more = row.scrollWidth - row.clientWidth;
    before.hidden = row.scrollLeft < 2;
    after.hidden = row.scrollLeft > more - 2;
  };
  row.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(row);
  look();
}

function arrow(row, direction) { // for pointers only: the keyboard's focus moves the row by itself
  const button = Object.assign(document.createElement("button"), { type: "button", tabIndex: -1, className: "arrow" });
  button.textContent = direction < 0 ? "‹" : "›";
  button.setAttribute("aria-hidden", "true");
  button.addEventListener("click", () => row.scrollBy({ left: direction * 0.8 * row.clientWidth, behavior: "smooth" }));
  return button;
}
