
// The exit rule, its threshold as a slider that knows the rule's range, and whether it is hard.

const exitField = (() => {
  const between = (least, most, digits) => ({
    steps: 100,
    value: (at) => (least + (most - least) * at / 100).toFixed(digits),
    place: (value) => Math.round((value - least) / (most - least) * 100),
  });
  /** Changes of the hidden state spread over decades. */
  const decades = (least, most) => ({
    steps: 100,
    value: (at) => String(Number((least * (most / least) ** (at / 100)).toPrecision(2))),
    place: (value) => Math.round(100 * Math.log(value / least) / Math.log(most / least)),
  });
  const loops = (most) => ({ steps: most - 1, value: (at) => String(at + 1), place: (value) => value - 1 });

  /** By rule: how the slider runs, where it starts, and what the rule does. */
  const kRules = {
    all: { says: "every loop, as in training" },
    cdf: { scale: () => between(0.3, 0.99, 2), start: 0.9, says: "once the halting probabilities add up to more than this" },
    router: { scale: () => between(0.02, 0.98, 2), start: 0.5, says: "once the router stops with more than this" },
    change: { scale: () => decades(0.01, 10), start: 0.5, says: "once a loop changes the hidden state by less" },
    accel: { scale: () => decades(0.01, 10), start: 0.5, says: "once the change itself changes by less" },
    budget: { scale: loops, start: 2, says: "after this many loops" },
  };

  /** @param exits  such as ["all", "cdf:Q"], as the server lists them; @param most  loops of the model */
  function make(exits, most) {
    const kinds = exits.map((name) => name.split(":")[0]).filter((name) => name in kRules);
    const rule = fields.select("exit", "exit rule", [["", "server's own"],
      ...kinds.map((kind) => [kind, kind])]);
    const scale = () => kRules[rule.get()].scale(most);
    const threshold = fields.slider("threshold", "threshold", { min: 0, max: 100, step: 1 }, 0,
      (at) => kRules[rule.get()]?.scale ? scale().value(at) : "");
    const hard = fields.check("hard", "hard", false);
    hard.root.title = "the state after the last loop in place of the mixture of all";
    const says = element("small", { className: "says" });
    const root = element("div", { className: "exit" }, rule.root, threshold.root, hard.root, says);

    function show() {
      const chosen = kRules[rule.get()];
      threshold.root.hidden = !chosen?.scale;
      hard.root.hidden = !chosen;
      says.textContent = chosen ? chosen.says : "the rule that --exit named";
      if (chosen?.scale) {
        threshold.input.max = scale().steps;
        threshold.input.setAttribute("aria-label", "threshold of " + rule.get());
      }
      threshold.show();
    }
    rule.input.addEventListener("change", () => {
      show();
      if (kRules[rule.get()]?.scale) threshold.set(scale().place(kRules[rule.get()].start));
    });

    function get() {
      const kind = rule.get();
      if (kind === "") return "";
      const value = kRules[kind].scale ? ":" + scale().value(Number(threshold.get())) : "";
      return kind + value + (hard.get() ? ",hard" : "");
    }
    function set(text) {
      const [, kind, value, ending] = /^(\w*)(?::([^,]*))?(,hard)?$/.exec(text) || [];
      rule.set(kinds.includes(kind) ? kind : "");
      show();
      if (kRules[rule.get()]?.scale) threshold.set(scale().place(Number(value)));
      hard.set(ending ? "1" : "");
    }
    show();
    return { name: "exit", roots: [root], initial: "", get, set, mark: rule.mark,
      changed: () => get() !== "" };
  }

  return { make };
})();
