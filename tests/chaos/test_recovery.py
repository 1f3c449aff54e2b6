"""Recovery is measured correctly, by examples with fixed times."""

from dataclasses import replace

import pytest

from ..history.operations import Operation, Result
from ..history.samples import claim, decree
from .faults import Quorum
from .recovery import Flow, Outage, table


def won(called: float, ended: float, id: str = "") -> Operation:
    key, id = f"k{called}", id or f"{called}"
    return claim((called, ended), key, id, decree(key, id), Result.WON)


def lost(called: float, ended: float) -> Operation:
    key = f"k{called}"
    return claim((called, ended), key, f"not {called}", decree(key, f"{called}"), Result.LOST)


OUTAGE = Outage("kill one", "n1", Quorum.UP, 10.0, 10.0, 14.0, 14.0, 15.0, 20.0)


def test_claims_flow_again_with_the_first_winner_that_was_called_after_the_begin() -> None:
    flow = Flow([won(9.0, 9.5), won(9.0, 10.5), lost(10.0, 10.1), won(10.5, 11.25), won(16, 17)])
    recovery = flow.recovery(OUTAGE)
    assert recovery.flows_s == pytest.approx(1.25)
    assert recovery.back_s == pytest.approx(3.0)
    assert recovery.gap_s == pytest.approx(5.75)
    assert recovery.whole_s == pytest.approx(1.0)
    assert recovery.slowest_s == pytest.approx(0.75)
    assert len(flow) == 4


def test_a_fault_after_which_no_claim_wins_is_reported() -> None:
    recovery = Flow([won(1, 2), won(30, 31)]).recovery(OUTAGE)
    assert (recovery.flows_s, recovery.back_s, recovery.gap_s) == (None, None, 10.0)
    assert "never" in table([recovery])


def test_the_table_has_a_line_a_kind_with_median_and_worst() -> None:
    flow = Flow([won(10, 11), won(14, 14.5), won(30, 33), won(34, 34.5)])
    later = Outage("kill one", "n2", Quorum.UP, 30.0, 30.0, 34.0, 34.0, 34.0, 40.0)
    lines = table([flow.recovery(OUTAGE), flow.recovery(later)]).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("kill one                   2      up")
    assert "2.00 / 3.00" in lines[1]


def test_a_claim_that_wins_while_there_is_no_quorum_is_counted() -> None:
    gone = replace(OUTAGE, quorum=Quorum.LOST)
    flow = Flow([won(9.9, 10.1), won(10.1, 11), won(11, 12), won(12, 14.5), lost(11, 11.5)])
    assert flow.won_without_a_quorum(gone) == 1
    assert flow.won_without_a_quorum(OUTAGE) == 0


def test_a_claim_repeated_while_there_is_no_quorum_may_have_won_before() -> None:
    gone = replace(OUTAGE, quorum=Quorum.LOST)
    before = claim((9, 10), "k11", "again", Result.UNKNOWN)
    assert Flow([before, won(11, 12, "again")]).won_without_a_quorum(gone) == 0
