"""/metrics of `loopbank serve`, read by prometheus_client before and after traffic.

    scripts/interop metrics [--model MODEL_DIR]

Compared: the names and types of docs/serving.md are there, no series stands twice, histograms are whole (buckets that
rise to +Inf, which is the count), no counter falls, and the counters say what the answers said: requests by path and
status, tokens of prompts and of answers, the mean of the loops.
"""

import argparse
import math

from prometheus_client.parser import text_string_to_metric_families
from served import Served, add_arguments, expect, expect_equal, model_directory, versions

COUNTERS = ("requests", "prompt_tokens", "generated_tokens", "loops", "loop_tokens")
GAUGES = ("requests_waiting", "requests_running", "cache_bytes", "cache_budget_bytes", "connections")
HISTOGRAMS = ("first_token_seconds", "between_tokens_seconds", "request_seconds")


class Scrape:
    """One answer: the type of each family, the value of each series."""

    def __init__(self, served: Served):
        answer = served.get("/metrics")
        expect_equal(answer.status, 200, "/metrics: status")
        kind = answer.headers["Content-Type"]
        expect(kind.startswith("text/plain"), f"/metrics: expected text/plain, got {kind}.")
        self.types, self.values = {}, {}
        for family in text_string_to_metric_families(answer.text):
            expect(family.name not in self.types, f"/metrics: the family {family.name} stands twice.")
            expect(family.documentation != "", f"/metrics: {family.name} has no help.")
            self.types[family.name] = family.type
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                expect(key not in self.values, f"/metrics: the series {key} stands twice.")
                self.values[key] = sample.value

    def of(self, name: str, **labels: str) -> float:
        return self.values.get((f"loopbank_{name}", tuple(sorted(labels.items()))), 0.0)

    def count(self, path: str, status: int) -> float:
        return self.of("requests_total", path=path, status=str(status))


def check_families(scrape: Scrape) -> None:
    for names, kind in ((COUNTERS, "counter"), (GAUGES, "gauge"), (HISTOGRAMS, "histogram")):
        for name in names:
            expect_equal(scrape.types.get(f"loopbank_{name}"), kind, f"type of loopbank_{name}")
    expect_equal(scrape.types.get("process_resident_memory_bytes"), "gauge", "type of process_resident_memory_bytes")
    memory = scrape.values[("process_resident_memory_bytes", ())]
    expect(2**20 < memory < 2**40, f"process_resident_memory_bytes: expected bytes of a process, got {memory}.")


def check_histograms(scrape: Scrape) -> None:
    for name in (f"loopbank_{name}" for name in HISTOGRAMS):
        buckets = sorted(
            (float(dict(labels)["le"]), value) for (key, labels), value in scrape.values.items() if key == f"{name}_bucket"
        )
        counts = [count for _, count in buckets]
        expect(buckets != [] and buckets[-1][0] == math.inf, f"{name}: expected a last bucket +Inf.")
        expect(counts == sorted(counts), f"{name}: expected buckets that rise, got {counts}.")
        expect_equal(scrape.values[(f"{name}_count", ())], counts[-1], f"{name}: count")


def check_rising(before: Scrape, after: Scrape) -> int:
    """The number of series that only rise."""
    rising = 0
    for (name, labels), value in before.values.items():
        if name.endswith(("_total", "_count", "_bucket", "_sum")):
            now = after.values.get((name, labels), -1.0)
            expect(now >= value, f"{name}{dict(labels)}: expected at least {value}, got {now}.")
            rising += 1
    return rising


def ask(served: Served) -> dict:
    """Requests of several kinds; what the answers said."""
    said = {"prompt": 0, "generated": 0, "loops": 0.0, "tokens": 0, "completions": 0}
    for body in (
        {"prompt": "Where does Ada live?", "max_tokens": 8, "temperature": 0},
        {"prompt": ["One", "Two and three"], "n": 2, "max_tokens": 4, "seed": 1},
        {"prompt": [5, 6, 7], "max_tokens": 0, "echo": True, "logprobs": 1},
    ):
        answer = served.post("/v1/completions", body)
        expect_equal(answer.status, 200, "/v1/completions: status")
        usage = answer.json()["usage"]
        # The last token of a prompt that is only scored is not read.
        said["prompt"] += usage["prompt_tokens"] - (body["max_tokens"] == 0)
        said["generated"] += usage["completion_tokens"]
        said["completions"] += 1
    for body, status in ((b"{", 400), ({"prompt": "a", "modle": "x"}, 400), ({"prompt": "a", "model": "x"}, 404)):
        expect_equal(served.post("/v1/completions", body).status, status, f"/v1/completions of {body}: status")
    expect_equal(served.get("/nothing/there").status, 404, "/nothing/there: status")
    expect_equal(served.get("/v1/completions").status, 405, "GET /v1/completions: status")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    arguments = parser.parse_args()
    print(versions("prometheus_client"), flush=True)
    with Served(arguments.program, model_directory(arguments)) as served:
        before = Scrape(served)
        check_families(before)
        said = ask(served)
        served.wait_for("loopbank_requests_running", 0, 10)
        after = Scrape(served)
        check_families(after)
        check_histograms(after)
        rising = check_rising(before, after)
        grown = lambda name: after.of(name) - before.of(name)
        expect_equal(grown("prompt_tokens_total"), said["prompt"], "loopbank_prompt_tokens_total")
        expect_equal(grown("generated_tokens_total"), said["generated"], "loopbank_generated_tokens_total")
        for status, count in ((200, said["completions"]), (400, 2), (404, 1), (405, 1)):
            got = after.count("/v1/completions", status) - before.count("/v1/completions", status)
            expect_equal(got, count, f'loopbank_requests_total of /v1/completions with status {status}')
        expect_equal(after.of("requests_waiting"), 0.0, "loopbank_requests_waiting")
        mean = grown("loops_total") / grown("loop_tokens_total")
        most = max(served.model()["layers"])
        expect(1.0 <= mean <= most, f"loops_total / loop_tokens_total: expected 1 to {most} loops, got {mean}.")
        paths = {dict(labels).get("path") for name, labels in after.values if name == "loopbank_requests_total"}
        expect("/nothing/there" not in paths, "loopbank_requests_total: a path that is not served has a series of its own.")
    print(f"metrics: {len(after.types)} families, {len(after.values)} series, {rising} that only rise; mean loops {mean:.3f}")


if __name__ == "__main__":
    main()
