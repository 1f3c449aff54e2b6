"""Chaos must be able to fail: a mistake that is seeded into a cluster is found."""

from functools import partial
from pathlib import Path

import trio

from ..history.verdict import Rule
from .run import Settings, run
from .schedule import wires_alone

MISTAKE = "read of undecided without a quorum"
SECONDS = (6.0, 20.0, 60.0, 180.0)
"""Repeated with longer times, in case the machine was too busy for the mistake to show."""


def is_found(folder: Path, seconds: float) -> bool:
    settings = Settings(folder, partial(wires_alone, 1), seconds, seeded=MISTAKE)
    report = trio.run(run, settings)
    rules = {violation.rule for violation in report.verdict.violations}
    return not report.right and Rule.NO_STALE_READ in rules


def test_a_mistake_seeded_into_real_nodes_is_found(tmp_path: Path) -> None:
    assert any(is_found(tmp_path / f"{seconds:.0f}", seconds) for seconds in SECONDS)
