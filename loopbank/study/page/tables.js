
// The tables: scores with their marks, every difference behind the marks, the paper's findings, heat
// maps of loops and slots.

const tables = (() => {
  const { element, sentence, table, heading, rowHeading, cell } = dom;
  const kCosts = ["parameters", "FLOPs a token", "tokens a second"];

  /** A letter and a triangle. */
  function mark(comparison) {
    const triangle = comparison.verdict === "better" ? "\u25b2" : "\u25bc";
    return element("abbr", {
      className: "mark " + comparison.verdict,
      title: comparison.verdict + " than " + comparison.against + ": " + sentence(comparison.text),
      textContent: comparison.letter + triangle,
    });
  }

  function marks(part, row, column) {
    const clear = part.table.comparisons.filter((one) => one.name === row.name && one.key === column.key &&
      (one.verdict === "better" || one.verdict === "worse"));
    return clear.length === 0 ? null : element("span", { className: "marks" }, ...clear.map(mark));
  }

  /** A number, and below it what stands beside it in small: marks and the bar. */
  function withBar(value, bar, digits, before) {
    const content = document.createDocumentFragment();
    content.append(element("span", { className: "value", textContent: value.toFixed(digits) }));
    if (before || bar !== null) {
      content.append(element("small", {}, before, before && bar !== null ? " " : null,
        bar === null ? null : "\u00b1\u00a0" + bar.toFixed(digits)));
    }
    return content;
  }

  function scoreRow(part, row) {
    const { columns, paper_columns } = part.table;
    const swatch = element("i", { className: "swatch" });
    swatch.style.setProperty("--c", "var(--" + row.color + ")");
    return element("tr", {},
      rowHeading(swatch, row.label, element("small", { textContent: row.shape })),
      ...row.scores.map((score, i) => cell(columns[i].title,
        score && withBar(score.mean, score.bar, 3, marks(part, row, columns[i])),
        score && score.best ? "score best" : "score")),
      ...row.counts.map((count, i) => cell(kCosts[i], count)),
      cell("mean loops", row.loops && withBar(row.loops.mean, row.loops.bar, 2, null)),
      ...paper_columns.map((column, i) => typeof row.paper[i] !== "number"
        ? element("td", { className: "paper empty" })
        : cell("paper: " + column.title, row.paper[i].toFixed(3), "paper")));
  }

  function legend(part) {
    const text = element("p", { className: "legend" },
      "\u00b1 is the " + part.bars + ". ", element("b", { textContent: "Bold" }),
      " is the best of its group. FLOPs are those of a forward pass with every loop.");
    const chances = part.table.columns.filter((column) => column.chance !== null);
    if (chances.length > 0) {
      text.append(" Guessing scores " + chances.map((one) => Number(one.chance.toFixed(3)) + " in " + one.title).join(", ") + ".");
    }
    if (part.table.comparisons.length > 0) {
      const example = (verdict, words) => element("abbr", { className: "mark " + verdict, textContent: words });
      const first = part.table.baselines[0], last = part.table.baselines.at(-1);
      text.append(" ", example("better", first.letter + "\u25b2"), " clearly better than " + first.label + ", ",
        example("worse", last.letter + "\u25bc"),
        " clearly worse than " + last.label + ": of seeds and questions, adjusted for the other tests.");
    }
    return text;
  }

  function differences(part) {
    const rows = part.table.comparisons.map((one) => element("tr", {}, rowHeading(one.system),
      cell("against", one.against), cell("score", one.column), cell("difference", sentence(one.text)),
      cell("says", one.verdict)));
    const names = ["system", "against", "score", "difference", "says"];
    return rows.length === 0 ? null : element("details", {},
      element("summary", { textContent: "Every difference against " +
        part.table.baselines.map((one) => one.label).join(" and ") + ", with its intervals" }),
      table("plain", names.map((textContent) => element("th", { textContent })), element("tbody", {}, ...rows)));
  }

  function scores(part) {
    const { columns, paper_columns, groups } = part.table;
    const head = [heading("system"), ...columns.map((one) => heading(one.title, one.direction)),
      ...[...kCosts, "mean loops"].map((name) => heading(name)),
      ...paper_columns.map((one) => heading(one.title, "paper", "paper"))];
    const bodies = groups.map((group) => element("tbody", {},
      element("tr", { className: "group" },
        element("th", { colSpan: head.length, scope: "rowgroup", textContent: group.title })),
      ...group.rows.map((row) => scoreRow(part, row))));
    return groups.length === 0 ? [element("p", { textContent: "No system is done yet." })]
      : [table("scores", head, ...bodies), legend(part), certainty(part), differences(part)].filter(Boolean);
  }

  /** The rule of verdict, how many seeds there are, and what they could have shown. */
  function certainty(part) {
    return part.certainty.length === 0 ? null : element("details", { open: true, className: "certainty" },
      element("summary", { textContent: "How sure is this?" }),
      element("ul", {}, ...part.certainty.map((text) => element("li", { textContent: sentence(text) }))));
  }

  /** How many of the paper's findings came out, those that did not in words, and all as a table. */
  function claims(part) {
    const count = (kind) => part.claims.filter((claim) => claim.kind === kind).length;
    const open = count("open");
    const whose = part.claims.some((claim) => claim.source) ? " findings of the literature " : " findings of the paper ";
    const list = [element("p", { className: "tally" }, "Of " + part.claims.length + whose,
      element("b", { textContent: count("agrees") + " came out" }), " here, ",
      element("b", { textContent: count("disagrees") + " came out the other way" }),
      ", and " + open + (open === 1 ? " is" : " are") + " not told apart.")];
    if (count("disagrees") > 0) {
      list.push(element("div", { className: "disagreement" },
        element("p", { textContent: "These came out the other way:" }),
        element("ul", {}, ...part.claims.filter((claim) => claim.kind === "disagrees").map((claim) =>
          element("li", {}, claim.text + " ", element("small", { textContent:
            "(" + claim.measure + ": here " + sentence(claim.ours) +
              (claim.paper ? ", in the paper " + sentence(claim.paper) : "") + ")" }))))));
    }
    const names = ["finding", "here", "paper", "95\u00a0% interval of the difference", "verdict"];
    list.push(table("claims", names.map((textContent) => element("th", { textContent })),
      element("tbody", {}, ...part.claims.map((claim) => element("tr", {},
        rowHeading(claim.text, element("small", { textContent: claim.measure + "; " + sentence(claim.sure) })),
        cell(names[1], element("span", {}, sentence(claim.ours),
          element("small", { textContent: sentence(claim.ours_interval) }))), cell(names[2], sentence(claim.paper || claim.source)),
        cell(names[3], sentence(claim.interval)),
        cell(names[4], element("span", { className: "verdict " + claim.kind, textContent: claim.verdict })))))));
    return list;
  }

  /** One panel of a heat map: a row a series. */
  function heatPanel(figure, panel) {
    const rows = figure.series.filter((row) => row.panel === panel);
    const values = rows.flatMap((row) => row.y);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const lower = rows[0].lower_is_better;
    const shaded = (row, x) => {
      const i = row.x.indexOf(x);
      if (i < 0) return element("td", { className: "none", textContent: "\u2013" });
      const rise = high > low ? (row.y[i] - low) / (high - low) : 0.5;
      const made = element("td", { title: row.notes[i] }, row.y[i].toFixed(3),
        element("small", { textContent: "\u00b1\u00a0" + row.error[i].toFixed(3) }));
      made.style.setProperty("--heat", (lower ? 1 - rise : rise).toFixed(2));
      return made;
    };
    const box = table("heat", [element("td", {}), ...figure.x_names.map((name) => heading(name))],
      element("tbody", {}, ...rows.map((row) => element("tr", {}, rowHeading(row.label),
        ...figure.x_names.map((name, x) => shaded(row, x))))));
    box.firstChild.prepend(element("caption", { textContent: panel }));
    return box;
  }

  /** What each system saves at each price; null where nothing was measured. */
  function exits(part) {
    const { columns, rows, legend } = part.exits;
    if (rows.length === 0) return null;
    const lines = rows.map((row) => element("tr", {},
      rowHeading(row.system, element("small", { textContent: sentence(row.price) })),
      ...row.cells.map((text, i) => cell(columns[i], text && sentence(text)))));
    return element("div", {}, table("exits", [heading("system"), ...columns.map((name) => heading(sentence(name)))],
      element("tbody", {}, ...lines)), element("p", { className: "legend", textContent: sentence(legend) }));
  }

  const heat = (figure) => element("div", { className: "heats" },
    ...figure.panels.map((panel) => heatPanel(figure, panel)));

  return { scores, claims, exits, heat };
})();
