"""A minute of chaos on real processes: every kind of fault once, judged; `pytest -m chaos`.

``DECREED_CHAOS_SEED`` draws another schedule; ``DECREED_CHAOS_SECONDS`` makes it a long one.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from msgspec import structs

from ..history.judge import judge
from ..history.lines import load
from ..history.operations import Kind, Operation, Result
from .faults import Quorum
from .recovery import table
from .run import Report, Settings, run
from .schedule import deck_after_deck, one_of_each

pytestmark = pytest.mark.chaos

SEED = int(os.environ.get("DECREED_CHAOS_SEED", "1"))
SECONDS = float(os.environ.get("DECREED_CHAOS_SECONDS", "0"))
LONGEST_S = 300.0
GAP_S = 30.0
"""Generous, for a busy machine; the table shows what is usual."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the one run that all tests here inspect."""
    return tmp_path_factory.mktemp("chaos")


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    """The report of the run."""
    draw = deck_after_deck if SECONDS else one_of_each
    settings = Settings(folder, partial(draw, SEED), SECONDS or LONGEST_S, seed=SEED)
    if not SECONDS:  # every kind of fault once needs no more load than shows what it does
        settings = replace(settings, clients=24, rate=80.0)
    print(f"seed {SEED}")
    report = trio.run(run, settings)
    print(table(report.recoveries))
    return report


# a fifth of what two idle cores do: a busy machine makes fewer claims between the same faults
MOVED = 30


def history_in(folder: Path) -> list[Operation]:
    return list(load(folder / "history.jsonl"))


def test_no_client_gets_a_wrong_answer_under_any_fault(report: Report) -> None:
    assert report.verdict.right, str(report.verdict)[:10_000]


def test_every_node_by_itself_has_the_same_decrees_and_all_that_clients_saw(
    report: Report,
) -> None:
    assert report.complaint == ""
    assert report.decrees is not None and report.decrees >= report.won


def test_claims_go_on_while_a_quorum_is_up(report: Report) -> None:
    assert report.won > MOVED, "too few to say that anything went on"
    faults = [each for each in report.recoveries if each.outage.quorum is Quorum.UP]
    for recovery in faults:
        assert recovery.gap_s < GAP_S, recovery
    stood_still = [recovery for recovery in faults if recovery.flows_s is None]
    assert len(stood_still) <= 2, "more than a busy machine explains"


def test_no_claim_wins_while_there_is_no_quorum(report: Report) -> None:
    assert report.impossible == 0
    assert any(each.outage.quorum is Quorum.LOST for each in report.recoveries)


def test_every_kind_of_operation_ends_in_many_ways(report: Report, folder: Path) -> None:
    """A load of one kind of operation would prove little."""
    history = history_in(folder)
    assert {operation.kind for operation in history} == set(Kind)
    wanted = {Result.WON, Result.SAME, Result.LOST, Result.UNDECIDED, Result.LISTED}
    assert wanted <= {operation.result for operation in history}
    assert report.won > 0


def test_wall_clocks_did_jump(report: Report, folder: Path) -> None:
    if any("clocks" in word for word in report.left_out):
        pytest.skip(" ".join(report.left_out))
    times = [o.decree.time_ms for o in history_in(folder) if o.result is Result.WON]
    hours = (max(times) - min(times)) / 3_600_000
    assert hours > 1


def changed(history: Iterable[Operation]) -> list[Operation]:
    """The history with a change in the decree of the first losing claim's answer."""
    operations = list(history)
    place = next(n for n, each in enumerate(operations) if each.result is Result.LOST)
    other = structs.replace(operations[place].decree, value=b"something else")
    operations[place] = replace(operations[place], decrees=(other,))
    return operations


def test_one_answer_changed_in_the_real_history_is_found(report: Report, folder: Path) -> None:
    assert report.verdict.right
    assert not judge(changed(history_in(folder))).right
