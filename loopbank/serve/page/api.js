
// What the page asks of its server: JSON, and events of a stream. Errors say what can be done.

const api = (() => {
  const kKeyName = "loopbank-api-key";

  /** An answer that is an error; `param` names the field of the request that it is about. */
  class Refused extends Error {
    constructor(status, error, retryAfter) {
      super(error.message);
      Object.assign(this, { status, param: error.param, code: error.code, retryAfter });
    }
  }

  /** No answer, or one that broke off. */
  class Gone extends Error {}

  /** In the tab alone, and gone with it. */
  const key = {
    get: () => sessionStorage.getItem(kKeyName) || "",
    set: (value) => sessionStorage.setItem(kKeyName, value),
  };

  function headers(body) {
    const made = body === undefined ? {} : { "Content-Type": "application/json" };
    if (key.get()) made.Authorization = "Bearer " + key.get();
    return made;
  }

  async function refusal(response) {
    let error = null;
    try {
      error = (await response.json()).error;
    } catch {
      // A proxy's page, or nothing: the status alone speaks.
    }
    const retryAfter = Number(response.headers.get("Retry-After")) || null;
    return new Refused(response.status,
      error || { message: "The server answered " + response.status + "." }, retryAfter);
  }

  async function send(path, body, signal) {
    let response;
    try {
      response = await fetch(path, {
        method: body === undefined ? "GET" : "POST", headers: headers(body), signal, cache: "no-store",
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Gone("The server does not answer.");
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }

  async function json(path, body, signal) {
    return (await send(path, body, signal)).json();
  }

  async function text(path, signal) {
    return (await send(path, undefined, signal)).text();
  }

  /** The `data:` of each event as it comes. */
  async function* lines(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
        const event = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (event.startsWith("data: ")) yield event.slice(6);
      }
    }
  }

  /** The objects of a stream up to `[DONE]`. */
  async function* stream(path, body, signal) {
    const response = await send(path, body, signal);
    try {
      for await (const line of lines(response)) {
        if (line === "[DONE]") return;
        const event = JSON.parse(line);
        if (event.error) throw new Refused(500, event.error, null);
        yield event;
      }
    } catch (error) {
      if (error instanceof Refused || error.name === "AbortError") throw error;
    }
    throw new Gone("The connection to the server broke.");
  }

  return { Gone, Refused, json, key, stream, text };
})();
