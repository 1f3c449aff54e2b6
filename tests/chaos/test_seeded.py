"""Chaos must be able to fail: a mistake that is seeded into a cluster is found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from ..history.judge import judge
from ..history.lines import operation_of
from ..history.operations import Operation
from ..history.verdict import Rule, Verdict
from .run import Settings, run
from .schedule import Planned, wires_alone

pytestmark = pytest.mark.chaos

MISTAKE = "read of undecided without a quorum"
LONGEST_S = 270.0
"""How much trouble there is at most; on an idle machine the mistake shows within seconds."""


def so_far(folder: Path) -> Iterator[Operation]:
    """What the clients have written down; the last line may be on its way."""
    for part in folder.glob("history-*.jsonl"):
        with part.open(encoding="utf-8") as lines:
            yield from (operation_of(line) for line in lines if line.endswith("\n"))


def is_found(verdict: Verdict) -> bool:
    return Rule.NO_STALE_READ in {violation.rule for violation in verdict.violations}


def test_a_mistake_seeded_into_real_nodes_is_found(tmp_path: Path) -> None:
    def until_found(nodes: list[str], clocks: bool) -> Iterator[Planned]:
        for planned in wires_alone(1, nodes, clocks):
            yield planned
            if is_found(judge(so_far(tmp_path))):
                return

    report = trio.run(run, Settings(tmp_path, until_found, LONGEST_S, seeded=MISTAKE))
    assert not report.right and is_found(report.verdict)
