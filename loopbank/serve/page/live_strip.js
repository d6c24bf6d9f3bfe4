
// The server at this moment, from /metrics, once a second while the page is seen.

const liveStrip = (() => {
  const kMilliseconds = 1000;
  const kPoints = 60;
  const kSvg = "http://www.w3.org/2000/svg";

  /** Sums over labels: {name: value}. */
  function totals(text) {
    const sums = {};
    for (const line of text.split("\n")) {
      const [, name, value] = /^(\w+)(?:\{.*\})? (\S+)/.exec(line) || [];
      if (name) sums[name] = (sums[name] || 0) + Number(value);
    }
    return sums;
  }

  const kUnits = [[1 << 30, "GiB"], [1 << 20, "MiB"], [1 << 10, "KiB"], [1, "B"]];
  function bytes(value) {
    const [size, unit] = kUnits.find(([least]) => value >= least) || [1, "B"];
    const number = value / size;
    return (number < 10 && size > 1 ? number.toFixed(1) : number.toFixed(0)) + " " + unit;
  }

  function line() {
    const svg = document.createElementNS(kSvg, "svg");
    svg.setAttribute("viewBox", "0 0 " + kPoints + " 20");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(kSvg, "polyline");
    svg.append(path);
    const values = [];
    const add = (value) => {
      values.push(value);
      if (values.length > kPoints) values.shift();
      const most = Math.max(1, ...values);
      path.setAttribute("points", values.map((one, i) =>
        (kPoints - values.length + i) + "," + (19 - 18 * one / most).toFixed(2)).join(" "));
    };
    return { svg, add };
  }

  /** @param onReach  told whether the server answers */
  function make(onReach) {
    const parts = {};
    const part = (name, label) => {
      parts[name] = element("dd", { textContent: "\u2013" });
      return element("div", { className: "live-" + name }, element("dt", { textContent: label }), parts[name]);
    };
    const trace = line();
    const rate = part("rate", "tokens/s");
    rate.append(trace.svg);
    const root = element("dl", { className: "live", id: "live", attributes: { "aria-label": "The server now" } },
      rate, part("loops", "mean loops"), part("running", "running"), part("waiting", "waiting"), part("cache", "cache in use"));
    let before = null;

    function show(now) {
      const seconds = before ? (now.at - before.at) / 1000 : 0;
      const rise = (name) => before ? now[name] - before[name] : 0;
      // A server that was started anew counts from 0.
      const speed = seconds > 0 ? Math.max(0, rise("loopbank_generated_tokens_total") / seconds) : 0;
      trace.add(speed);
      parts.rate.textContent = speed < 10 ? speed.toFixed(1) : speed.toFixed(0);
      if (rise("loopbank_loop_tokens_total") > 0) {
        parts.loops.textContent = (rise("loopbank_loops_total") / rise("loopbank_loop_tokens_total")).toFixed(2);
      } else if (!before && now.loopbank_loop_tokens_total > 0) {
        parts.loops.textContent = (now.loopbank_loops_total / now.loopbank_loop_tokens_total).toFixed(2);
      }
      parts.running.textContent = String(now.loopbank_requests_running || 0);
      parts.waiting.textContent = String(now.loopbank_requests_waiting || 0);
      const [used, budget] = [now.loopbank_cache_bytes || 0, now.loopbank_cache_budget_bytes || 0];
      parts.cache.textContent = bytes(used) + (budget > 0 ? " of " + bytes(budget) : "");
      before = now;
    }

    async function poll() {
      if (!document.hidden) {
        try {
          show({ at: performance.now(), ...totals(await api.text("/metrics", AbortSignal.timeout(5000))) });
          root.classList.remove("gone");
          onReach(true);
        } catch (error) {
          root.classList.add("gone");
          before = null;
          if (!(error instanceof api.Refused)) onReach(false);
        }
      } else {
        before = null;
      }
      setTimeout(poll, kMilliseconds);
    }
    return { root, start: poll };
  }

  return { make };
})();
