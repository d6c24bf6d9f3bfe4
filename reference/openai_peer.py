"""The openai Python client, and litellm over it, against `loopbank serve`.

    scripts/interop openai [--model MODEL_DIR] [--at-once 64]

Completions, chat, streams, 64 at once (every greedy answer equal to the one asked for alone), a stream closed in the
middle (the server's running requests fall to 0), retries on 429, the client's error classes, log-probabilities and
usage as its typed objects, and the fields that OpenAI's API does not have. litellm: completion and chat by its
OpenAI-compatible providers.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

import openai
from served import Served, add_arguments, expect, expect_equal, model_directory, versions

PROMPTS = ["Where does Ada live?", "One two three", "The river", "Question: what is 2 + 3?\nAnswer:", "\u00e9t\u00e9 \u2603", "A"]
CHAT = """[chat]
begin = ""
system = "{content}\\n"
user = "Question: {content}\\n"
assistant = "Answer: {content}\\n"
answer = "Answer:"
stop = ["Question:"]
"""
GREEDY = {"temperature": 0, "max_tokens": 16}
QUESTION = [{"role": "user", "content": "Where does Ada live?"}]


def told(name: str, what: str) -> None:
    print(f"{name:12} {what}", flush=True)


def raises(kind, call, status: int, code=None, param=None):
    """The error of a call, which must be of this class."""
    try:
        call()
    except kind as error:
        expect(type(error) is kind, f"expected {kind.__name__}, got {type(error).__name__}: {error}")
        expect_equal(error.status_code, status, f"{kind.__name__}: status")
        expect(bool(error.body and error.body["message"]), f"{kind.__name__}: no message in {error.body}.")
        expect(bool(error.request_id), f"{kind.__name__}: no x-request-id.")
        if code:
            expect_equal(error.code, code, f"{kind.__name__}: code")
        if param:
            expect_equal(error.param, param, f"{kind.__name__}: param")
        return error
    raise SystemExit(f"interop: expected {kind.__name__}, and the call went through.")


def check_completions(served: Served, client: openai.OpenAI, model: str) -> None:
    answer = client.completions.create(model=model, prompt=PROMPTS[0], logprobs=2, echo=True, **GREEDY)
    choice, usage = answer.choices[0], answer.usage
    count = usage.prompt_tokens + usage.completion_tokens
    logprobs = choice.logprobs
    for part in (logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, logprobs.text_offset):
        expect_equal(len(part), count, "echo with logprobs: entries")
    expect_equal((logprobs.token_logprobs[0], logprobs.top_logprobs[0]), (None, None), "echo: the first entry")
    expect(choice.text.startswith(PROMPTS[0]), f"echo: expected the prompt first, got {choice.text!r}.")
    for offset, token in zip(logprobs.text_offset, logprobs.tokens):
        if not token.startswith("bytes:"):
            expect_equal(choice.text[offset : offset + len(token)], token, f"text at offset {offset}")
    for chosen, top in list(zip(logprobs.token_logprobs, logprobs.top_logprobs))[1:]:
        expect(chosen in top.values() and 2 <= len(top) <= 3, f"top_logprobs: expected {chosen} among 2 or 3, got {top}.")
    for token, chosen in zip(logprobs.token_logprobs[usage.prompt_tokens :], logprobs.top_logprobs[usage.prompt_tokens :]):
        expect_equal(token, max(chosen.values()), "greedy: the largest log-probability")
    expect_equal(usage.total_tokens, count, "usage.total_tokens")
    for max_tokens, bias in ((0, {}), (1, {}), (1, served.end_bias(100))):  # the last: a text that ends at once
        short = client.completions.create(
            model=model, prompt=PROMPTS[0], logprobs=1, echo=True, temperature=0, max_tokens=max_tokens, logit_bias=bias
        )
        got = len(short.choices[0].logprobs.token_logprobs)
        expect_equal(got, usage.prompt_tokens + max_tokens, f"max_tokens {max_tokens}, bias {bias}, with echo: entries")
    many = client.completions.create(model=model, prompt=PROMPTS[:3], n=2, seed=7, max_tokens=6)
    expect_equal([choice.index for choice in many.choices], list(range(6)), "three prompts, n 2: indexes")
    again = client.completions.create(model=model, prompt=PROMPTS[1], n=2, seed=7, max_tokens=6)
    expect_equal([c.text for c in again.choices], [c.text for c in many.choices[2:4]], "the second prompt alone, same seed")
    own = {"exit": "budget:1", "loops": "tokens"}
    loops = client.completions.create(model=model, prompt=PROMPTS[0], extra_body=own, **GREEDY)
    expect_equal(loops.choices[0].loops["mean"], 1.0, 'exit "budget:1": mean loops')
    expect_equal(len(loops.choices[0].loops["tokens"]), loops.usage.completion_tokens, "loops by token: entries")
    told("completions", f"{count} entries of logprobs, offsets, echo, n, seed, prompts in a list, extra_body: as documented")


def pieces_of(stream) -> tuple:
    """Text, finish reasons and usage of a stream of completions."""
    text, reasons, usage = {}, {}, None
    for event in stream:
        usage = event.usage or usage
        for choice in event.choices:
            text[choice.index] = text.get(choice.index, "") + choice.text
            if choice.finish_reason:
                expect(choice.index not in reasons, "a stream: two finish reasons of one choice.")
                reasons[choice.index] = choice.finish_reason
    return text, reasons, usage


def check_streams(client: openai.OpenAI, model: str) -> None:
    for prompt in PROMPTS:
        whole = client.completions.create(model=model, prompt=prompt, n=2, seed=3, max_tokens=24)
        stream = client.completions.create(
            model=model, prompt=prompt, n=2, seed=3, max_tokens=24, stream=True, stream_options={"include_usage": True}
        )
        text, reasons, usage = pieces_of(stream)
        expect_equal(text, {choice.index: choice.text for choice in whole.choices}, f"stream of {prompt!r}: text")
        expect_equal(reasons, {choice.index: choice.finish_reason for choice in whole.choices}, "stream: finish reasons")
        expect_equal(usage.total_tokens, whole.usage.total_tokens, "stream: usage")
    told("streams", f"{2 * len(PROMPTS)} texts equal the whole answers, usage in a last event")


def check_chat(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, logprobs=True, top_logprobs=2, temperature=0, max_completion_tokens=12
    )
    choice = answer.choices[0]
    expect_equal(choice.message.role, "assistant", "chat: role")
    content = choice.logprobs.content
    expect_equal(len(content), answer.usage.completion_tokens, "chat: entries of logprobs")
    for entry in content:
        chosen = [(top.token, top.logprob) for top in entry.top_logprobs]
        expect((entry.token, entry.logprob) == chosen[0], f"chat, greedy: expected {entry.token!r} first, got {chosen}.")
    written = b"".join(bytes(entry.bytes or []) for entry in content).decode(errors="replace")
    expect(written.startswith(choice.message.content), f"chat: bytes {written!r}, content {choice.message.content!r}.")
    plain = client.completions.create(model=model, prompt="Question: Where does Ada live?\nAnswer:", stop="Question:", **GREEDY)
    parts = [{"role": "user", "content": [{"type": "text", "text": "Where does Ada live?"}]}]
    for messages in (QUESTION, parts):
        same = client.chat.completions.create(model=model, messages=messages, **GREEDY)
        expect_equal(same.choices[0].message.content, plain.choices[0].text, "chat: the template's prompt as a completion")
    stream = client.chat.completions.create(model=model, messages=QUESTION, stream=True, **GREEDY)
    events = [event.choices[0] for event in stream if event.choices]
    expect_equal(events[0].delta.role, "assistant", "chat, stream: role of the first event")
    text = "".join(event.delta.content or "" for event in events)
    expect_equal(text, plain.choices[0].text, "chat, stream: text")
    expect_equal(events[-1].finish_reason, plain.choices[0].finish_reason, "chat, stream: finish reason")
    told("chat", "template, parts, logprobs with bytes, stream: as documented")


def check_errors(served: Served, client: openai.OpenAI, model: str) -> None:
    ask = lambda **fields: (lambda: client.completions.create(**{"model": model, "prompt": "A", "max_tokens": 1, **fields}))
    raises(openai.BadRequestError, ask(temperature=-1), 400, param="temperature")
    raises(openai.BadRequestError, ask(extra_body={"temprature": 1}), 400, "unknown_field", "temprature")
    raises(openai.BadRequestError, ask(suffix="x"), 400, "unsupported_field", "suffix")
    raises(openai.NotFoundError, ask(model="gpt-4"), 404, "model_not_found")
    raises(openai.NotFoundError, lambda: client.models.retrieve("gpt-4"), 404)
    most = max(served.model()["layers"])
    raises(openai.UnprocessableEntityError, ask(extra_body={"max_loops": most + 1}), 422)
    expect_equal([entry.id for entry in client.models.list()], [model], "models")
    expect_equal(client.models.retrieve(model).owned_by, "loopbank", "model: owned_by")
    told("errors", "BadRequestError, NotFoundError, UnprocessableEntityError with message, code, param and request id")


async def check_at_once(served: Served, model: str, count: int) -> None:
    client = openai.AsyncOpenAI(base_url=served.base + "/v1", api_key="none", max_retries=0)
    asked = [f"{PROMPTS[index % len(PROMPTS)]} {index}" for index in range(count)]
    call = lambda prompt: client.completions.create(model=model, prompt=prompt, temperature=0, max_tokens=24)
    start = time.monotonic()
    together = await asyncio.gather(*(call(prompt) for prompt in asked))
    middle = time.monotonic()
    alone = [await call(prompt) for prompt in asked]
    taken = time.monotonic() - middle
    for prompt, first, second in zip(asked, together, alone):
        expect_equal(first.choices[0].text, second.choices[0].text, f"{prompt!r} among {count} at once")
    told("at once", f"{count} greedy answers equal those asked for alone; {taken / (middle - start):.1f} times as fast")


def check_cancel(served: Served, client: openai.OpenAI, model: str) -> None:
    longest = served.model()["max_model_len"]
    stream = client.completions.create(
        model=model, prompt="A", n=8, max_tokens=longest - 2, seed=1, stream=True, extra_body={"logit_bias": served.end_bias(-100)}
    )
    for _ in range(5):
        next(stream)
    expect(served.metric("loopbank_requests_running") >= 1, "cancel: the request is not running.")
    generated = served.metric("loopbank_generated_tokens_total")
    stream.close()
    seconds = served.wait_for("loopbank_requests_running", 0, 5)
    generated = served.metric("loopbank_generated_tokens_total") - generated
    expect(generated < 8 * (longest - 10), f"cancel: {generated} tokens followed; the stream ended by itself.")
    told("cancel", f"no request runs {seconds * 1000:.0f} ms after the stream was closed")


async def check_retries(program: str, path: Path) -> None:
    """A server that takes two requests at a time, and eight clients that try again."""
    with Served(program, path, "--max-requests", "2") as served:
        entry = served.model()
        text = {"model": entry["id"], "prompt": "A", "max_tokens": min(200, entry["max_model_len"] - 2)}
        text |= {"temperature": 0, "logit_bias": served.end_bias(-100)}
        hasty = openai.AsyncOpenAI(base_url=served.base + "/v1", api_key="none", max_retries=0)
        answers = await asyncio.gather(*(hasty.completions.create(**text) for _ in range(8)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, openai.RateLimitError)]
        served_now = [answer for answer in answers if not isinstance(answer, Exception)]
        expect_equal(len(refused) + len(served_now), 8, f"without retries: answers and RateLimitError in {answers}")
        expect(refused != [] and served_now != [], f"without retries: expected some of both, {len(refused)} were refused.")
        wait = refused[0].response.headers.get("retry-after", "")
        expect(wait.isdigit() and 0 < int(wait) <= 60, f"429: expected Retry-After in seconds, got {wait!r}.")
        patient = openai.AsyncOpenAI(base_url=served.base + "/v1", api_key="none", max_retries=20)
        answers = await asyncio.gather(*(patient.completions.create(**text) for _ in range(8)))
        texts = {answer.choices[0].text for answer in answers}
        expect_equal(texts, {served_now[0].choices[0].text}, "with retries: texts")
        told("retries", f"{len(refused)} of 8 refused with 429, Retry-After {wait}; all 8 answered with max_retries")


def check_key(program: str, path: Path) -> None:
    with Served(program, path, "--api-key", "sesame") as served:
        wrong = openai.OpenAI(base_url=served.base + "/v1", api_key="open", max_retries=0)
        raises(openai.AuthenticationError, wrong.models.list, 401)
        right = openai.OpenAI(base_url=served.base + "/v1", api_key="sesame", max_retries=0)
        model = right.models.list().data[0].id
        expect(not any("sesame" in line for line in served.log), "the key stands in the log.")
        raises(openai.BadRequestError, lambda: right.chat.completions.create(model=model, messages=QUESTION), 400, "no_chat_template")
        told("key", "AuthenticationError for a wrong one; chat without a template is BadRequestError no_chat_template")


def check_others(served: Served, client: openai.OpenAI, model: str) -> None:
    """litellm, by its OpenAI-compatible providers."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a list of prices
    import litellm

    litellm.suppress_debug_info = True
    reach = {"api_base": served.base + "/v1", "api_key": "none"}
    plain = client.completions.create(model=model, prompt=PROMPTS[0], **GREEDY).choices[0].text
    text = litellm.text_completion(model=f"text-completion-openai/{model}", prompt=PROMPTS[0], **GREEDY, **reach)
    expect_equal(text.choices[0].text, plain, "litellm: text_completion")
    chat = client.chat.completions.create(model=model, messages=QUESTION, **GREEDY).choices[0].message.content
    answer = litellm.completion(model=f"openai/{model}", messages=QUESTION, **GREEDY, **reach)
    expect_equal(answer.choices[0].message.content, chat, "litellm: completion")
    stream = litellm.completion(model=f"openai/{model}", messages=QUESTION, stream=True, **GREEDY, **reach)
    text = "".join(event.choices[0].delta.content or "" for event in stream if event.choices)
    expect_equal(text, chat, "litellm: stream")
    told("others", "litellm's text_completion, completion and stream: texts equal the client's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--at-once", type=int, default=64)
    arguments = parser.parse_args()
    print(versions("openai", "litellm"), flush=True)
    path = model_directory(arguments)
    with tempfile.TemporaryDirectory() as folder:
        chat = Path(folder) / "chat.toml"
        chat.write_text(CHAT)
        with Served(arguments.program, path, "--chat-template", chat) as served:
            client = openai.OpenAI(base_url=served.base + "/v1", api_key="none", max_retries=0)
            model = client.models.list().data[0].id
            check_completions(served, client, model)
            check_streams(client, model)
            check_chat(client, model)
            check_errors(served, client, model)
            asyncio.run(check_at_once(served, model, arguments.at_once))
            check_cancel(served, client, model)
            check_others(served, client, model)
    asyncio.run(check_retries(arguments.program, path))
    check_key(arguments.program, path)
    print("openai: all as expected")


if __name__ == "__main__":
    main()
