
// Tokens as they come, each shaded by the loops that it took. Pointer and arrow keys choose one.

const tokenView = (() => {
  let made = 0;

  /** The middle 96 % of the values, so that one odd token does not fade the rest. */
  function seen(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    return sorted.length === 0 ? [0, 1] : [at(0.02), at(0.98)];
  }

  /** The one of `spans` a line above or below that is nearest to `span`; -1 where there is none. */
  function across(spans, span, down) {
    const from = span.getBoundingClientRect();
    let best = -1;
    let least = Infinity;
    spans.forEach((other, i) => {
      const box = other.getBoundingClientRect();
      const rise = down ? box.top - from.top : from.top - box.top;
      if (rise < from.height / 2) return;
      const far = rise * 1000 + Math.abs(box.left - from.left);
      if (far < least) [best, least] = [i, far];
    });
    return best;
  }

  /** @param most  loops that shade fully; @param onShow  gets a token that is looked at, or null */
  function make(label, most, onShow) {
    const id = "tokens-" + ++made;
    const given = element("span", { className: "given", textContent:
      "Tokens appear here as the model draws them, each shaded by the loops that it took." });
    const text = element("div", { className: "token-text", id, tabIndex: 0,
      attributes: { role: "listbox", "aria-label": label } }, given);
    let tokens = [];
    let spans = [];
    let pinned = -1;
    let stretched = false;

    const range = () => stretched ? seen(tokens.map((token) => token.loops)) : [1, most];

    function shade(from, [low, high]) {
      for (let i = from; i < tokens.length; ++i) {
        const share = high > low ? (tokens[i].loops - low) / (high - low) : 0;
        spans[i].style.setProperty("--heat", Math.min(1, Math.max(0, share || 0)).toFixed(3));
      }
    }

    function add(list) {
      const from = tokens.length;
      for (const token of list) {
        const span = element("span", { className: "token", id: id + "-" + tokens.length,
          textContent: tokenText.inText(token.text), data: { place: String(tokens.length) },
          attributes: { role: "option", "aria-selected": "false" } });
        span.classList.toggle("broken", tokenText.isBroken(token.text));
        span.classList.toggle("of-prompt", token.prompt);
        token.place = tokens.length;
        tokens.push(token);
        spans.push(span);
        text.append(span);
      }
      shade(stretched ? 0 : from, range());
    }

    function pin(place) {
      if (pinned >= 0 && spans[pinned]) {
        spans[pinned].classList.remove("pinned");
        spans[pinned].setAttribute("aria-selected", "false");
      }
      pinned = place;
      if (place < 0) {
        text.removeAttribute("aria-activedescendant");
        onShow(null);
        return;
      }
      const span = spans[place];
      span.classList.add("pinned");
      span.setAttribute("aria-selected", "true");
      text.setAttribute("aria-activedescendant", span.id);
      onShow(tokens[place]);
      span.scrollIntoView({ block: "nearest" });
    }

    /** @param words  what stands before the tokens and is none of them */
    function clear(words) {
      pin(-1);
      tokens = [];
      spans = [];
      given.textContent = words;
      text.replaceChildren(given);
    }

    const placeOf = (event) => {
      const span = event.target.closest(".token");
      return span ? Number(span.dataset.place) : -1;
    };
    text.addEventListener("pointerover", (event) => {
      if (event.pointerType !== "touch" && placeOf(event) >= 0) onShow(tokens[placeOf(event)]);
    });
    text.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") onShow(pinned >= 0 ? tokens[pinned] : null);
    });
    text.addEventListener("click", (event) => {
      const place = placeOf(event);
      pin(place === pinned ? -1 : place);
    });
    text.addEventListener("keydown", (event) => {
      if (tokens.length === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
      const steps = {
        ArrowRight: () => pinned + 1, ArrowLeft: () => pinned - 1,
        ArrowDown: () => pinned < 0 ? 0 : across(spans, spans[pinned], true),
        ArrowUp: () => pinned < 0 ? 0 : across(spans, spans[pinned], false),
        Home: () => 0, End: () => tokens.length - 1,
      };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const next = steps[event.key]();
      if (next >= 0 && next < tokens.length) pin(next);
    });

    /** The first generated token that differs from the other column's, and those behind it that do. */
    function markDifferences(first, places) {
      spans.forEach((span, i) => {
        span.classList.toggle("first-difference", i === first);
        span.classList.toggle("differs", places.has(i));
      });
    }

    return {
      root: text, add, clear, markDifferences, range, unpin: () => pin(-1),
      tokens: () => tokens,
      isPinned: () => pinned >= 0,
      stretch: (value) => { stretched = value; shade(0, range()); },
    };
  }

  return { make };
})();
