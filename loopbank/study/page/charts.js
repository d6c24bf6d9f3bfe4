
// Figures as Chart.js wants them: one configuration for each kind of figure, colours from page.css.

const charts = (() => {
  const kDashes = [[], [7, 3], [2, 3], [9, 3, 2, 3]];
  const kMarks = ["circle", "rectRot", "triangle", "rect", "star", "crossRot"];

  const style = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  /** "loops-1" is a colour of the palette, "ramp:0.5" lies half way along one of its ramps. */
  function color(name) {
    const [base, share] = name.split(":");
    if (share === undefined) return style(base) || style("quiet");
    const from = channels(style(base + "-from"));
    const to = channels(style(base + "-to"));
    const mixed = from.map((value, i) => Math.round(value + (to[i] - value) * Number(share)));
    return "rgb(" + mixed.join(", ") + ")";
  }

  /** Systems of one family differ in mark and dash too. */
  function place(name) {
    const match = /-(\d+)$/.exec(name);
    return match ? Number(match[1]) : 0;
  }
  function dash(name) {
    return name.startsWith("second") ? [5, 3] : kDashes[place(name) % kDashes.length];
  }
  const mark = (name) => kMarks[place(name) % kMarks.length];

  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
  function number(value) {
    if (!Number.isFinite(value)) return "";
    if (Math.abs(value) >= 10000) return compact.format(value);
    return String(Number(value.toPrecision(4))).replace("-", "\u2212");
  }

  /** Where the bar of each point begins and ends: its interval, else its error on both sides. */
  function endsOf(series) {
    return series.y.map((y, i) => {
      if (series.low) return series.low[i] === null ? null : [series.low[i], series.high[i]];
      const error = series.error ? series.error[i] : 0;
      return error > 0 ? [y - error, y + error] : null;
    });
  }

  /** Curves have a band between the ends, all else a bar at each point. */
  const hasBand = (figure, series) => figure.kind === "lines" && !series.apart;

  const bands = {
    id: "bands",
    beforeDatasetsDraw(chart) {
      const context = chart.ctx;
      const area = chart.chartArea;
      context.save();
      context.beginPath();
      context.rect(area.left, area.top, area.width, area.height);
      context.clip();
      context.globalAlpha = 0.13;
      chart.data.datasets.forEach((set, index) => {
        if (!set.band || !chart.isDatasetVisible(index)) return;
        context.fillStyle = set.errorColor;
        for (let i = 0; i + 1 < set.ends.length; ++i) {
          if (!set.ends[i] || !set.ends[i + 1]) continue;
          const corner = (at, end) => [chart.scales.x.getPixelForValue(set.data[at].x),
            chart.scales.y.getPixelForValue(set.ends[at][end])];
          context.beginPath();
          context.moveTo(...corner(i, 0));
          for (const next of [corner(i + 1, 0), corner(i + 1, 1), corner(i, 1)]) context.lineTo(...next);
          context.fill();
        }
      });
      context.restore();
    },
  };

  /** A bar at every point that has an interval; `ends` stands in the data set. */
  const errorBars = {
    id: "errorBars",
    afterDatasetsDraw(chart, args, options) {
      if (!options.axis) return;
      const context = chart.ctx;
      const scale = chart.scales[options.axis];
      context.save();
      chart.data.datasets.forEach((set, index) => {
        if (set.band || !chart.isDatasetVisible(index)) return;
        context.strokeStyle = set.errorColor;
        context.lineWidth = 1.25;
        chart.getDatasetMeta(index).data.forEach((element, i) => {
          if (!set.ends[i] || !Number.isFinite(set.values[i])) return;
          const ends = set.ends[i].map((end) => scale.getPixelForValue(end));
          const across = options.axis === "x" ? element.y : element.x;
          context.beginPath();
          for (const [a, b] of [[[ends[0], across], [ends[1], across]],
            [[ends[0], across - 3], [ends[0], across + 3]],
            [[ends[1], across - 3], [ends[1], across + 3]]]) {
            const [start, end] = options.axis === "x" ? [a, b] : [[a[1], a[0]], [b[1], b[0]]];
            context.moveTo(...start);
            context.lineTo(...end);
          }
          context.stroke();
        });
      });
      context.restore();
    },
  };

  /** A dashed line at a value, with its name at the end. */
  const references = {
    id: "references",
    beforeDatasetsDraw(chart, args, options) {
      if (!options.lines || options.lines.length === 0) return;
      const context = chart.ctx;
      const area = chart.chartArea;
      context.save();
      context.strokeStyle = style("quiet");
      context.fillStyle = style("quiet");
      context.font = "11px " + Chart.defaults.font.family;
      context.setLineDash([3, 3]);
      for (const line of options.lines) {
        const axis = line.of_x ? "x" : options.axis;
        const at = chart.scales[axis].getPixelForValue(line.value);
        context.beginPath();
        if (axis === "x") {
          context.moveTo(at, area.top);
          context.lineTo(at, area.bottom);
        } else {
          context.moveTo(area.left, at);
          context.lineTo(area.right, at);
        }
        context.stroke();
        const below = area.bottom - at > 16 ? at + 12 : at - 4;
        context.fillText(line.label, axis === "x" ? at + 4 : area.left + 4,
          axis === "x" ? area.bottom - 5 : below);
      }
      context.restore();
    },
  };

  /** Writes a point's note beside it where there is room. */
  const pointNames = {
    id: "pointNames",
    afterDatasetsDraw(chart, args, options) {
      if (!options.shown) return;
      const context = chart.ctx;
      const area = chart.chartArea;
      const taken = [];
      chart.data.datasets.forEach((set, index) => {
        if (!chart.isDatasetVisible(index)) return;
        for (const point of chart.getDatasetMeta(index).data) {
          taken.push([point.x - 5, point.y - 5, point.x + 5, point.y + 5]);
        }
      });
      const free = (box) =>
        box[0] >= area.left && box[2] <= area.right && box[1] >= area.top && box[3] <= area.bottom &&
        !taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1]);
      context.save();
      context.font = "11px " + Chart.defaults.font.family;
      context.textBaseline = "middle";
      chart.data.datasets.forEach((set, index) => {
        if (!chart.isDatasetVisible(index) || !set.notes) return;
        chart.getDatasetMeta(index).data.forEach((point, i) => {
          const width = context.measureText(set.notes[i]).width;
          for (const [x, y] of [[point.x + 8, point.y - 8], [point.x + 8, point.y + 9],
            [point.x - width - 8, point.y - 8], [point.x - width - 8, point.y + 9],
            [point.x - width / 2, point.y - 15], [point.x - width / 2, point.y + 16]]) {
            const box = [x - 1, y - 6, x + width + 1, y + 6];
            if (!free(box)) continue;
            taken.push(box);
            context.fillStyle = style("ink");
            context.fillText(set.notes[i], x, y);
            return;
          }
        });
      });
      context.restore();
    },
  };

  const kBarKinds = ["bars", "across", "stack"];
  const lying = (figure) => figure.kind === "across" || figure.kind === "dots";

  /** Words below each other, so that a long name stays readable. */
  function wrapped(name, letters) {
    const lines = [""];
    for (const word of String(name).replace(/_/g, " ").split(" ")) {
      const last = lines[lines.length - 1];
      if (last && (last + " " + word).length > letters) lines.push(word);
      else lines[lines.length - 1] = last ? last + " " + word : word;
    }
    return lines;
  }

  function dataset(figure, series) {
    const bars = kBarKinds.includes(figure.kind);
    const ink = color(series.color);
    const by = (values) => {
      if (!bars || !values) return values;
      const row = new Array(figure.x_names.length).fill(null);
      series.x.forEach((x, i) => { row[x] = values[i]; });
      return row;
    };
    const points = series.x.map((x, i) =>
      figure.kind === "dots" ? { x: series.y[i], y: x } : { x, y: series.y[i] });
    const joined = !series.apart && (figure.kind === "lines" || figure.kind === "path" ||
      (figure.kind === "points" && series.x.length > 1));
    return {
      label: series.label,
      data: bars ? by(series.y) : points,
      values: by(series.y),
      ends: by(endsOf(series)),
      band: hasBand(figure, series),
      notes: by(series.notes),
      hidden: series.hiddenNow,
      backgroundColor: series.hollow ? style("paper-white") : ink,
      borderColor: bars ? style("paper-white") : ink,
      borderWidth: bars ? (figure.kind === "stack" ? 1 : 0) : 2,
      errorColor: bars ? style("ink") : ink,
      borderDash: bars || !joined ? [] : dash(series.color),
      showLine: joined,
      pointStyle: figure.kind === "path" && !series.apart ? "circle" : mark(series.color),
      pointRadius: series.apart || figure.kind === "dots" || figure.kind === "points" ? 5
        : figure.kind === "path" ? 2.5 : series.x.length > 30 ? 0 : 3.5,
      pointHoverRadius: 6,
      pointHitRadius: 12,
      borderRadius: 1,
      categoryPercentage: figure.kind === "stack" ? 0.9 : 0.8,
      barPercentage: 0.95,
      maxBarThickness: figure.kind === "stack" ? 60 : 22,
    };
  }

  /** Bars and reference lines belong into the picture too. Bands take as much as the curves do above
      and below them at most: intervals of two seeds would flatten everything else. */
  function extent(figure, series, lines) {
    const own = [...lines.map((line) => line.value), ...series.flatMap((one) => one.y)].filter(Number.isFinite);
    if (own.length === 0) return {};
    const [low, high] = [Math.min(...own), Math.max(...own)];
    const most = ["lines", "path", "points"].includes(figure.kind) && high > low ? high - low : Infinity;
    const ends = series.flatMap(endsOf).filter((pair) => pair !== null);
    return {
      suggestedMin: Math.max(Math.min(low, ...ends.map((pair) => pair[0])), low - most),
      suggestedMax: Math.min(Math.max(high, ...ends.map((pair) => pair[1])), high + most),
    };
  }

  function measuredAxis(figure, title, range) {
    const axis = {
      ...range,
      title: { display: title !== "", text: title, color: style("quiet") },
      grid: { color: style("line"), borderColor: style("line"), tickLength: 4 },
      ticks: { color: style("quiet"), callback: (value) => number(value), maxTicksLimit: 7 },
    };
    if (figure.kind === "stack") Object.assign(axis, { min: 0, max: 1 });
    if (!kBarKinds.includes(figure.kind)) axis.grace = "5%";
    return axis;
  }

  function namedAxis(figure, narrow) {
    const axis = {
      grid: { display: false, borderColor: style("line") },
      ticks: { color: style("ink"), autoSkip: false, maxRotation: 0, font: { size: 12 } },
    };
    if (figure.kind === "dots") {
      const last = figure.x_names.length - 1;
      Object.assign(axis, { type: "linear", reverse: true, min: -0.6, max: last + 0.6 });
      axis.grid = { color: style("line"), borderColor: style("line"), tickLength: 0 };
      axis.afterBuildTicks = (scale) => {
        scale.ticks = figure.x_names.map((name, value) => ({ value }));
      };
      axis.ticks.callback = (value) => wrapped(figure.x_names[value], narrow ? 16 : 24);
    } else {
      const letters = figure.kind === "across" ? 18 : narrow ? 9 : 12;
      axis.labels = figure.x_names.map((name) => wrapped(name, letters));
      if (figure.kind === "stack") {
        axis.title = { display: true, text: figure.x_title, color: style("quiet") };
      }
      axis.stacked = figure.kind === "stack";
    }
    return axis;
  }

  /** The ticks of an axis that counts layers, loops or difficulties are whole numbers. */
  function countedAxis(figure, series) {
    const axis = measuredAxis(figure, figure.x_title, {});
    axis.type = figure.x_log ? "logarithmic" : "linear";
    axis.reverse = figure.x_falls;
    const values = series.flatMap((one) => one.x);
    if (figure.x_log) {
      axis.grace = 0;
      axis.ticks.maxTicksLimit = 6;
    } else if (values.every(Number.isInteger) && Math.max(...values) <= 64) {
      axis.ticks.stepSize = 1;
      axis.ticks.maxTicksLimit = 16;
      axis.grid.display = false;
      axis.grace = 0;
      axis.offset = false;
    } else if (figure.kind === "lines") {
      axis.grace = 0;
    } else {
      axis.grace = "8%";
    }
    return axis;
  }

  function tooltip(figure) {
    return {
      backgroundColor: style("ink"), titleColor: style("paper-white"), bodyColor: style("paper-white"),
      displayColors: false, padding: 9, cornerRadius: 4,
      callbacks: {
        title: (items) => items.length === 0 || kBarKinds.includes(figure.kind) === false ? ""
          : figure.x_names[items[0].dataIndex],
        label: (item) => {
          const set = item.dataset;
          const i = item.dataIndex;
          const ends = set.ends[i];
          const error = ends ? " (" + number(ends[0]) + " to " + number(ends[1]) + ")" : "";
          const value = number(set.values[i]) + error;
          if (figure.kind === "dots" || kBarKinds.includes(figure.kind)) return set.label + ": " + value;
          return set.label + ": " + value + " at " + number(item.raw.x);
        },
        afterLabel: (item) => {
          const set = item.dataset;
          const note = set.notes && set.notes[item.dataIndex];
          const error = set.ends[item.dataIndex] && figure.error_label ? "( to ): " + figure.error_label : "";
          return [note, error].filter((line) => line && line !== set.label);
        },
      },
    };
  }

  /** How high a picture must be for all of its names. */
  function height(figure, narrow) {
    if (figure.kind === "dots") return 70 + 27 * figure.x_names.length;
    if (figure.kind === "across") return 70 + 38 * figure.x_names.length;
    return narrow ? 240 : 290;
  }

  /** @param panel  which picture of the figure; @param series  those that stand in it */
  function draw(canvas, figure, panel, series) {
    const narrow = canvas.parentElement.clientWidth < 420;
    const axis = lying(figure) ? "x" : "y";
    const bars = kBarKinds.includes(figure.kind);
    const withErrors = ["dots", "across", "points"].includes(figure.kind);
    const lines = figure.references.filter((line) => line.panel === panel);
    const range = extent(figure, withErrors || figure.kind === "lines" ? series : [],
      lines.filter((line) => !line.of_x));
    const title = figure.kind === "dots" ? panel.split(",")[0] : figure.y_title;
    const measured = measuredAxis(figure, title, range);
    const scales = lying(figure)
      ? { x: measured, y: namedAxis(figure, narrow) }
      : { x: bars ? namedAxis(figure, narrow) : countedAxis(figure, series), y: measured };
    if (figure.kind === "stack") scales.y.stacked = true;
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    return new Chart(canvas, {
      type: bars ? "bar" : "scatter",
      data: { datasets: series.map((one) => dataset(figure, one)) },
      plugins: [bands, errorBars, references, pointNames],
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        indexAxis: figure.kind === "across" ? "y" : "x",
        interaction: { mode: bars ? "index" : "nearest", axis: figure.kind === "across" ? "y" : bars ? "x" : "xy", intersect: false },
        layout: { padding: { right: 12, top: 6 } },
        scales,
        plugins: {
          legend: { display: false },
          tooltip: tooltip(figure),
          errorBars: { axis: withErrors ? axis : "" },
          references: { axis, lines },
          pointNames: { shown: figure.kind === "points" },
        },
      },
    });
  }

  return { color, dash, draw, height, mark, number, lying };
})();
