
// What one token did inside the model: loops and halting by layer, what it read of memory, and how
// probable it and its alternatives were.

const insideCard = (() => {
  const percent = (share) => share >= 0.9995 ? "100 %" : share >= 0.1 ? (100 * share).toFixed(0) + " %"
    : share >= 0.001 ? (100 * share).toFixed(1) + " %" : "< 0.1 %";

  const heading = (textContent, note) => element("h3", {}, textContent,
    note ? element("small", { textContent: note }) : null);

  /** A bar that is `share` of its track. */
  function bar(share, className) {
    const inner = element("i", {});
    inner.style.setProperty("width", (100 * Math.min(1, Math.max(0, share))).toFixed(1) + "%");
    return element("span", { className: "bar " + (className || "") }, inner);
  }

  /** The probabilities of stopping after each loop, side by side. */
  function stacked(shares) {
    const parts = shares.map((share, i) => {
      if (share === 0) return null;
      const part = element("i", { title: "stops after loop " + (i + 1) + ": " + percent(share) },
        share >= 0.14 ? String(i + 1) : "");
      part.style.setProperty("width", (100 * share).toFixed(2) + "%");
      part.style.setProperty("--heat", (shares.length > 1 ? i / (shares.length - 1) : 0).toFixed(3));
      return part;
    });
    return element("span", { className: "stacked", attributes: { role: "img",
      "aria-label": shares.map((share, i) => "loop " + (i + 1) + ": " + percent(share)).join(", ") } },
      ...parts);
  }

  function layers(inside, most) {
    const rows = inside.loops.map((loops, layer) => element("tr", {},
      element("th", { scope: "row", textContent: String(layer + 1) }),
      element("td", {}, bar(loops / most[layer], "loops"), element("b", { textContent: loops.toFixed(2).replace(/\.?0+$/, "") })),
      element("td", {}, stacked(inside.halting[layer]))));
    const head = ["layer", "loops", "stops after loop"].map((textContent) => element("th", { scope: "col", textContent }));
    return element("table", { className: "layers" }, element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...rows));
  }

  /** What activates a slot, as the inspector's report has it; null where there is none. */
  function slotWords(texts) {
    if (!texts) return null;
    const box = element("div", { className: "slot-words" });
    if (texts.tokens.length > 0) {
      box.append(element("p", {}, ...texts.tokens.map((token) =>
        element("span", { className: "chip", textContent: tokenText.alone(token) }))));
    }
    if (texts.context) {
      const [before, token, after] = texts.context;
      box.append(element("p", { className: "context" }, "\u2026" + tokenText.inText(before).replace(/\n/g, ""),
        element("mark", { textContent: tokenText.inText(token).replace(/\n/g, "") }),
        tokenText.inText(after).replace(/\n/g, "") + "\u2026"));
    }
    return box;
  }

  function read(one, slots, open) {
    const texts = slots[one.bank === "global" ? "global" : "layer" + one.layer] || {};
    const name = "layer " + (one.layer + 1) + ", " + one.bank;
    const details = element("details", { open: open.has(name), className: "read" },
      element("summary", {}, element("span", { textContent: name }),
        element("span", { className: "gate" }, "gate ", element("b", { textContent: one.gate.toFixed(2) }))),
      ...one.top.map(([slot, weight]) => element("div", { className: "slot" },
        element("span", { className: "slot-name", textContent: "slot " + slot }), bar(weight, one.bank),
        element("span", { className: "share", textContent: percent(weight) }), slotWords(texts[slot]))));
    details.addEventListener("toggle", () => details.open ? open.add(name) : open.delete(name));
    return details;
  }

  function alternatives(token) {
    const rows = Object.entries(token.top || {}).sort((a, b) => b[1] - a[1]).map(([text, logprob]) =>
      element("div", { className: text === token.text ? "alternative chosen" : "alternative" },
        element("span", { className: "word", textContent: tokenText.alone(text) }),
        bar(Math.exp(logprob), "probability"), element("span", { className: "share", textContent: percent(Math.exp(logprob)) })));
    return element("div", { className: "alternatives" }, ...rows);
  }

  function facts(token) {
    const list = [];
    if (Number.isFinite(token.loops)) list.push(["loops", token.loops.toFixed(2).replace(/\.?0+$/, "")]);
    if (token.logprob !== null) {
      list.push(["log probability", token.logprob > -0.0005 ? "> \u22120.001" : token.logprob.toFixed(3).replace("-", "\u2212")],
        ["probability", percent(Math.exp(token.logprob))]);
    }
    return element("dl", { className: "facts" }, ...list.map(([name, value]) =>
      element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
  }

  /** @param model  of /v1/models; @param slots  of /slots.json */
  function make(model, slots) {
    const most = model.layers;
    const open = new Set(most.flatMap((loops, layer) => most.length > 3 ? []
      : ["local", "global"].map((bank) => "layer " + (layer + 1) + ", " + bank)));
    const content = element("div", { className: "content" });
    const close = element("button", { type: "button", className: "close", textContent: "\u00d7",
      attributes: { "aria-label": "close" } });
    const root = element("aside", { className: "card empty", id: "card", attributes: { "aria-label": "Inside the token" } },
      close, content);

    function rest() {
      root.classList.add("empty");
      content.replaceChildren(element("p", { className: "hint", textContent:
        "Point at a token, or step through them with the arrow keys, to see where the model looped and what it looked up." }));
    }

    /** @param token  null: none */
    function show(token, column) {
      if (token === null) {
        rest();
        return;
      }
      root.classList.remove("empty");
      const inside = token.inside;
      const looped = inside && Math.max(...most) > 1;
      const reads = inside ? inside.reads : [];
      content.replaceChildren(...[
        element("header", {}, element("span", { className: "word", textContent: tokenText.alone(token.text) }),
          element("small", { textContent: (token.prompt ? "prompt, " : "") + "token " + (token.number + 1) + column })),
        facts(token),
        token.top ? heading("Most probable") : null,
        token.top ? alternatives(token) : null,
        looped ? heading("Loops by layer") : null,
        looped ? layers(inside, most) : null,
        reads.length > 0 ? heading("Read from memory", "slots of most weight") : null,
        ...reads.map((one) => read(one, slots, open)),
        token.logprob === null ? element("p", { className: "hint", textContent:
          "The first token of a text follows nothing: no pass predicted it." }) : null,
      ].filter((child) => child !== null));
    }

    rest();
    return { root, show, onClose: (act) => close.addEventListener("click", act) };
  }

  return { make };
})();
