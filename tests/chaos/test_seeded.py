"""Chaos that cannot fail proves nothing: a cluster with a mistake in it must be found out."""

from functools import partial
from pathlib import Path

import trio

from ..history.verdict import Rule
from .run import Settings, run
from .schedule import wires_alone

MISTAKE = "undecided is said without a quorum"
SECONDS = 6.0


def test_a_mistake_seeded_into_real_nodes_is_found(tmp_path: Path) -> None:
    settings = Settings(tmp_path, partial(wires_alone, 1), SECONDS, seeded=MISTAKE)
    report = trio.run(run, settings)
    assert not report.right
    assert Rule.NO_STALE_READ in {violation.rule for violation in report.verdict.violations}
