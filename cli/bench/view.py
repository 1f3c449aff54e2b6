"""The output of a load test: a live table while it runs, a table at its end, or JSON."""

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..shell.shown import one_line
from .disk import MEANINGS, DiskReport, DiskVerdict
from .expectation import Expectation
from .figures import PERCENTILES, Figures

if TYPE_CHECKING:
    from rich.console import RenderableType

HEADINGS = ("work", "done", "per second", *(f"p{p} ms" for p in PERCENTILES), "max ms", "errors")
# above this share of one processor the client is probably the bottleneck
BUSY_CLIENT = 0.85


def table_lines(figures: Sequence[Figures]) -> list[str]:
    """The table as plain text."""
    rows = [HEADINGS, *map(_cells, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def remarks(figures: Sequence[Figures]) -> Iterator[str]:
    """Remarks on the figures: the errors, and whether the client was too slow."""
    for each in figures:
        for kind, error in each.examples.items():
            yield f"{each.name}: {each.failed[kind]} x {kind}, such as: {one_line(str(error), 200)}"
    if any(each.client_share > BUSY_CLIENT for each in figures):
        yield (
            "this client kept a whole processor busy, so the cluster may well do more: "
            "run 'decreed bench' several times at once, best from several machines"
        )


def disk_lines(report: DiskReport) -> list[str]:
    """The measurements of a disk, and their meaning."""
    median, slow = report.syncs.percentile(50), report.syncs.percentile(99)
    bounds = [] if report.verdict is DiskVerdict.DOUBTFUL else [*_bounds(median)]
    return [
        f"disk at {one_line(report.path, 200)}: {report.verdict.value}; a sync takes {_ms(median)} ms "
        f"(p50), {_ms(slow)} ms (p99), {_ms(report.syncs.longest)} ms at most",
        f"  {MEANINGS[report.verdict]}",
        *bounds,
    ]


def _bounds(median: float | None) -> Iterator[str]:
    if median:
        yield (
            f"  a claim waits for a quorum of disks; with all like this one it takes {_ms(median)} "
            f"ms or more, so one caller freezes at most {1 / median:,.0f} keys a second, one by one"
        )


def expectation_lines(found: Expectation) -> list[str]:
    """What the formula says beside what was seen."""
    at = found.at
    who = "share this machine's" if found.shared else "have, if they are like this machine,"
    cores = "1 core" if at.cores == 1 else f"{at.cores} cores"
    return [
        f"claims a second: {found.seen_per_s:,.0f} seen, {found.predicted_per_s:,.0f} by the formula: "
        f"{at.nodes} nodes {who} {cores}; a sync takes {at.sync_ms:.2f} ms; a claim takes "
        f"{at.cpu_us:,.0f} us of processor time there and {at.client_us:,.0f} us in this client; "
        f"{at.outstanding} in flight"
    ]


def document(
    prefix: str,
    figures: Sequence[Figures],
    frozen: int,
    disk: DiskReport | None,
    cut: bool,
    expectation: Expectation | None = None,
) -> dict[str, Any]:
    """All results as JSON."""
    return {
        "prefix": prefix,
        "frozen": frozen,
        "interrupted": cut,
        "work": [_work_document(each) for each in figures],
        "disk": None if disk is None else _disk_document(disk),
        "formula": None if expectation is None else _expectation_document(expectation),
    }


@contextmanager
def live_table(look: Callable[[], Sequence[Figures]]) -> Generator[Callable[[], None]]:
    """A live table on standard error if that is a terminal; yields a function that updates it."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        yield lambda: live.update(_rich_table(look()), refresh=True)


def _rich_table(figures: Sequence[Figures]) -> "RenderableType":
    from rich.table import Table

    table = Table(*HEADINGS, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for each in figures:
        table.add_row(*_cells(each))
    return table


def _cells(figures: Figures) -> tuple[str, ...]:
    latencies = figures.latencies
    shown = [_ms(latencies.percentile(percent)) for percent in PERCENTILES]
    longest = _ms(latencies.longest if latencies.count else None)
    errors = str(figures.failed.total())
    return (figures.name, str(latencies.count), f"{figures.rate:.0f}", *shown, longest, errors)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if place == 0 else cell.rjust(width)


def _work_document(figures: Figures) -> dict[str, Any]:
    return {
        "work": figures.name,
        "done": figures.latencies.count,
        "seconds": round(figures.seconds, 3),
        "per_second": round(figures.rate, 1),
        **_latency_fields(figures.latencies.percentile, figures.latencies.longest),
        "errors": dict(figures.failed),
        "client_share": round(figures.client_share, 3),
    }


def _disk_document(report: DiskReport) -> dict[str, Any]:
    return {
        "path": report.path,
        "verdict": report.verdict.value,
        "syncs": report.syncs.count,
        **_latency_fields(report.syncs.percentile, report.syncs.longest),
    }


def _expectation_document(found: Expectation) -> dict[str, Any]:
    at = found.at
    return {
        "claims_per_second": round(found.predicted_per_s, 1),
        "seen_per_second": round(found.seen_per_s, 1),
        "nodes": at.nodes,
        "cores": at.cores,
        "sync_ms": round(at.sync_ms, 3),
        "cpu_us": round(at.cpu_us, 1),
        "client_us": round(at.client_us, 1),
        "outstanding": at.outstanding,
    }


def _latency_fields(
    percentile: Callable[[float], float | None], longest: float
) -> dict[str, float | None]:
    found = {f"p{percent}_ms": percentile(percent) for percent in PERCENTILES}
    fields = {name: None if x is None else round(x * 1000, 3) for name, x in found.items()}
    return fields | {"max_ms": round(longest * 1000, 3)}


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.2f}"
