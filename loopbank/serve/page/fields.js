
// The page's settings: fields with a label, a value that a link can carry, and a place for an error.

const fields = (() => {
  let made = 0;

  /** What every field is: `get` and `set` its text, `changed` whether a link must carry it. */
  function field(name, label, input, around) {
    const wrong = element("small", { className: "wrong", id: "wrong-" + ++made });
    const words = element("span", { className: "words", textContent: label });
    const root = element("label", { className: "field " + input.type }, words, around || input, wrong);
    input.name = name;
    input.setAttribute("aria-describedby", wrong.id);
    const get = () => input.type === "checkbox" ? (input.checked ? "1" : "") : input.value;
    const set = (value) => {
      if (input.type === "checkbox") input.checked = value === "1";
      else input.value = value;
    };
    const initial = get();
    const mark = (message) => {
      wrong.textContent = message;
      root.classList.toggle("marked", message !== "");
      if (message) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    };
    return { name, root, input, get, set, mark, initial, changed: () => get() !== initial };
  }

  const number = (name, label, value, range) => field(name, label,
    element("input", { type: "number", value: String(value), inputMode: "decimal", attributes: range }));

  const text = (name, label, hint) => field(name, label,
    element("input", { type: "text", placeholder: hint, spellcheck: false, autocomplete: "off" }));

  const check = (name, label, checked) => field(name, label, element("input", { type: "checkbox", checked }));

  /** @param choices  [value, label] each */
  const select = (name, label, choices) => field(name, label, element("select", {},
    ...choices.map(([value, textContent]) => element("option", { value, textContent }))));

  /** A slider with its value beside it. @param shown  what stands for a position */
  function slider(name, label, range, value, shown) {
    const input = element("input", { type: "range", attributes: range });
    input.value = String(value);
    const output = element("output", {});
    const one = field(name, label, input, element("span", { className: "sliding" }, input, output));
    const show = () => {
      output.textContent = shown(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", show);
    show();
    return { ...one, show, set: (given) => { one.set(given); show(); } };
  }

  return { check, field, number, select, slider, text };
})();
