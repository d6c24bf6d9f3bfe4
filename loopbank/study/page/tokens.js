
// The token view: a text coloured by what a system did at each of its tokens.

const tokens = (() => {
  const kQuantities = [
    ["expected_loops", "expected loops"], ["local_gate", "local gate"],
    ["global_gate", "global gate"], ["loss", "loss, nats"],
  ];

  const { element } = dom;

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /** A number a token: of one layer, or the mean over layers for layer -1. */
  function valuesOf(view, quantity, layer) {
    return view.columns[quantity].map((value) =>
      !Array.isArray(value) ? value : layer < 0 ? mean(value) : value[layer]);
  }

  function options(select, entries) {
    const before = select.value;
    select.replaceChildren(...entries.map(([value, label]) => element("option", { value, textContent: label })));
    select.value = entries.some(([value]) => String(value) === before) ? before : String(entries[0][0]);
  }

  /** The middle 96 % of the values span the colours, so that one odd token does not fade the rest. */
  function range(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    return sorted.length === 0 ? [0, 1] : [at(0.02), at(0.98)];
  }

  function start(root, views) {
    const system = element("select", {});
    const quantity = element("select", {});
    const layer = element("select", {});
    const text = element("div", { className: "token-text" });
    const note = element("p", { className: "token-note" });
    const low = element("span", {});
    const high = element("span", {});
    root.append(
      element("div", { className: "controls" },
        element("label", {}, "system", system), element("label", {}, "colour", quantity),
        element("label", {}, "layer", layer),
        element("span", { className: "scale" }, low, element("i", {}), high)),
      text, note);

    function show() {
      const view = views[Number(system.value)];
      const quantities = kQuantities.filter(([key]) =>
        view.columns[key] && (key !== "expected_loops" || view.adaptive));
      options(quantity, quantities);
      const sample = view.columns[quantity.value][0];
      const count = Array.isArray(sample) ? sample.length : 0;
      options(layer, [[-1, count ? "mean of all" : "all"]].concat(
        Array.from({ length: count }, (unused, i) => [i, String(i + 1)])));
      layer.disabled = count === 0;
      const all = quantities.map(([key, label]) => [label, valuesOf(view, key, Number(layer.value))]);
      const values = valuesOf(view, quantity.value, Number(layer.value));
      const [from, to] = range(values);
      low.textContent = from.toFixed(2);
      high.textContent = to.toFixed(2);
      text.replaceChildren(...view.columns.text.map((token, i) => {
        const share = to > from ? (values[i] - from) / (to - from) : 0;
        const span = element("span", { className: "token", textContent: token.replace(/\n/g, "\u21b5\n") });
        span.style.setProperty("--heat", Math.min(1, Math.max(0, share || 0)).toFixed(3));
        span.title = all.map(([label, every]) => label + " " + every[i].toFixed(2)).join(", ");
        span.onpointerenter = () => { note.textContent = "\u201c" + token + "\u201d: " + span.title; };
        return span;
      }));
    }

    options(system, views.map((view, i) => [i, view.part ? view.label + " (" + view.part + ")" : view.label]));
    const first = views.findIndex((view) => view.adaptive && view.columns.local_gate);
    const looped = views.findIndex((view) => view.adaptive);
    system.value = String(Math.max(0, first >= 0 ? first : looped));
    for (const select of [system, quantity, layer]) select.onchange = show;
    show();
  }

  return { start };
})();
