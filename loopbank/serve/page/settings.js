
// Which settings there are: those that both columns share, and those of each. A link carries what
// differs from the start.

const settings = (() => {
  /** @param list  of fields */
  function group(list) {
    const find = (name) => list.find((one) => one.name === name);
    return {
      list,
      find,
      roots: list.flatMap((one) => one.roots || [one.root]),
      clear: () => list.forEach((one) => one.mark("")),
      /** Into the parameters of a link, each name behind `prefix`. */
      save: (to, prefix) => list.filter((one) => one.changed())
        .forEach((one) => to.set(prefix + one.name, one.get())),
      load: (from, prefix) => list.forEach((one) => {
        one.set(from.has(prefix + one.name) ? from.get(prefix + one.name) : one.initial);
      }),
    };
  }

  const lineBreaks = (text) => text.replace(/\\n/g, "\n").replace(/\\t/g, "\t");

  /** A number where one stands; the server judges everything else. */
  function numberOrText(text) {
    const value = Number(text);
    return text.trim() === "" || Number.isNaN(value) ? text : value;
  }

  /** The first four belong to every run, the others to who looks for them. */
  const kCommon = 4;

  function shared() {
    const list = group([
      fields.number("max_tokens", "tokens, at most", 96, { min: 0, step: 1 }),
      fields.number("seed", "seed", 1, { min: 0, step: 1 }),
      fields.text("stop", "stop text", "\\n for a new line"),
      fields.check("echo", "show the prompt's tokens", false),
      fields.number("top_p", "top p", 0.95, { min: 0, max: 1, step: 0.01 }),
      fields.number("top_k", "top k", 0, { min: 0, step: 1 }),
      fields.number("min_p", "min p", 0, { min: 0, max: 1, step: 0.01 }),
      fields.number("repetition_penalty", "repetition penalty", 1, { min: 0, step: 0.05 }),
      fields.number("presence_penalty", "presence penalty", 0, { min: -2, max: 2, step: 0.1 }),
      fields.number("frequency_penalty", "frequency penalty", 0, { min: -2, max: 2, step: 0.1 }),
    ]);
    const body = () => {
      const made = {};
      for (const one of list.list) {
        if (one.name === "stop") made.stop = one.get() ? lineBreaks(one.get()) : undefined;
        else if (one.name === "echo") made.echo = one.get() === "1";
        else if (one.get() !== "") made[one.name] = numberOrText(one.get());
      }
      return made;
    };
    return { ...list, body };
  }

  /** @param model  of /v1/models */
  function column(model) {
    const most = Math.max(1, ...model.layers);
    const looped = most > 1;
    const exit = exitField.make(model.exits, most);
    const budget = fields.slider("max_loops", "loop budget", { min: 1, max: most, step: 1 }, most,
      (at) => at === most ? most + " (all)" : String(at));
    const kv = fields.select("kv", "keys and values", [["", "server's own"],
      ...model.kv.map((name) => [name, name])]);
    const prefill = fields.check("kv_prefill", "in the prompt too", false);
    const policy = { ...kv, set: (value) => { kv.set(value); show(); } };
    const show = () => { prefill.root.hidden = kv.get() === ""; };
    kv.input.addEventListener("change", show);
    show();
    const temperature = fields.number("temperature", "temperature", 0.8, { min: 0, step: 0.1 });
    const list = group(looped ? [exit, budget, temperature, policy, prefill] : [temperature]);
    const body = () => {
      const made = { temperature: numberOrText(temperature.get()) };
      if (!looped) return made;
      if (exit.get()) made.exit = exit.get();
      if (Number(budget.get()) < most) made.max_loops = Number(budget.get());
      if (kv.get()) made.kv = kv.get();
      if (kv.get() && prefill.get()) made.kv_prefill = true;
      return made;
    };
    return { ...list, body };
  }

  return { column, kCommon, shared };
})();
