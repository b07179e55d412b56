const points = JSON.parse(document.getElementById("data").textContent).points;
const panelDots = document.querySelectorAll('[id^="point:"]');
function choose(name) {
  const point = points.find(each => each.name === name);
  document.querySelectorAll("circle.point").forEach(dot => dot.classList.toggle("chosen", dot.dataset.name === name));
  panelDots.forEach(dot => dot.classList.toggle("chosen", dot.id.startsWith(`point:${name}:`)));
  document.getElementById("named").textContent = `${(100 * point.removed).toFixed(1)}% removed`;
  document.getElementById("words").textContent = point.words + ".";
  document.getElementById("how").textContent = point.how;
  document.getElementById("command").textContent = point.command;
  const body = document.querySelector("#groups tbody");
  body.replaceChildren(...point.groups.map(group => {
    const row = document.createElement("tr");
    for (const key of ["label", "loss", "interval", "tolerance", "share"]) {
      const cell = document.createElement("td");
      cell.textContent = group[key];
      cell.className = (key === "label" ? "name" : "") + (group.over ? " worse" : "");
      row.append(cell);
    }
    return row;
  }));
}
document.querySelectorAll("circle.point").forEach(dot => {
  dot.addEventListener("click", () => choose(dot.dataset.name));
  dot.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(dot.dataset.name); } });
});
panelDots.forEach(dot => dot.addEventListener("click", () => choose(dot.id.split(":")[1])));
if (points.length) choose((points.find(each => each.answer) || points[0]).name);
