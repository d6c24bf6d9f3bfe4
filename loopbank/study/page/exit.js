
// Builds the page of `bench exit` from its data: answers, the two figures, comparisons, the table.

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { element, sentence, table, heading, rowHeading, cell } = dom;
  const section = (id) => document.getElementById(id);
  const places = [...new Set(data.rows.map((row) => row.where))];

  function figureElement(figure) {
    return element("figure", { id: figure.id, className: "narrow", data: { figure: "" } },
      element("h4", {}, figure.title), element("div", { className: "drawing" }),
      element("figcaption", {}, sentence(figure.caption)));
  }

  const details = (summary, open, content) => element("details", { open },
    element("summary", { textContent: summary }), content);

  function rowsOf(where) {
    const head = ["rule", ...data.columns].map((title) => heading(title));
    const rows = data.rows.filter((row) => row.where === where).map((row) => element("tr", {},
      rowHeading(row.rule, element("small", { textContent: row.kv })),
      ...row.cells.map((text, i) => cell(data.columns[i], sentence(text)))));
    return table("exits", head, element("tbody", {}, ...rows));
  }

  function compared() {
    if (data.comparisons.length === 0) return element("p", { textContent: "Not measured." });
    const columns = ["where", "BPB", "95 % interval", "FLOPs"];
    const rows = data.comparisons.map((one) => element("tr", {},
      rowHeading(one.b, element("small", { textContent: "against " + one.a })),
      ...one.cells.map((text, i) => cell(columns[i], sentence(text)))));
    return table("exits", ["rule", ...columns].map((title) => heading(title)),
      element("tbody", {}, ...rows));
  }

  document.title = data.title;
  document.querySelector(".lead").textContent = sentence(data.lead);
  section("answers").append(...data.answers.map((answer) => element("p", {},
    element("b", { textContent: answer.headline + ". " }), sentence(answer.text))));
  section("figures").append(element("div", { className: "figures" }, ...data.figures.map(figureElement)));
  for (const figure of data.figures) figureViews.add(section(figure.id), figure);
  section("compared").append(compared());
  section("rules").append(...places.map((where, i) => details(where, i === 0, rowsOf(where))));
  document.documentElement.dataset.ready = "true";
})();
