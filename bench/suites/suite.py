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
        name: its name on the command line.
        title: the title of its table.
        columns: of its table; systems are compared by the first.
        run: measures, and records the outcomes in the bench.
        plot: draws its runs into an SVG and a PNG file, named by a path without a suffix.
    """

    name: str
    title: str
    columns: Sequence[Column]
    run: Callable[[Bench], None]
    plot: Callable[[Sequence[Run], Path], None] = no_plot
