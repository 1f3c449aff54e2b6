"""What a suite is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bench import Bench
from ..report import Column
from ..results import Run


def no_plot(runs: Sequence[Run], path: Path) -> None:
    """Draw nothing."""


@dataclass(frozen=True)
class Suite:
    """A suite.

    Args:
        name: as the command line has it.
        title: above its table.
        columns: of its table; the first is the one that systems are compared by.
        run: measures, and records in the bench.
        plot: draws its runs into an SVG and a PNG file, named by a path without a suffix.
    """

    name: str
    title: str
    columns: Sequence[Column]
    run: Callable[[Bench], None]
    plot: Callable[[Sequence[Run], Path], None] = no_plot
