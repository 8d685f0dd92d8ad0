// The comparison: sets of columns, sorting by a click on a name, and filters of the rows.
(() => {
  const table = document.getElementById("rows");
  const controls = document.getElementById("controls");
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];

  const value = (row, column) => {
    const text = row.cells[column].dataset.value;
    return column === 0 ? text : text === "" ? NaN : Number(text);
  };

  const sort = (column, direction) => {
    const rows = [...body.rows].sort((one, other) => {
      const a = value(one, column), b = value(other, column);
      if (column === 0) return direction * a.localeCompare(b);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // what has no value is last
      return direction * (a - b);
    });
    body.append(...rows);
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  };

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () =>
    sort(column, head.getAttribute("aria-sort") === "ascending" ? -1 : 1)));

  const columns = () => {
    const set = controls.elements.set.value;
    heads.forEach((head, column) => {
      const hidden = column > 0 && !head.dataset.sets.split(" ").includes(set);
      head.hidden = hidden;
      for (const row of body.rows) row.cells[column].hidden = hidden;
    });
    for (const note of document.querySelectorAll(".set-note")) note.hidden = note.dataset.set !== set;
  };

  const rows = () => {
    const words = controls.elements.find.value.toLowerCase().split(/\s+/);
    const checked = (name) => new Set([...controls.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value));
    const kinds = checked("kind"), shown = checked("show");
    let count = 0;
    for (const row of body.rows) {
      const { role, kind, text } = row.dataset;
      row.hidden = (kind !== "" && !kinds.has(kind)) || (role !== "variant" && !shown.has(role)) ||
        ("collapsed" in row.dataset && !shown.has("collapsed")) ||
        !words.every((word) => text.toLowerCase().includes(word));
      count += !row.hidden;
    }
    document.getElementById("shown").textContent = `${count} of ${body.rows.length} rows`;
  };

  controls.addEventListener("input", () => { columns(); rows(); });
  controls.addEventListener("submit", (event) => event.preventDefault());
  columns(); // a browser may have kept what was chosen before
  rows();
})();
