
// The page as a whole: prompt and columns, what a link carries, the key, and the state of the server.

const page = (() => {
  const find = (id) => document.getElementById(id);
  const kLinkDelay = 300;
  const kCountDelay = 350;
  const columns = [];
  let model = null;
  let card = null;
  let shared = null;
  let live = null;

  const comparing = () => document.body.classList.contains("comparing");
  const shown = () => comparing() ? columns : columns.slice(0, 1);
  const isRunning = () => shown().some((one) => one.isRunning());

  function notice(text) {
    find("notice").textContent = text;
    find("notice").hidden = text === "";
  }

  /** The field of a key appears where the server wants one. */
  function askKey(message) {
    find("key-form").hidden = false;
    find("key-wrong").textContent = message;
    find("key").focus();
  }

  function markPrompt(message) {
    find("prompt-wrong").textContent = message;
    find("prompt").classList.toggle("marked", message !== "");
    if (message) find("prompt").setAttribute("aria-invalid", "true");
    else find("prompt").removeAttribute("aria-invalid");
  }

  /** Shows an error at the field that it is about. @return whether there is one */
  function refused(error, column) {
    if (!(error instanceof api.Refused)) return false;
    if (error.status === 401) {
      askKey(api.key.get() ? "The server refused this key." : "This server wants an API key.");
      return true;
    }
    if (error.param === "prompt") {
      markPrompt(error.message);
      return true;
    }
    const field = column.settings.find(error.param) || shared.find(error.param);
    if (!field) return false;
    field.mark(error.message);
    if (shared.find(error.param)) find("more").open = true;
    return true;
  }

  const describe = () => {
    const loops = model.layers.filter((count) => count > 1);
    const most = Math.max(...model.layers);
    const parts = [model.layers.length + " layers" + (loops.length === 0 ? " without loops"
      : " of up to " + most + " loops")];
    const slots = [[model.local_memory_slots, "local"], [model.global_memory_slots, "global"]]
      .filter(([count]) => count > 0).map(([count, name]) => count + " " + name);
    if (slots.length > 0) parts.push(slots.join(" and ") + " memory slots");
    return parts.join(", ") + ", a context of " + model.max_model_len + " tokens.";
  };

  function link() {
    const to = new URLSearchParams();
    if (find("prompt").value) to.set("prompt", find("prompt").value);
    if (comparing()) to.set("compare", "1");
    shared.save(to, "");
    shown().forEach((one) => one.settings.save(to, one.name + "."));
    const hash = to.toString();
    if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? "#" + hash : location.pathname);
  }

  function load() {
    const from = new URLSearchParams(location.hash.slice(1));
    find("prompt").value = from.get("prompt") || "";
    shared.load(from, "");
    columns.forEach((one) => one.settings.load(from, one.name + "."));
    setCompare(from.get("compare") === "1");
    if (shared.list.slice(settings.kCommon).some((one) => one.changed())) find("more").open = true;
  }

  function legend() {
    const most = model.layers.reduce((sum, loops) => sum + loops, 0) / model.layers.length;
    find("legend").hidden = most <= 1;
    find("no-loops").hidden = most > 1;
    if (most <= 1) return;
    const stretch = find("stretch").checked;
    const [low, high] = stretch ? columns[0].view.range() : [1, most];
    const words = (value) => Number.isInteger(value) ? String(value) : value.toFixed(2);
    find("least").textContent = words(low);
    find("most").textContent = words(high);
  }

  function onChange() {
    find("run").disabled = false;
    find("stop").disabled = !isRunning();
    document.body.classList.toggle("running", isRunning());
    const done = shown().every((one) => !one.isRunning());
    find("parting").textContent = comparing() ? compare.mark(columns.map((one) => one.view), done) : "";
    if (find("stretch").checked) legend();
  }

  async function run() {
    markPrompt("");
    shared.clear();
    link();
    const body = shared.body();
    const runs = shown().map((one) => one.run(find("prompt").value, body));
    onChange();
    await Promise.all(runs);
  }

  function stop() {
    columns.forEach((one) => one.stop());
    onChange();
  }

  function setCompare(on) {
    document.body.classList.toggle("comparing", on);
    find("compare").setAttribute("aria-pressed", String(on));
    columns[1].root.hidden = !on;
    if (!on) {
      columns[1].stop();
      columns.forEach((one) => one.view.markDifferences(-1, new Set()));
      find("parting").textContent = "";
    }
  }

  /** How much of the context the prompt takes, told by the server's own tokenizer. */
  async function count() {
    const prompt = find("prompt").value;
    try {
      const told = await api.json("/tokenize", { prompt });
      if (prompt !== find("prompt").value) return;
      const over = told.count > model.max_model_len;
      find("count").textContent = told.count + " of " + model.max_model_len + " tokens";
      markPrompt(over ? "The prompt is too long: " + told.count + " tokens, and the model reads " + model.max_model_len + "." : "");
    } catch {
      find("count").textContent = "";
    }
  }

  function later(act, milliseconds) {
    let timer = 0;
    return () => {
      clearTimeout(timer);
      timer = setTimeout(act, milliseconds);
    };
  }

  function listen() {
    find("prompt-form").addEventListener("submit", (event) => { event.preventDefault(); run(); });
    find("stop").addEventListener("click", stop);
    find("compare").addEventListener("click", () => { setCompare(!comparing()); link(); onChange(); });
    find("stretch").addEventListener("change", () => {
      columns.forEach((one) => one.view.stretch(find("stretch").checked));
      legend();
    });
    find("prompt").addEventListener("input", later(count, kCountDelay));
    document.addEventListener("input", later(link, kLinkDelay));
    addEventListener("hashchange", () => { load(); count(); });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        run();
      } else if (event.key === "Escape") {
        if (isRunning()) stop();
        else columns.forEach((one) => one.view.unpin());
      }
    });
    card.onClose(() => columns.forEach((one) => one.view.unpin()));
  }

  function onToken(token, one) {
    columns.filter((other) => other !== one && token !== null && other.view.isPinned() && one.view.isPinned())
      .forEach((other) => other.view.unpin());
    card.show(token, comparing() ? ", column " + one.name.toUpperCase() : "");
  }

  /** Texts of memory slots are there where the inspector's report is. */
  async function slotTexts() {
    try {
      return await api.json("/slots.json");
    } catch {
      return {};
    }
  }

  async function build() {
    card = insideCard.make(model, await slotTexts());
    shared = settings.shared();
    for (const name of ["a", "b"]) columns.push(column.make(name, { model, onToken, onChange, refused }));
    find("columns").append(...columns.map((one) => one.root), card.root);
    find("common").append(...shared.roots.slice(0, settings.kCommon));
    find("sampling").append(...shared.roots.slice(settings.kCommon));
    document.title = model.id + " \u00b7 loopbank";
    find("model").textContent = model.id;
    find("lead").textContent = describe();
    live = liveStrip.make((there) => notice(there ? "" : "The server does not answer. This page looks for it every second."));
    find("live-place").append(live.root);
    find("bench").hidden = false;
    listen();
    load();
    legend();
    onChange();
    count();
    live.start();
    document.documentElement.dataset.ready = "true";
  }

  /** Waits for the server, and for a key where it wants one. */
  async function start() {
    try {
      model = (await api.json("/v1/models")).data[0];
    } catch (error) {
      if (error instanceof api.Refused && error.status === 401) {
        askKey(api.key.get() ? "The server refused this key." : "This server wants an API key.");
      } else {
        notice(error.message + " This page tries again every two seconds.");
        setTimeout(start, 2000);
      }
      return;
    }
    notice("");
    find("key-form").hidden = true;
    await build();
  }

  find("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    api.key.set(find("key").value);
    find("key-form").hidden = true;
    if (model) run();
    else start();
  });
  start();

  return { columns };
})();
