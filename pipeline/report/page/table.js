// The comparison table: column sets, sorting by a click on a column name, and filters for rows.
(() => {
  const table = document.getElementById("rows");
  const controls = document.getElementById("controls");
  const headers = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];

  const isText = (column) => headers[column].classList.contains("left");
  const value = (row, column) => {
    const text = row.cells[column].dataset.value;
    return isText(column) ? text : text === "" ? NaN : Number(text);
  };

  const sort = (column, direction) => {
    const rows = [...body.rows].sort((first, second) => {
      const a = value(first, column), b = value(second, column);
      if (isText(column)) return direction * a.localeCompare(b);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // missing values come last
      return direction * (a - b);
    });
    body.append(...rows);
    for (const header of headers) header.removeAttribute("aria-sort");
    headers[column].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  };

  headers.forEach((header, column) => header.querySelector("button").addEventListener("click", () =>
    sort(column, header.getAttribute("aria-sort") === "ascending" ? -1 : 1)));

  const showColumns = () => {
    const set = controls.elements.set.value;
    headers.forEach((header, column) => {
      const hidden = column > 0 && !header.dataset.sets.split(" ").includes(set);
      header.hidden = hidden;
      for (const row of body.rows) row.cells[column].hidden = hidden;
    });
    for (const note of document.querySelectorAll(".set-note")) note.hidden = note.dataset.set !== set;
  };

  const showRows = () => {
    const words = controls.elements.search.value.toLowerCase().split(/\s+/);
    const checked = (name) => new Set([...controls.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value));
    const kinds = checked("kind"), roles = checked("show");
    let count = 0;
    for (const row of body.rows) {
      const { role, kind, text } = row.dataset;
      // Codecs, and Griffin-Lim beside a vocoder, have values only of their audio.
      const isEmpty = [...row.cells].every((cell, column) => isText(column) || cell.hidden || cell.dataset.value === "");
      row.hidden = (kind !== "" && !kinds.has(kind)) || (role !== "variant" && !roles.has(role)) ||
        ("collapsed" in row.dataset && !roles.has("collapsed")) || (!["variant", "baseline"].includes(role) && isEmpty) ||
        !words.every((word) => text.toLowerCase().includes(word));
      count += !row.hidden;
    }
    document.getElementById("row-count").textContent = `${count} of ${body.rows.length} rows`;
  };

  controls.addEventListener("input", () => { showColumns(); showRows(); });
  controls.addEventListener("submit", (event) => event.preventDefault());
  showColumns(); // the browser may restore an earlier selection
  showRows();
})();
