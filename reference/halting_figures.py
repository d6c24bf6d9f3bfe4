"""Draws the figures of docs/halting.md, and prints its tables, from the metrics of runs.

    python3 reference/halting_figures.py RUNS FIGURES

RUNS holds the run directories that scripts/halting_runs makes; runs that are not there are left out. FIGURES
is the folder for the SVG files. Standard library alone.
"""

import json
import os
import sys

# Panels of the first figure: title, N, then runs with what is special about each.
PANELS = [
    (
        "Loop-3: loop scales at start, their rate",
        3,
        [
            ("long-loop3-demo", "1, 0.0009; x10"),
            ("long-loop3-open", "1, 1; x10"),
            ("long-loop3-open-x1", "1, 1; x1"),
            ("long-loop3-paper", "0.0009, 0.0009; x1"),
        ],
    ),
    (
        "N, with scales 1, 0.0009; x10",
        3,
        [("long-loop3-demo", "N = 3"), ("long-loop5-demo", "N = 5"), ("long-loop7-demo", "N = 7")],
    ),
    (
        "Loop-5, scales 1, 1; x10: ponder weight",
        3,
        [
            ("mid-loop5-open", "0"),
            ("mid-loop5-open-ponder.01", "0.01"),
            ("mid-loop5-open-ponder.1", "0.1"),
        ],
    ),
    (
        "N, with scales 1, 1; x10",
        3,
        [("mid-loop3-open", "N = 3"), ("mid-loop5-open", "N = 5"), ("mid-loop7-open", "N = 7")],
    ),
    (
        "Loop-7, scales 1, 0.0009; x10: router bias",
        7,
        [
            ("short-loop7-base", "0"),
            ("short-loop7-bias-1", "-1"),
            ("short-loop7-bias-3", "-3"),
        ],
    ),
    (
        "Loop-7, scales 1, 0.0009; x10: ponder weight",
        3,
        [
            ("short-loop7-base", "0"),
            ("short-loop7-ponder.03", "0.03"),
            ("short-loop7-ponder.1", "0.1"),
            ("short-loop7-ponder.1-warm", "0.1, warm-up"),
        ],
    ),
]
# Runs of the second figure.
BUDGETS = PANELS[0][2]
COLOURS = ["#1b6ca8", "#d1495b", "#2e8b57", "#c98a00"]
WIDTH, HEIGHT = 380, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 30, 40
POINTS = 60  # of a line: each the mean over the steps around it


def read_run(folder: str) -> dict:
    """Steps, validations and alarms of a run, and its questions' scores where it has them."""
    rows = []
    with open(os.path.join(folder, "metrics.jsonl")) as file:
        rows = [json.loads(line) for line in file]
    run = {
        "steps": [row for row in rows if "loss" in row],
        "validations": [row for row in rows if "validation_loss" in row],
        "alarms": [row for row in rows if "alarm" in row],
        "tasks": {},
    }
    scores = os.path.join(folder, "scores", "metrics.json")
    if os.path.exists(scores):
        with open(scores) as file:
            for task in json.load(file)["results"]:
                run["tasks"][task["task"]] = task
    return run


def read_runs(folder: str) -> dict:
    """Every run with a validation, those that are not finished included."""
    runs = {}
    for name in sorted(os.listdir(folder)):
        if os.path.exists(os.path.join(folder, name, "metrics.jsonl")):
            run = read_run(os.path.join(folder, name))
            if run["validations"]:
                runs[name] = run
    return runs


def smooth(run: dict, layer: int) -> list:
    """(step, mean loops of a layer), POINTS of them."""
    steps = run["steps"]
    size = max(1, len(steps) // POINTS)
    points = []
    for start in range(0, len(steps) - size + 1, size):
        part = steps[start : start + size]
        points.append(
            (
                sum(row["step"] for row in part) / len(part),
                sum(row["loops_by_layer"][layer] for row in part) / len(part),
            )
        )
    return points


class Axes:
    """A panel with its frame, ticks and labels; x and y in the data's units."""

    def __init__(self, x0: float, y0: float, title: str, x: tuple, y: tuple):
        self.x0, self.y0, self.x, self.y = x0, y0, x, y
        self.parts = [self.text(WIDTH / 2, 18, title, "middle", 13, "bold")]

    def at(self, x: float, y: float) -> tuple:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.x0 + LEFT + across * (WIDTH - LEFT - RIGHT),
            self.y0 + HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    def text(self, x, y, words, anchor="middle", size=11, weight="normal", turn="") -> str:
        return (
            f'<text x="{self.x0 + x:.1f}" y="{self.y0 + y:.1f}" font-size="{size}" '
            f'font-weight="{weight}" text-anchor="{anchor}"{turn}>{words}</text>'
        )

    def frame(self, x_label: str, y_label: str, x_ticks: list, y_ticks: list) -> None:
        for value in y_ticks:
            (left, y), (right, _) = self.at(self.x[0], value), self.at(self.x[1], value)
            self.parts.append(
                f'<path d="M{left:.1f} {y:.1f}H{right:.1f}" stroke="#ddd" fill="none"/>'
                f'<text x="{left - 5:.1f}" y="{y + 4:.1f}" font-size="11" '
                f'text-anchor="end">{value:g}</text>'
            )
        for value in x_ticks:
            x, y = self.at(value, self.y[0])
            self.parts.append(
                f'<path d="M{x:.1f} {y:.1f}v4" stroke="#444"/>'
                f'<text x="{x:.1f}" y="{y + 16:.1f}" font-size="11" '
                f'text-anchor="middle">{value:g}</text>'
            )
        middle = (TOP + HEIGHT - BOTTOM) / 2
        turn = f' transform="rotate(-90 {self.x0 + 14:.1f} {self.y0 + middle:.1f})"'
        self.parts.append(self.text(WIDTH / 2 + 15, HEIGHT - 6, x_label))
        self.parts.append(self.text(14, middle, y_label, turn=turn))

    def line(self, points: list, colour: str, dashed: bool) -> None:
        path = " ".join("{:.1f},{:.1f}".format(*self.at(x, y)) for x, y in points)
        dash = ' stroke-dasharray="5 3"' if dashed else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>'
        )

    def key(self, row: int, colour: str, words: str, left: float, top: float) -> None:
        x, y = self.x0 + left, self.y0 + top + 15 * row
        self.parts.append(
            f'<path d="M{x:.1f} {y - 4:.1f}h18" stroke="{colour}" stroke-width="2.5"/>'
            f'<text x="{x + 23:.1f}" y="{y:.1f}" font-size="11">{words}</text>'
        )


def write_svg(path: str, panels: list, columns: int) -> None:
    rows = (len(panels) + columns - 1) // columns
    body = "\n".join(part for panel in panels for part in panel.parts)
    with open(path, "w") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * WIDTH}" '
            f'height="{rows * HEIGHT}" viewBox="0 0 {columns * WIDTH} {rows * HEIGHT}" '
            f'font-family="Helvetica, Arial, sans-serif" fill="#222">\n'
            f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
        )
    print(f"{path}  {os.path.getsize(path)} bytes", file=sys.stderr)


def draw_loops(runs: dict, path: str) -> None:
    """Mean loops by layer over the steps."""
    axes = []
    for index, (title, most, lines) in enumerate(PANELS):
        present = [(name, label) for name, label in lines if name in runs]
        last = max((runs[name]["steps"][-1]["step"] for name, _ in present), default=1)
        last = -(-last // 100) * 100
        panel = Axes(index % 2 * WIDTH, index // 2 * HEIGHT, title, (0, last), (1, most))
        steps = [last * part / 4 for part in range(5)]
        loops = [1 + part * (most - 1) / 4 for part in range(5)] if most < 5 else range(1, most + 1)
        panel.frame("step", "mean loops a token", steps, loops)
        for row, (name, label) in enumerate(present):
            for layer in range(len(runs[name]["steps"][0]["loops_by_layer"])):
                panel.line(smooth(runs[name], layer), COLOURS[row], dashed=layer == 0)
            panel.key(row, COLOURS[row], label, LEFT + 12, TOP + (95 if most > 5 else 12))
        axes.append(panel)
    write_svg(path, axes, columns=2)


def draw_budgets(runs: dict, path: str) -> None:
    """Loss of the last validation where every layer has at most so many loops."""
    present = [(name, label) for name, label in BUDGETS if name in runs]
    if not present:
        return
    panel = Axes(0, 0, "Loop-3: loss with at most so many loops", (0.8, 3.2), (0.6, 1.1))
    panel.frame(
        "loops allowed", "validation loss, nats a token", [1, 2, 3], [0.6, 0.7, 0.8, 0.9, 1.0, 1.1]
    )
    for row, (name, label) in enumerate(present):
        losses = runs[name]["validations"][-1]["validation_loss_by_loops"]
        panel.line([(int(n), loss) for n, loss in losses.items()], COLOURS[row], dashed=False)
        panel.key(row, COLOURS[row], label, WIDTH - RIGHT - 140, TOP + 12)
    write_svg(path, [panel], columns=1)


def table(runs: dict) -> str:
    lines = [
        "| run | loops at 25 % | at the end | by layer | validation loss | facts BPB | reasoning BPB "
        "| expected MFLOP | alarm |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, run in runs.items():
        steps = run["steps"]
        end = run["validations"][-1]
        quarter = steps[len(steps) // 4]["mean_loops"]
        tasks = run["tasks"].values()
        flops = [task["expected_flops_per_token"] / 1e6 for task in tasks]
        bpb = {name: f"{task['bpb']:.3f}" for name, task in run["tasks"].items()}
        alarms = ", ".join(f"{a['alarm'].replace('loops_', '')} {a['step']}" for a in run["alarms"])
        by_layer = ", ".join(f"{n:.2f}" for n in end["loops_by_layer"])
        mean = f"{sum(flops) / len(flops):.2f}" if flops else "-"
        lines.append(
            f"| {name} | {quarter:.2f} | {end['mean_loops']:.2f} | {by_layer} "
            f"| {end['validation_loss']:.3f} | {bpb.get('facts', '-')} "
            f"| {bpb.get('reasoning', '-')} | {mean} | {alarms or '-'} |"
        )
    return "\n".join(lines)


def main() -> None:
    folder, out = sys.argv[1:3]
    runs = read_runs(folder)
    draw_loops(runs, os.path.join(out, "halting-loops.svg"))
    draw_budgets(runs, os.path.join(out, "halting-budgets.svg"))
    print(table(runs))


if __name__ == "__main__":
    main()
