"""Event files of `loopbank train` and `loopbank study`, read by tensorboard.

    scripts/interop tensorboard [--work DIR] [--steps N]

Compared, for a whole run, one that is killed by SIGKILL and resumed, and the runs of a study: every scalar with
metrics.jsonl to the last bit of fp32, every step once, wall times that rise, histograms of halting whose counts are
those of the validation. Read by the package's own reader and over HTTP from a `tensorboard` process that watches all the
while, once with its server of data and once without. A file cut at any byte is read as far as it goes.
"""

import argparse
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from pathlib import Path

import tensorboard
from served import expect, expect_equal
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

KEEP_ALL = {"scalars": 0, "histograms": 0}
WATCH_SECONDS = 300  # until a watching TensorBoard has read what is there


def as_stored(value) -> float:
    """What fp32 keeps of a value of metrics.jsonl; null stands for one that is not finite."""
    return math.nan if value is None else struct.unpack("<f", struct.pack("<f", value))[0]


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def scalars_of(row: dict) -> dict[str, float]:
    """Tags and values of a row, as docs/formats.md has them."""
    if "loss" in row:
        values = {f"train/{key}": row[key] for key in ("loss", "tokens", "tokens_per_second", "learning_rate", "gradient_norm", "ponder")}
        values["loops/mean"] = row["mean_loops"]
        weight = row.get("ponder_weight", 0.0)
        values["train/cross_entropy"] = None if row["loss"] is None else row["loss"] - weight * row["ponder"]
        if "ponder_weight" in row:
            values["train/ponder_weight"] = weight
        if row.get("skipped"):
            values["train/skipped"] = 1.0
        lists = {"loops": row.get("loops_by_layer", [])}
    elif "validation_loss" in row:
        values = {"validation/loss": row["validation_loss"], "validation/bpb": row["validation_bpb"]}
        values["validation/mean_loops"] = row["mean_loops"]
        if "validation_loss_without_memory" in row:
            values["validation/loss_without_memory"] = row["validation_loss_without_memory"]
        values |= {f"validation_loss_by_loops/{n}": loss for n, loss in row.get("validation_loss_by_loops", {}).items()}
        names = {"validation_loops": "loops_by_layer", "local_gates": "local_gate_by_layer", "global_gates": "global_gate_by_layer",
                 "local_focus": "local_focus_by_layer", "global_focus": "global_focus_by_layer",
                 "loop_changes": "loop_change_by_layer", "router_gradients": "router_gradient_by_layer"}
        lists = {group: row.get(key, []) for group, key in names.items()}
        for layer, scales in enumerate(row.get("loop_scale_by_layer", [])):
            values |= {f"loop_scales/layer_{layer}_loop_{loop}": scale for loop, scale in enumerate(scales, 1)}
    elif "alarm" in row:
        is_whole_model = row["all_layers"] and not row["layers"]
        values, lists = {f"alarms/{row['alarm']}": 1 if is_whole_model else len(row["layers"])}, {}
    else:
        name = f"{row.get('task', row.get('suite'))}:max_loops={row['max_loops']}"
        values, lists = {f"evaluation/{name}": row["value"], f"evaluation_bpb/{name}": row["bpb"]}, {}
    for group, items in lists.items():
        values |= {f"{group}/layer_{layer}": value for layer, value in enumerate(items)}
    return {tag: as_stored(value) for tag, value in values.items()}


def rows_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def expected_scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    expected = defaultdict(list)
    for row in rows_of(run):
        for tag, value in scalars_of(row).items():
            expected[tag].append((row["step"], value))
    return expected


def compare(got: dict[str, list[tuple[int, float]]], run: Path, what: str) -> int:
    """The number of values that were compared: all of metrics.jsonl."""
    expected = expected_scalars(run)
    expect_equal(sorted(got), sorted(expected), f"{what}: tags")
    count = 0
    for tag, values in expected.items():
        expect_equal([step for step, _ in got[tag]], [step for step, _ in values], f"{what}: steps of {tag}")
        for (step, value), (_, theirs) in zip(values, got[tag]):
            expect(same(value, theirs), f"{what}: {tag} at step {step}: expected {value!r}, got {theirs!r}.")
            count += 1
    return count


def read_scalars(accumulator: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    tags = accumulator.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in tags}


def accumulator_of(run: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(run), size_guidance=KEEP_ALL)
    accumulator.Reload()
    return accumulator


def check_wall_times(accumulator: EventAccumulator, begin: float) -> None:
    for tag in accumulator.Tags()["scalars"]:
        times = [event.wall_time for event in accumulator.Scalars(tag)]
        expect(times == sorted(times), f"{tag}: expected wall times that rise, got {times[:5]}...")
        expect(begin - 1 <= times[0] and times[-1] <= time.time(), f"{tag}: expected times of this check, got {times[0]}.")


def check_histograms(accumulator: EventAccumulator, run: Path, tokens: int, most_loops: int) -> int:
    """The number of histograms: tokens of the validation by expected loops, and by where they stop."""
    count = 0
    by_step = {row["step"]: row for row in rows_of(run) if "validation_loss" in row}
    for tag in accumulator.Tags()["histograms"]:
        layer = int(tag.rsplit("_", 1)[1])
        events = accumulator.Histograms(tag)
        expect_equal([event.step for event in events], list(by_step), f"{tag}: steps")
        for event in events:
            value = event.histogram_value
            where = f"{tag} at {event.step}"
            expect_equal(len(value.bucket), len(value.bucket_limit), f"{where}: buckets")
            expect(list(value.bucket_limit) == sorted(value.bucket_limit), f"{where}: expected limits that rise.")
            for total in (value.num, sum(value.bucket)):
                expect(abs(total - tokens) < 1e-3 * tokens, f"{where}: expected {tokens} tokens, got {total}.")
            ends = (value.min, value.max)
            expect(0.5 <= value.min <= value.max <= most_loops + 0.5, f"{where}: expected 1 to {most_loops} loops, got {ends}.")
            loops = by_step[event.step]["loops_by_layer"][layer]
            mean = value.sum / value.num
            expect(abs(mean - loops) < 1e-3, f"{where}: expected a mean of {loops}, got {mean}.")
            width = most_loops / len(value.bucket)
            left = [value.bucket_limit[0] - (value.bucket_limit[1] - value.bucket_limit[0]), *value.bucket_limit[:-1]]
            middle = sum(n * (a + b) / 2 for n, a, b in zip(value.bucket, left, value.bucket_limit)) / sum(value.bucket)
            expect(abs(middle - loops) <= width, f"{where}: expected buckets around {loops}, got {middle}.")
            count += 1
    return count


class Watcher:
    """A `tensorboard` process over a folder, asked over HTTP as its page asks."""

    def __init__(self, folder: Path, fast: bool):
        self.fast = fast
        port = 6100 + os.getpid() % 1000 + fast
        program = Path(sys.executable).parent / "tensorboard"
        command = [program, "--logdir", folder, "--port", str(port), "--reload_interval", "1"]
        command += ["--samples_per_plugin", "scalars=100000", f"--load_fast={'true' if fast else 'false'}"]
        self.log = open(folder.parent / f"tensorboard-{'fast' if fast else 'plain'}.log", "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self.base = f"http://127.0.0.1:{port}/data/plugin/scalars"

    def get(self, path: str, **query: str):
        with urllib.request.urlopen(f"{self.base}/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
            return json.load(answer)

    def scalars(self, run: str) -> dict[str, list[tuple[int, float]]]:
        tags = self.get("tags").get(run, {})
        found = {}
        for tag in tags:
            # Numbers that are not finite come as texts.
            found[tag] = [(int(step), float(value)) for _, step, value in self.get("scalars", run=run, tag=tag)]
        return found

    def wait_for(self, run: str, step: int) -> dict[str, list[tuple[int, float]]]:
        end = time.time() + WATCH_SECONDS
        while time.time() < end:
            try:
                found = self.scalars(run)
                if found.get("train/loss") and found["train/loss"][-1][0] >= step:
                    time.sleep(3)  # what else belongs to that step
                    return self.scalars(run)
            except OSError:
                pass
            time.sleep(1)
        raise SystemExit(f"interop: tensorboard: expected step {step} of {run} within {WATCH_SECONDS} s.")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()


def train_command(arguments: argparse.Namespace, run: Path, steps: int, *more: str) -> list[str]:
    command = [arguments.program, "--quiet", "train", "configs/demo/mem-g3.toml", "--out", str(run)]
    settings = (f"training.steps={steps}", "training.validate_every=10", "training.checkpoint_every=10", "model.ponder_weight=0.01")
    for setting in settings:
        command += ["--set", setting]
    return command + list(more)


def last_step(run: Path) -> int:
    try:
        return max((row["step"] for row in rows_of(run)), default=0)
    except (FileNotFoundError, json.JSONDecodeError):
        return 0


def kill_behind(command: list[str], run: Path, step: int) -> int:
    """Starts a run and kills it once it is behind a step; the step that its last row has."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while last_step(run) < step and process.poll() is None:
        time.sleep(0.02)
    expect(process.poll() is None, f"{run}: ended before it could be killed; more --steps are needed.")
    process.send_signal(signal.SIGKILL)
    process.wait()
    return last_step(run)


def check_torn(run: Path, work: Path) -> int:
    """Reads a file cut at many bytes: never more events than are whole, never an error."""
    source = next(run.glob("events.out.tfevents.*"))
    content = source.read_bytes()
    whole = len(list(EventFileLoader(str(source)).Load()))
    torn = work / "torn" / source.name
    torn.parent.mkdir(exist_ok=True)
    previous = 0
    sizes = list(range(0, 700)) + list(range(700, len(content) + 1, 97)) + [len(content)]
    for size in sizes:
        torn.write_bytes(content[:size])
        events = len(list(EventFileLoader(str(torn)).Load()))
        expect(previous <= events <= whole, f"{source.name} cut at {size}: expected {previous} to {whole} events, got {events}.")
        previous = events
    expect_equal(previous, whole, f"{source.name}: events of the whole file")
    return len(sizes)


def check_killed(arguments: argparse.Namespace, work: Path, watchers: list[Watcher]) -> None:
    run = work / "runs" / "killed"
    killed_at = kill_behind(train_command(arguments, run, arguments.steps), run, 15)
    rows = len(rows_of(run))
    live = accumulator_of(run)  # reads on after the resume, as a TensorBoard does
    events = sum(len(values) for tag, values in read_scalars(live).items() if tag == "train/loss")
    expect(abs(events - killed_at) <= 1, f"{run}: expected events of {killed_at} steps after the kill, got {events}.")
    for watcher in watchers:
        watcher.wait_for("killed", killed_at - 1)
    subprocess.run(train_command(arguments, run, arguments.steps, "--resume"), check=True, stdout=subprocess.DEVNULL)
    files = sorted(path.name for path in run.glob("events.out.tfevents.*"))
    expect_equal(len(files), 2, f"{run}: event files")
    count = compare(read_scalars(accumulator_of(run)), run, "killed and resumed")
    live.Reload()
    compare(read_scalars(live), run, "killed and resumed, read on")
    print(f"killed at step {killed_at} ({rows} rows), resumed at 10: {count} values equal, no step twice", flush=True)
    for watcher in watchers:
        count = compare(watcher.wait_for("killed", arguments.steps), run, f"watched, load_fast {watcher.fast}")
        print(f"  the same over HTTP from a tensorboard that watched, load_fast {watcher.fast}: {count} values", flush=True)


def check_study(arguments: argparse.Namespace, work: Path) -> None:
    out = work / "study"
    command = [arguments.program, "--quiet", "study", "--systems", "isopar,loop3", "--out", str(out)]
    command += ["--set", "training.steps=12", "--set", "training.validate_every=4", "--set", "benchmark.instances=8"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    multiplexer = EventMultiplexer(size_guidance=KEEP_ALL)
    multiplexer.AddRunsFromDirectory(str(out))
    multiplexer.Reload()
    expect_equal(len(multiplexer.Runs()), 2, "study: runs")
    for name in multiplexer.Runs():
        count = compare(read_scalars(multiplexer.GetAccumulator(name)), out / name, f"study: {name}")
        print(f"study: {name}: {count} values equal", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/loopbank")
    parser.add_argument("--work", type=Path, default=Path("build/interop/tensorboard"))
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.work, ignore_errors=True)
    runs = arguments.work / "runs"
    runs.mkdir(parents=True)
    begin = time.time()
    print(f"tensorboard {tensorboard.__version__}, Python {sys.version.split()[0]}", flush=True)
    watchers = [Watcher(runs, fast=True), Watcher(runs, fast=False)]
    try:
        whole = runs / "whole"
        subprocess.run(train_command(arguments, whole, arguments.steps), check=True, stdout=subprocess.DEVNULL)
        accumulator = accumulator_of(whole)
        count = compare(read_scalars(accumulator), whole, "whole run")
        check_wall_times(accumulator, begin)
        tokens = 32 * 128  # training.validation_rows x training.sequence_length of the preset
        histograms = check_histograms(accumulator, whole, tokens, most_loops=3)
        expect_equal(histograms, 2 * 2 * len([row for row in rows_of(whole) if "validation_loss" in row]), "histograms")
        print(f"whole run of {arguments.steps} steps: {count} values equal, {histograms} histograms", flush=True)
        print(f"cut at {check_torn(whole, arguments.work)} places: read as far as it goes", flush=True)
        check_killed(arguments, arguments.work, watchers)
    finally:
        for watcher in watchers:
            watcher.stop()
    check_study(arguments, arguments.work)
    print("all equal", flush=True)


if __name__ == "__main__":
    main()
