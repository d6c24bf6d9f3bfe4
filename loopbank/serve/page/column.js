
// One column: its settings, one run of the prompt under them, and what that took.

const column = (() => {
  const kWaits = [1, 2, 4, 8];

  const pause = (milliseconds, signal) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });

  /** The tokens of an event of the stream. @param from  how many of the prompt's are still to come */
  function tokensOf(choice, from, numbered) {
    const told = choice.logprobs || { tokens: [] };
    return told.tokens.map((text, i) => ({
      text,
      logprob: told.token_logprobs[i],
      top: told.top_logprobs ? told.top_logprobs[i] : null,
      loops: choice.loops && choice.loops.tokens ? choice.loops.tokens[i] : null,
      inside: choice.inside ? choice.inside[i] : null,
      prompt: i < from,
      number: numbered + i,
    }));
  }

  /** Why a text ended, in a sentence. */
  function ending(choice, usage, model) {
    if (choice.finish_reason === "length") {
      return usage && usage.total_tokens >= model.max_model_len
        ? "The context of " + model.max_model_len + " tokens is full: shorten the prompt to read on."
        : "As many tokens as were asked for.";
    }
    return choice.stop_reason ? "Ended at the stop text." : "The model ended its text.";
  }

  function figures() {
    const parts = {};
    const part = (name, label) => {
      parts[name] = element("dd", { textContent: "\u2013" });
      return element("div", { className: name }, element("dt", { textContent: label }), parts[name]);
    };
    const root = element("dl", { className: "figures" }, part("count", "tokens"),
      part("speed", "tokens/s"), part("loops", "mean loops"), part("first", "first token"), part("time", "in all"));
    parts.loops.title = "over all tokens that were read, the prompt's included";
    const seconds = (milliseconds) => (milliseconds / 1000).toFixed(2) + " s";
    function show(run) {
      const taken = run.times.length > 0 ? (run.times[run.times.length - 1] - run.started) / 1000 : 0;
      parts.count.textContent = String(run.count);
      parts.speed.textContent = taken > 0 ? (run.count / taken).toFixed(run.count < 10 * taken ? 1 : 0) : "\u2013";
      parts.loops.textContent = Number.isFinite(run.loops) ? run.loops.toFixed(2) : "\u2013";
      parts.first.textContent = run.times.length > 0 ? seconds(run.times[0] - run.started) : "\u2013";
      parts.time.textContent = run.ended ? seconds(run.ended - run.started) : "\u2013";
    }
    return { root, show };
  }

  /** @param page  { model, onToken, onChange, refused(error, column): whether it was shown elsewhere } */
  function make(name, page) {
    const own = settings.column(page.model);
    const most = page.model.layers.reduce((sum, loops) => sum + loops, 0) / page.model.layers.length;
    const view = tokenView.make("Tokens of column " + name.toUpperCase(), Math.max(...page.model.layers) > 1 ? most : 1,
      (token) => page.onToken(token, self));
    const sums = figures();
    const status = element("p", { className: "status", attributes: { role: "status" } });
    const notice = element("p", { className: "notice", hidden: true, attributes: { role: "alert" } });
    const root = element("section",
      { className: "column", id: "column-" + name, attributes: { "aria-label": "Column " + name.toUpperCase() } },
      element("h2", { textContent: name }), element("div", { className: "settings" }, ...own.roots),
      sums.root, view.root, status, notice);
    let running = null;

    const say = (text) => { status.textContent = text; };
    function complain(text) {
      notice.textContent = text;
      notice.hidden = text === "";
    }

    async function stream(body, run, signal) {
      let usage = null;
      let last = null;
      for await (const event of api.stream("/v1/completions", body, signal)) {
        usage = event.usage || usage;
        for (const choice of event.choices) {
          last = choice.finish_reason ? choice : last;
          run.text += choice.text;
          const told = choice.logprobs ? choice.logprobs.tokens.length : 0;
          const ofPrompt = body.echo && run.events === 0 ? told : 0;
          const tokens = tokensOf(choice, ofPrompt, ofPrompt > 0 ? 0 : run.count);
          if (told > 0) ++run.events;
          for (const token of tokens.slice(ofPrompt)) {
            run.times.push(performance.now());
            run.sum += token.loops || 0;
            run.loops = run.sum / ++run.count;
          }
          if (choice.loops && Number.isFinite(choice.loops.mean)) run.loops = choice.loops.mean;
          view.add(tokens);
        }
        if (run.times.length === 1) say("Running.");
        sums.show(run);
        page.onChange();
      }
      return last ? ending(last, usage, page.model) : "";
    }

    /** Waits for a server that is busy or away; throws what no waiting mends. */
    async function wait(error, run, signal) {
      const busy = error instanceof api.Refused && (error.status === 429 || error.status === 503);
      const away = error instanceof api.Gone && run.events === 0;
      if (!busy && !away) throw error;
      const seconds = error.retryAfter || kWaits[Math.min(run.tries++, kWaits.length - 1)];
      for (let left = seconds; left > 0; --left) {
        complain((busy ? error.message : "The server does not answer.") + " Trying again in " + left + " s.");
        await pause(1000, signal);
      }
      complain("");
    }

    async function attempt(body, run, signal) {
      for (;;) {
        try {
          run.started = performance.now();
          return await stream(body, run, signal);
        } catch (error) {
          if (signal.aborted) throw error;
          await wait(error, run, signal);
        }
      }
    }

    function explain(error, run) {
      if (error instanceof api.Gone) {
        complain("The connection to the server broke after " + run.count + " tokens. Run again to have the whole text.");
      } else if (!page.refused(error, self)) {
        complain(error.message);
      }
    }

    /** Runs a prompt; settles when it has ended, however. */
    async function run(prompt, shared) {
      stop();
      const abort = new AbortController();
      running = abort;
      const now = { text: "", count: 0, events: 0, tries: 0, times: [], sum: 0, loops: NaN,
        started: performance.now(), ended: 0 };
      const body = { model: page.model.id, prompt, ...shared, ...own.body(), stream: true,
        stream_options: { include_usage: true }, logprobs: 5, loops: "tokens", inside: true };
      own.clear();
      complain("");
      say("Waiting for the first token.");
      view.clear(shared.echo ? "" : prompt);
      self.result = now;
      root.classList.add("running");
      try {
        const words = await attempt(body, now, abort.signal);
        if (running === abort) say(words);
      } catch (error) {
        if (running === abort || running === null) say(abort.signal.aborted ? "Stopped." : "");
        if (!abort.signal.aborted) explain(error, now);
        else if (running === null) complain("");
      }
      if (running !== abort && running !== null) return;
      now.ended = performance.now();
      sums.show(now);
      running = null;
      root.classList.remove("running");
      page.onChange();
    }

    function stop() {
      if (running) running.abort();
      running = null;
    }

    const self = { name, root, run, stop, view, settings: own, result: null, isRunning: () => running !== null };
    return self;
  }

  return { make };
})();
