"use strict";
// Tables are sorted by their heads; numbers by what data-value says.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const value = (row) => {
        const cell = row.cells[column];
        const number = Number(cell.dataset.value ?? cell.textContent);
        return Number.isNaN(number) ? cell.textContent : number;
      };
      const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0) * (down ? 1 : -1);
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => order(value(a), value(b))));
    });
  });
}
// One domain alone: what belongs to others fades in the pictures and leaves the tables.
const choice = document.getElementById("domain");
if (choice) {
  choice.addEventListener("change", () => {
    for (const mark of document.querySelectorAll('[id^="group:"]')) {
      mark.classList.toggle("gone", Boolean(choice.value) && mark.id.split(":")[1] !== choice.value);
    }
    for (const row of document.querySelectorAll("tr[data-domain]")) {
      row.classList.toggle("gone", Boolean(choice.value) && row.dataset.domain !== choice.value);
    }
  });
}
