
// Parts of the page that its sections share.

const dom = (() => {
  /** A sentence of the program with the signs that it means: plus-minus, minus, hard spaces. */
  const sentence = (text) => text.replace(/\+-/g, "\u00b1").replace(/(^|[ (])-(?=\d)/g, "$1\u2212")
    .replace(/ (?=%)/g, "\u00a0");

  /** A heading of a part, where the study has several. */
  const partHeading = (part) => part.title ? element("h3", { textContent: part.title }) : null;

  /** A table in a box that scrolls by itself: `head` and the rows of `bodies` are elements. */
  const table = (className, head, ...bodies) => element("div", { className: "table-box" },
    element("table", { className }, element("thead", {}, element("tr", {}, ...head)), ...bodies));

  const heading = (text, below, className) => element("th", { scope: "col", className: className || "" },
    text, below ? element("small", { textContent: below }) : null);

  const rowHeading = (...children) => element("th", { scope: "row" }, ...children);

  /** A cell with the name that it bears where a narrow page shows it without the table's head. */
  const cell = (name, content, className) => element("td", { className: className || "", data: { name } },
    element("span", {}, content || element("span", { className: "none", textContent: "\u2013" })));

  return { element, sentence, partHeading, table, heading, rowHeading, cell };
})();
