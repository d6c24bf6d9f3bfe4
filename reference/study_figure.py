"""Draws docs/figures/study-intervals.svg from the table of paired differences in docs/study.md.

    python3 reference/study_figure.py docs/study.md docs/figures/study-intervals.svg

One row a system, one panel a score: the difference from IsoPar over the seeds with its 95 % interval, filled
where the interval leaves out 0. Standard library alone.
"""

import re
import sys

HEAD = "| against IsoPar | facts BPB | reasoning BPB |"
VALUE = re.compile(r"([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]")
# Title and ticks; the panel reaches from the first tick to the last.
PANELS = [
    ("Facts: BPB against IsoPar", [-0.6, -0.4, -0.2, 0, 0.2]),
    ("Reasoning: BPB against IsoPar", [-1.5, -1.0, -0.5, 0, 0.5]),
]
WIDTH, LEFT, PANEL, GAP, TOP, ROW = 860, 120, 340, 40, 62, 22
BETTER, OPEN, INK = "#1b6ca8", "#8a8f98", "#222"


def read_rows(path: str) -> list:
    """(system, [(difference, low, high) of each panel]) as the table lists them."""
    with open(path) as file:
        lines = file.read().splitlines()
    rows = []
    for line in lines[lines.index(HEAD) + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        rows.append((name, [tuple(float(x) for x in VALUE.fullmatch(cell).groups()) for cell in cells]))
    return rows


def place(panel: int, value: float) -> float:
    low, high = PANELS[panel][1][0], PANELS[panel][1][-1]
    return LEFT + panel * (PANEL + GAP) + PANEL * (value - low) / (high - low)


def draw(rows: list) -> str:
    height = TOP + ROW * len(rows) + 46
    bottom = TOP + ROW * len(rows)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="{INK}">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for panel, (title, ticks) in enumerate(PANELS):
        middle = (place(panel, ticks[0]) + place(panel, ticks[-1])) / 2
        out.append(f'<text x="{middle:.1f}" y="20" font-size="14" font-weight="bold" text-anchor="middle">{title}</text>')
        zero = place(panel, 0)
        out.append(f'<text x="{zero - 8:.1f}" y="44" text-anchor="end">better</text>')
        out.append(f'<text x="{zero + 8:.1f}" y="44">worse</text>')
        for tick in ticks:
            x = place(panel, tick)
            colour = INK if tick == 0 else "#ddd"
            out.append(f'<path d="M{x:.1f} {TOP - 10}V{bottom}" stroke="{colour}"/>')
            label = "0" if tick == 0 else f"{tick:+.1f}"
            out.append(f'<text x="{x:.1f}" y="{bottom + 16}" font-size="11" text-anchor="middle">{label}</text>')
    for index, (name, values) in enumerate(rows):
        y = TOP + ROW * (index + 0.5)
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{name}</text>')
        for panel, (mean, low, high) in enumerate(values):
            known = low > 0 or high < 0
            colour = BETTER if known else OPEN
            fill = BETTER if known else "#fff"
            out.append(f'<path d="M{place(panel, low):.1f} {y:.1f}H{place(panel, high):.1f}" stroke="{colour}" stroke-width="2"/>')
            out.append(
                f'<circle cx="{place(panel, mean):.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}" stroke-width="2"/>'
            )
    out.append(
        f'<text x="{WIDTH / 2:.1f}" y="{height - 8}" font-size="11" text-anchor="middle">'
        "Three seeds, loopbank study --scale small; 95 % intervals of the paired difference, filled where they leave out 0.</text>"
    )
    return "\n".join(out + ["</svg>", ""])


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[2], "w") as file:
        file.write(draw(read_rows(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
