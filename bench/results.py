"""The results: runs, and the spread of repeated runs of the same work."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .measure import Spread, spread

OURS = "decreed"


@dataclass(frozen=True)
class Run:
    """One run of one work on one system.

    Args:
        suite: the suite's name.
        work: what was done, as shown in tables.
        system: the system that did it.
        way: "protocol" if our load generator drove it, "library" for the usual Python client.
        repeat: the number of the run.
        figures: what was measured, flat.
        detail: series over time and other data for plots.
    """

    suite: str
    work: str
    system: str
    way: str
    repeat: int
    figures: Mapping[str, float]
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Line:
    """All runs of one work on one system, as one line of a table."""

    work: str
    system: str
    way: str
    figures: Mapping[str, Spread]

    def median(self, figure: str) -> float | None:
        """The median of a figure; None if it was not measured."""
        found = self.figures.get(figure)
        return None if found is None else found.median


def flat(outcome: Mapping[str, Any], before: str = "") -> dict[str, float]:
    """The numbers of an outcome, under names like ``latency.p50_us``."""
    figures: dict[str, float] = {}
    for name, value in outcome.items():
        if isinstance(value, Mapping):
            figures |= flat(value, f"{before}{name}.")  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            figures[before + name] = float(value)
    return figures


def lines(runs: Iterable[Run]) -> list[Line]:
    """One line for each work and system, in the order in which they were first run."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    order: dict[str, None] = {}
    for run in runs:
        order.setdefault(run.work)
        groups.setdefault((run.work, run.system, run.way), []).append(run)
    works = list(order)
    sorted_groups = sorted(groups.items(), key=lambda item: works.index(item[0][0]))
    return [Line(*place, _spreads(group)) for place, group in sorted_groups]


def _spreads(group: list[Run]) -> dict[str, Spread]:
    names = dict.fromkeys(name for run in group for name in run.figures)
    return {
        name: spread([run.figures[name] for run in group if name in run.figures]) for name in names
    }


def ratio(of: Line, among: Iterable[Line], figure: str) -> float | None:
    """Our figure divided by that of the peer's line `of`, for the same work driven the same way."""
    theirs = of.median(figure)
    for line in among:
        if (line.work, line.way, line.system) == (of.work, of.way, OURS) and of.system != OURS:
            ours = line.median(figure)
            return ours / theirs if ours is not None and theirs else None
    return None
