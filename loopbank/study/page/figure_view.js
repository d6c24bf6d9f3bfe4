
// A figure that the reader can turn: a chart for each panel, keys that show and hide series, and a
// choice where there are several panels and one is shown. A choice in one figure moves the others
// along.

const figureViews = (() => {
  const { element } = dom;
  const figures = [];
  const kManyKeys = 6;  // switched off: behind one key

  /** The little picture beside a key: what the series looks like in the chart. */
  function sample(figure, series) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 27 13");
    svg.setAttribute("aria-hidden", "true");
    const add = (name, attributes) => {
      const node = document.createElementNS(svg.namespaceURI, name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      svg.append(node);
    };
    const ink = charts.color(series.color);
    if (["bars", "across", "stack"].includes(figure.kind)) {
      add("rect", { x: 7, y: 1, width: 13, height: 11, rx: 2, fill: ink });
      return svg;
    }
    if ((figure.kind === "lines" || figure.kind === "path") && !series.apart) {
      add("line", { x1: 1, x2: 26, y1: 6.5, y2: 6.5, stroke: ink, "stroke-width": 2,
        "stroke-dasharray": charts.dash(series.color).join(" ") });
    }
    const shape = charts.mark(series.color);
    if (shape === "circle") add("circle", { cx: 13.5, cy: 6.5, r: 3.5, fill: ink });
    else if (shape === "rectRot") add("path", { d: "M13.5 2l4.5 4.5-4.5 4.5L9 6.5z", fill: ink });
    else if (shape === "triangle") add("path", { d: "M13.5 2l4.5 8.5h-9z", fill: ink });
    else add("rect", { x: 10, y: 3, width: 7, height: 7, fill: ink });
    return svg;
  }

  class FigureView {
    constructor(root, figure) {
      this.root = root;
      this.figure = figure;
      this.charts = [];
      this.unfolded = false;
      this.hidden = new Map(figure.series.map((one) => [one.label, Boolean(one.hidden)]));
      this.choosing = !figure.side_by_side && figure.panels.length > 1;
      this.panel = figure.panels[0];
      const drawing = root.querySelector(".drawing");
      this.choice = element("div", { className: "choice" });
      this.keys = element("div", { className: "keys" });
      this.panels = element("div", { className: "panels" });
      drawing.append(this.choice, this.keys, this.panels);
      this.draw();
    }

    seriesOf(panel) {
      return this.figure.series.filter((one) => (one.panel || "") === panel);
    }

    draw() {
      for (const chart of this.charts) chart.destroy();
      this.drawChoice();
      this.drawKeys();
      const shown = this.choosing ? [this.panel] : this.figure.panels;
      const boxes = shown.map((panel) => {
        const canvas = element("canvas", {});
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", this.figure.title + (panel ? ": " + panel : ""));
        const box = element("div", { className: "canvas-box" }, canvas);
        box.style.height = charts.height(this.figure, this.root.clientWidth < 420) + "px";
        const named = panel && !this.choosing;
        return element("div", { className: "panel" },
          ...(named ? [element("h5", { textContent: panel })] : []), box);
      });
      this.panels.replaceChildren(...boxes);
      this.charts = shown.map((panel, i) => {
        const series = this.seriesOf(panel);
        for (const one of series) one.hiddenNow = this.hidden.get(one.label);
        return charts.draw(boxes[i].querySelector("canvas"), this.figure, panel, series);
      });
      this.root.dataset.drawn = String(this.charts.length);
    }

    drawChoice() {
      if (!this.choosing) return;
      if (this.figure.panels.length > 6) {
        const select = element("select", {});
        select.setAttribute("aria-label", "system");
        select.append(...this.figure.panels.map((panel) => element("option", { value: panel, textContent: panel })));
        select.value = this.panel;
        select.onchange = () => choose(select.value);
        this.choice.replaceChildren(select);
        return;
      }
      this.choice.replaceChildren(...this.figure.panels.map((panel) => {
        const button = element("button", { type: "button", textContent: panel });
        button.setAttribute("aria-pressed", String(panel === this.panel));
        button.onclick = () => choose(panel);
        return button;
      }));
    }

    drawKeys() {
      const series = this.choosing ? this.seriesOf(this.panel) : this.figure.series;
      const named = [...new Map(series.map((one) => [one.label, one])).values()];
      if (named.length < 2 || this.figure.kind === "dots") {
        this.keys.replaceChildren();
        return;
      }
      const off = named.filter((one) => this.hidden.get(one.label));
      const folded = !this.unfolded && off.length > kManyKeys;
      const shown = folded ? named.filter((one) => !this.hidden.get(one.label)) : named;
      this.keys.replaceChildren(...shown.map((one) => {
        const button = element("button", { type: "button" }, sample(this.figure, one), one.label);
        button.setAttribute("aria-pressed", String(!this.hidden.get(one.label)));
        button.onclick = () => {
          this.hidden.set(one.label, !this.hidden.get(one.label));
          this.draw();
        };
        return button;
      }));
      if (folded) {
        const more = element("button", { type: "button", className: "more", textContent: "+ " + off.length + " more" });
        more.onclick = () => {
          this.unfolded = true;
          this.drawKeys();
        };
        this.keys.append(more);
      }
    }
  }

  function choose(panel) {
    for (const view of figures) {
      if (view.choosing && view.figure.panels.includes(panel)) {
        view.panel = panel;
        view.draw();
      }
    }
  }

  function redraw() {
    for (const view of figures) view.draw();
  }

  /** Draws a figure into the `.drawing` of an element that stands on the page. */
  function add(root, figure) {
    figures.push(new FigureView(root, figure));
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    redraw();
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    redraw();
  });

  return { add };
})();
