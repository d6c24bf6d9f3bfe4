
// Builds the page from its data, section by section.

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { element, sentence, partHeading } = dom;
  /** A figure with its caption and its file; charts are drawn once it stands on the page. */
  function figureElement(part, figure) {
    const isHeat = figure.kind === "heat";
    const count = figure.panels.length;
    const wide = figure.side_by_side && count > 1;
    return element("figure", {
      id: figure.name, className: wide ? (count === 4 ? "wide four" : "wide") : "narrow",
      data: isHeat ? {} : { figure: "" },
    }, element("h4", {}, figure.title, part.title ? element("small", { textContent: part.title }) : null),
      isHeat ? tables.heat(figure) : element("div", { className: "drawing" }),
      element("figcaption", {}, sentence(figure.caption) + " ",
        figure.conclusion ? element("b", { textContent: sentence(figure.conclusion) + " " }) : null,
        element("a", { href: "csv/" + figure.name + ".csv", textContent: "CSV" })));
  }

  /** The figures of a section, the same one of several parts side by side. */
  function addFigures(section) {
    const own = data.parts.flatMap((part) => part.figures
      .filter((figure) => figure.section === section.dataset.figures).map((figure) => [part, figure]));
    if (own.length === 0) return;
    const ids = [...new Set(own.map(([, figure]) => figure.id))];
    const sorted = ids.flatMap((id) => own.filter(([, figure]) => figure.id === id));
    section.append(element("div", { className: "figures" },
      ...sorted.map(([part, figure]) => figureElement(part, figure))));
    for (const [, figure] of sorted) {
      if (figure.kind !== "heat") figureViews.add(document.getElementById(figure.name), figure);
    }
  }

  function answerElement(part, answer) {
    return element("div", { className: "answer " + answer.tone }, partHeading(part),
      element("p", {}, element("b", { textContent: answer.headline + "." }), " " + sentence(answer.text)),
      answer.more ? element("p", { className: "more", textContent: sentence(answer.more) }) : null);
  }

  const details = (summary, part, content) => element("details", {},
    element("summary", { textContent: summary + (part.title ? ": " + part.title : "") }), content);

  const missing = (textContent) => element("p", { textContent });

  /** Loops, banks, gates and routers that did nothing when training ended. */
  function deadParts(part) {
    const { rows, none, unwatched } = part.dead;
    if (rows.length === 0) return [missing(none ? none[0].toUpperCase() + none.slice(1)
      : "No system has loops or memory.")];
    const { table, heading, rowHeading, cell } = dom;
    const found = table("plain", ["system", "what", "where", "seeds"].map((name) => heading(name)),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, rowHeading(row.system),
        cell("what", row.what), cell("where", row.where),
        cell("seeds", row.seeds.join(", ") + " of " + row.of_seeds)))));
    return unwatched ? [found, missing(unwatched)] : [found];
  }

  const section = (id) => document.getElementById(id);

  /** What stands above the figures of each section, by its id. */
  const contents = {
    table: () => data.parts.length === 0 ? [missing("No system is done yet.")]
      : data.parts.flatMap((part) => [partHeading(part), ...tables.scores(part)]),
    findings: () => {
      const found = data.parts.filter((part) => part.claims.length > 0);
      return found.length === 0 ? [missing("Not measured: it takes two systems that the paper compares.")]
        : found.flatMap((part) => [partHeading(part), ...tables.claims(part)]);
    },
    dead: () => data.parts.flatMap((part) => [partHeading(part), ...deadParts(part)]),
    making: () => data.command ? [element("pre", { className: "wrap", textContent: data.command })] : [],
  };
  for (const question of [0, 1, 2, 3, 4]) {
    contents["question-" + (question + 1)] = () => data.parts.length === 0 ? [missing("Not measured.")]
      : data.parts.map((part) => answerElement(part, part.answers[question]));
  }
  const answers = contents["question-5"];
  contents["question-5"] = () => [...answers(), ...data.parts.map((part) => tables.exits(part))];

  /** A study whose systems start from an existing model has nothing to set beside the paper. */
  function dropPaper() {
    section("findings").remove();
    document.querySelector('a[href="#findings"]').remove();
    delete contents.findings;
  }

  function build() {
    if (data.retrofit) dropPaper();
    document.title = data.title;
    document.querySelector("h1").textContent = data.title;
    document.querySelector(".lead").textContent = sentence(data.lead);
    document.getElementById("notices").append(...data.notices.map((notice) =>
      element("p", { className: "notice", textContent: sentence(notice) })));
    for (const [id, make] of Object.entries(contents)) {
      section(id).append(...make().filter((child) => child !== null));
      addFigures(section(id));
    }
    for (const part of data.parts) {
      const pre = (textContent) => element("pre", { textContent });
      section("making").append(...[
        part.settings ? details("What all systems share", part, pre(part.settings)) : null,
        part.data ? details("Data", part, pre(part.data)) : null,
        part.matches.length === 0 ? null : details("How near the matched baselines came", part,
          element("ul", {}, ...part.matches.map((match) => element("li", { textContent: sentence(match) })))),
      ].filter((child) => child !== null));
    }
    const view = data.tokens.length === 0 ? missing("Not measured.") : element("div", { id: "token-view" });
    section("tokens").append(view);
    if (data.tokens.length > 0) tokens.start(view, data.tokens);
  }

  build();
  document.documentElement.dataset.ready = "true";
})();
