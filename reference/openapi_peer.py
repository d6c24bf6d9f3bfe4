"""schemathesis over /openapi.json of `loopbank serve`: cases made from the document itself, right ones and wrong ones.

    scripts/interop openapi [--model MODEL_DIR] [--cases 2000] [--seed 1]

Every answer must have a status below 500 that the document names, a content type that it names, and a body of its
schema. Fewer cases than `--cases` are an error: the document was read, but not tried.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from served import Served, add_arguments, expect, model_directory, versions

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def statuses_of(report: Path) -> Counter:
    """Answers by operation and status, from schemathesis's events."""
    counts = Counter()

    def look(value) -> None:
        if isinstance(value, dict):
            response = value.get("response")
            if isinstance(response, dict) and "status_code" in response:
                counts[response["status_code"]] += 1
            for part in value.values():
                look(part)
        elif isinstance(value, list):
            for part in value:
                look(part)

    for line in report.read_text().splitlines():
        look(json.loads(line))
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--cases", type=int, default=2000, help="at least so many")
    parser.add_argument("--examples", type=int, default=400, help="at most so many an operation")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(versions("schemathesis", "hypothesis"), flush=True)
    with tempfile.TemporaryDirectory() as folder, Served(arguments.program, model_directory(arguments)) as served:
        report = Path(folder) / "events.ndjson"
        command = [str(Path(sys.executable).parent / "st"), "run", served.base + "/openapi.json"]
        command += ["--checks", ",".join(CHECKS), "--max-examples", str(arguments.examples)]
        command += ["--seed", str(arguments.seed), "--phases", "examples,coverage,fuzzing", "--no-color"]
        command += ["--generation-database", "none", "--request-timeout", "60", "--continue-on-failure"]
        command += ["--suppress-health-check", "all", "--report", "ndjson", "--report-ndjson-path", str(report)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        counts = statuses_of(report)
        alive = served.get("/health").status
    cases = sum(counts.values())
    told = ", ".join(f"{count} of status {status}" for status, count in sorted(counts.items()))
    expect(done.returncode == 0, f"schemathesis found differences:\n{done.stdout[-6000:]}\n{cases} cases: {told}")
    expect(cases >= arguments.cases, f"expected at least {arguments.cases} cases, got {cases}: {told}.")
    expect(not any(status >= 500 for status in counts), f"a status of 500 or more: {told}.")
    expect(alive == 200, f"/health: expected 200 at the end, got {alive}.")
    print(f"openapi: {cases} cases, {told}; no difference")


if __name__ == "__main__":
    main()
