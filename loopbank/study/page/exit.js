
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
    const those = data.rows.filter((row) => row.where === where);
    const filled = Math.max(...those.map((row) => row.cells.length));  // tasks are of one place
    const head = ["rule", ...data.columns.slice(0, filled)].map((title) => heading(title));
    const rows = those.map((row) => element("tr", {},
      rowHeading(row.rule, element("small", { textContent: row.kv })),
      ...row.cells.map((text, i) => cell(data.columns[i], sentence(text)))));
    const note = data.notes[where] ? element("p", {}, element("small", {}, sentence(data.notes[where])))
      : null;
    return element("div", {}, note, table("exits", head, element("tbody", {}, ...rows)));
  }

  const kQuestions = {
    gate: "A rule without the trained gate in place of the gate, at equal FLOPs",
    hard: "The hard exit in place of the mixture",
    prefill: "A policy in the prompt too in place of decoding alone",
  };

  const kMarks = { better: "yes", worse: "no", "not told apart": "open" };

  /** What b is against a; the last column is the verdict on b. */
  function pairTable(pairs) {
    const rows = pairs.map((one) => element("tr", {},
      rowHeading(one.b, element("small", { textContent: "against " + one.a })),
      ...one.cells.map((text, i) => cell(data.compared_columns[i], sentence(text),
        i + 1 === one.cells.length ? "word " + kMarks[text] : i === 0 ? "word" : ""))));
    const head = ["rule", ...data.compared_columns].map((title) =>
      heading(title, null, ["where", "verdict"].includes(title) ? "word" : ""));
    return table("exits", head, element("tbody", {}, ...rows));
  }

  function compared(question) {
    const pairs = data.comparisons.filter((one) => one.question === question);
    return pairs.length === 0 ? null : details(kQuestions[question], false, pairTable(pairs));
  }

  function answerElement(answer) {
    const said = answer.rows.length > 0
      ? [element("p", {}, sentence(answer.sentences[0])), pairTable(answer.rows)]
      : [element("ul", {}, ...answer.sentences.map((text) => element("li", {}, sentence(text))))];
    return element("div", { className: "answer wide" },
      element("h3", { textContent: answer.headline }), ...said);
  }

  document.title = data.title;
  document.querySelector(".lead").textContent = sentence(data.lead);
  section("answers").append(...data.answers.map(answerElement));
  section("figures").append(element("div", { className: "figures" }, ...data.figures.map(figureElement)));
  for (const figure of data.figures) figureViews.add(section(figure.id), figure);
  const pairs = Object.keys(kQuestions).map(compared).filter((shown) => shown !== null);
  section("compared").append(...(pairs.length > 0 ? pairs
    : [element("p", { textContent: "No two rules were measured that differ in one respect." })]));
  section("rules").append(...places.map((where, i) => details(where, i === 0, rowsOf(where))));
  document.documentElement.dataset.ready = "true";
})();
