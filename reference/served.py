"""A server of the program for the checks of scripts/interop: started, asked and ended.

What the checks share; only Python's own library is used here.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 120  # a large model on a busy machine
END_SECONDS = 60
TRAINED = Path("build/interop/served-model")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--program", default="build/release/loopbank")
    parser.add_argument("--model", help="model directory; without it a small one is trained once, in " + str(TRAINED))


def model_directory(arguments: argparse.Namespace) -> Path:
    """The model of --model, or a small one with loops and memory, trained for some seconds the first time."""
    if arguments.model:
        return Path(arguments.model)
    if not (TRAINED / "model.safetensors").exists():
        print(f"training a small model into {TRAINED}", flush=True)
        command = [arguments.program, "--quiet", "train", "configs/demo/mem-g3.toml", "--out", str(TRAINED)]
        command += ["--set", "training.steps=60", "--resume"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return TRAINED


def expect(holds: bool, message: str) -> None:
    """Ends the check at the first difference, with exit status 1."""
    if not holds:
        raise SystemExit(f"interop: {message}")


def expect_equal(ours, theirs, what: str) -> None:
    expect(ours == theirs, f"{what}: expected {theirs!r}, got {ours!r}.")


class Answer:
    def __init__(self, status: int, headers, body: bytes):
        self.status, self.headers, self.text = status, headers, body.decode()

    def json(self):
        return json.loads(self.text)


class Served:
    """`loopbank serve MODEL --port 0 OPTIONS...` for a `with` block, which ends it by SIGTERM.

    `base` is http://127.0.0.1:PORT and `log` holds the lines of stderr so far.
    """

    def __init__(self, program: str, model, *options: str):
        self.command = [program, "serve", str(model), "--port", "0", *map(str, options)]
        self.log = []
        self.base = ""

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server does not outlive the check
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self._told = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while not self._told.wait(0.05):
            self._expect_alive()
            if time.monotonic() > deadline:
                self.process.kill()
                raise SystemExit(f"interop: no address from {' '.join(self.command)} in {START_SECONDS} s.")
        while self._health() != 200:
            self._expect_alive()
            expect(time.monotonic() < deadline, "/health does not become 200.")
            time.sleep(0.05)
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "none: it did not end"
        if kind is None:
            expect(status == 0, f"serve: expected exit status 0 after SIGTERM, got {status}.\n" + self.last_lines())

    def last_lines(self, count: int = 10) -> str:
        return "\n".join(self.log[-count:])

    def get(self, path: str) -> Answer:
        return self._ask(urllib.request.Request(self.base + path))

    def post(self, path: str, body, headers: dict = {}) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **headers}
        return self._ask(urllib.request.Request(self.base + path, data=data, headers=given))

    def model(self) -> dict:
        """The entry of the model in GET /v1/models."""
        return self.get("/v1/models").json()["data"][0]

    def end_bias(self, bias: float) -> dict:
        """A logit_bias of the end-of-text token: a text that ends at once, or never."""
        end = self.get("/tokenizer_info").json()["eos_token"]
        ids = self.post("/tokenize", {"prompt": end, "add_special_tokens": False}).json()["tokens"]
        expect_equal(len(ids), 1, f"/tokenize of {end}: ids")
        return {str(ids[0]): bias}

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        found = re.search(rf"^{name} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        expect(found is not None, f"/metrics: expected {name}, which is not there.")
        return float(found.group(1))

    def wait_for(self, name: str, value: float, seconds: float) -> float:
        """Waits until a metric has a value; the seconds that it took."""
        start = time.monotonic()
        while (now := self.metric(name)) != value:
            taken = time.monotonic() - start
            expect(taken < seconds, f"{name}: expected {value} within {seconds} s, it stays {now}.")
            time.sleep(0.02)
        return time.monotonic() - start

    def _ask(self, request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=END_SECONDS) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def _health(self) -> int:
        try:
            return self.get("/health").status
        except OSError:
            return 0

    def _expect_alive(self) -> None:
        status = self.process.poll()
        expect(status is None, f"serve ended with status {status}.\n" + self.last_lines())

    def _read(self) -> None:
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))
            found = re.search(r"serving .* at (http://\S+?)[.,]?$", self.log[-1])
            if found and not self.base:
                self.base = found.group(1)
                self._told.set()


def versions(*packages: str) -> str:
    """`NAME VERSION` of installed packages, and Python's."""
    from importlib.metadata import version

    told = [f"{name} {version(name)}" for name in packages]
    return ", ".join(told + [f"Python {sys.version.split()[0]}"])
