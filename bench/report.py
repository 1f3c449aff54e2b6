"""Tables on the terminal and as Markdown, and all runs as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .measure import Spread
from .results import Line, Run, lines, ratio


@dataclass(frozen=True)
class Column:
    """A column of a suite's table.

    Args:
        figure: its name in `Run.figures`.
        title: its heading, with the unit.
        scale: the divisor of its figures.
    """

    figure: str
    title: str
    scale: float = 1.0


PER_S = Column("per_s", "per s")
P50_MS = Column("latency.p50_us", "p50 ms", 1e3)
P99_MS = Column("latency.p99_us", "p99 ms", 1e3)
SERVER_CPU = Column("server_cpu_us", "server CPU us/op")
CLIENT_CPU = Column("client_cpu_us", "client CPU us/op")


def number(value: float) -> str:
    """Three significant digits, with separators of thousands."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(found: Spread | None, scale: float) -> str:
    """The median; after several runs also the least and the greatest."""
    if found is None:
        return ""
    text = number(found.median / scale)
    if found.runs == 1:
        return text
    return f"{text} ({number(found.least / scale)} to {number(found.greatest / scale)})"


def rows(runs: Sequence[Run], columns: Sequence[Column]) -> list[list[str]]:
    """The heading and the rows of a table; the last column compares the first of the figures."""
    found = lines(runs)
    head = ["work", "system", "by", *(column.title for column in columns)]
    body = [_row(line, found, columns) for line in found]
    return [[*head, "decreed ÷ it"], *body]


def _row(line: Line, among: Sequence[Line], columns: Sequence[Column]) -> list[str]:
    cells = [cell(line.figures.get(column.figure), column.scale) for column in columns]
    # compared by the first figure that was measured: a watch has no throughput
    measured = [column.figure for column in columns if column.figure in line.figures]
    compared = ratio(line, among, measured[0]) if measured else None
    return [line.work, line.system, line.way, *cells, "" if compared is None else f"{compared:.2f}"]


def markdown(table: Sequence[Sequence[str]]) -> str:
    """The table as Markdown."""
    written = ["| " + " | ".join(row) + " |" for row in table]
    written.insert(1, "|" + "---|" * len(table[0]))
    return "\n".join(written) + "\n"


def show(console: Console, title: str, table: Sequence[Sequence[str]]) -> None:
    """Print the table, with a line between works."""
    drawn = Table(title=title, title_justify="left")
    for place, name in enumerate(table[0]):
        drawn.add_column(name, justify="left" if place < 3 else "right")
    last = ""
    for row in table[1:]:
        if last and row[0] != last:
            drawn.add_section()
        drawn.add_row("" if row[0] == last else row[0], *row[1:])
        last = row[0]
    console.print(drawn)


def write_runs(path: Path, runs: Sequence[Run], about: dict[str, object]) -> None:
    """Write runs and their summary as JSON."""
    summary = [asdict(line) for line in lines(runs)]
    document = {"about": about, "summary": summary, "runs": [asdict(run) for run in runs]}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
