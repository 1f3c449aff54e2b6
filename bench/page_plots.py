"""The plots of docs/performance.md, drawn from the tables of that page: ``python -m bench.page_plots``.

They are SVG as text, in which each bar has its figure, so that a plot can be compared with its table
and changes only when the table does. Colours follow the reader's choice of a light or dark screen.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "docs" / "plots"
SYSTEMS: Mapping[str, str] = {"decreed": "decreed", "ZooKeeper": "zookeeper", "etcd": "etcd"}
"""The columns of most tables, and the style of their bars."""
FORMULA: Mapping[str, str] = {"seen": "decreed", "predicted": "etcd"}
"""Those of the table of the formula."""

WIDTH = 640
BAR, GAP, GROUP_GAP = 20, 4, 16
LEFT, RIGHT, TOP, BOTTOM = 178, 84, 44, 48
LEGEND = 104

STYLE = """\
    text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
    text { fill: #1f2328; }
    .title { font-weight: 600; }
    .paper { fill: #ffffff; stroke: #d1d9e0; }
    .decreed { fill: #c1272d; }
    .zookeeper { fill: #59636e; }
    .etcd { fill: #afb8c1; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .paper { fill: #0d1117; stroke: #3d444d; }
      .decreed { fill: #ff6b6b; }
      .zookeeper { fill: #9198a1; }
      .etcd { fill: #59636e; }
    }"""


class Plot(NamedTuple):
    """One picture.

    Args:
        name: of its file, without a suffix.
        title: above it, with the unit.
        unit: what follows each figure.
        rows: rows of the table, each with the label of its bars.
        columns: of the table, with the style of their bars.
    """

    name: str
    title: str
    unit: str
    rows: Sequence[tuple[str, str]]
    columns: Mapping[str, str] = SYSTEMS


PLOTS = (
    Plot(
        "claims",
        "Claims a second, three nodes, more is better",
        "/s",
        [(f"claim, {count} in flight", f"{count} in flight") for count in (64, 256, 512)],
    ),
    Plot(
        "failover",
        "Longest gap without a claim after a node stops, less is better",
        " ms",
        [
            ("home or leader killed: longest gap", "home or leader killed"),
            ("any other node killed: longest gap", "any other node killed"),
            ("home or leader paused: longest gap", "home or leader paused"),
        ],
    ),
    Plot(
        "reads",
        "Linearizable reads a second of a decided key, more is better",
        "/s",
        [
            ("read of a decided key, 64 in flight", "64 in flight"),
            ("read of a decided key, 64 in flight, Python clients", "Python clients"),
        ],
    ),
    Plot(
        "formula",
        "Claims a second, 64 in flight, seen and predicted",
        "/s",
        [
            ("2 cores, 64 in flight", "2 cores"),
            ("1 core, 64 in flight", "1 core"),
            ("2 cores, syncs 2 ms longer, 64 in flight", "2 cores, slow disk"),
            ("1 core, syncs 2 ms longer, 64 in flight", "1 core, slow disk"),
            ("2 cores, syncs 8 ms longer, 64 in flight", "2 cores, slower disk"),
        ],
        FORMULA,
    ),
)


def figures(row: str) -> list[str]:
    """The figures of a row of the page's table, in their order; empty where it has none."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if name == row:
            return [re.split(r"[/ ]", cell.strip(" |"))[0] for cell in cells]
    raise ValueError(f"{PAGE.name} has no row {row!r}")


def number(figure: str) -> float:
    """A figure of the page, such as ``1,749``."""
    return float(figure.replace(",", ""))


def drawn(plot: Plot) -> str:
    """The picture as SVG."""
    groups = [(label, figures(row)) for row, label in plot.rows]
    shown = [figure for _, found in groups for figure in found[: len(plot.columns)] if figure]
    largest = max(map(number, shown))
    body: list[str] = []
    y = TOP
    for label, found in groups:
        cells = zip(plot.columns.values(), found[: len(plot.columns)], strict=True)
        bars = [(kind, figure) for kind, figure in cells if figure]
        middle = y + len(bars) * (BAR + GAP) // 2 + 2
        body.append(
            f'  <text x="{LEFT - 12}" y="{middle}" text-anchor="end">{escape(label)}</text>'
        )
        for kind, figure in bars:
            width = max(2, round((WIDTH - LEFT - RIGHT) * number(figure) / largest))
            body += _bar(kind, figure + plot.unit, y, width)
            y += BAR + GAP
        y += GROUP_GAP
    return "\n".join([*_head(plot, y - GROUP_GAP + BOTTOM), *body, "</svg>", ""])


def _bar(kind: str, figure: str, y: int, width: int) -> list[str]:
    return [
        f'  <rect class="{kind}" x="{LEFT}" y="{y}" width="{width}" height="{BAR}" rx="2"/>',
        f'  <text x="{LEFT + width + 6}" y="{y + 15}">{figure}</text>',
    ]


def _head(plot: Plot, height: int) -> list[str]:
    title = plot.title
    size = f'viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
        f'  <title id="title">{escape(title)}</title>',
        f"  <style>\n{STYLE}\n  </style>",
        f'  <rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'  <text class="title" x="16" y="26">{escape(title)}</text>',
    ]
    for place, (column, kind) in enumerate(plot.columns.items()):
        lines += _legend(column, kind, LEFT + LEGEND * place, height)
    return lines


def _legend(column: str, kind: str, x: int, height: int) -> list[str]:
    return [
        f'  <rect class="{kind}" x="{x}" y="{height - 24}" width="10" height="10"/>',
        f'  <text x="{x + 14}" y="{height - 15}">{column}</text>',
    ]


def main() -> None:
    """Draw all plots from the page as it is now."""
    FOLDER.mkdir(exist_ok=True)
    for plot in PLOTS:
        (FOLDER / f"{plot.name}.svg").write_text(drawn(plot), encoding="utf-8")


if __name__ == "__main__":
    main()
