"""Negative controls: each mistake of the catalogue is caught, soon, and told in a short trace."""

import pytest

from .bugs import BUGS, Bug
from .checker import explore
from .hunt import hunt
from .paxos_model import PaxosModel
from .properties import AGREEMENT
from .scenarios import Scenario
from .traces import tell_report

WITHIN_STATES = 10_000
LONGEST_TRACE = 20

DIVERGING = frozenset(
    {
        "an acceptor accepts below its promise",
        "a promise does not tell what was accepted",
        "the own value in spite of a reported one",
        "a node's promise counts twice",
        "a node's vote counts twice",
        "half of the members are a quorum",
        "a promise is not stored",
        "an acceptance is not stored",
    }
)
"""Mistakes after which one ballot of each of two nodes is enough for two decrees."""


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_each_mistake_is_caught_soon_with_a_short_trace(bug: Bug) -> None:
    catch = hunt(bug)
    assert catch is not None, "nothing catches it: the checking is too weak"
    assert catch.states <= WITHIN_STATES
    assert len(catch.report.trace) <= LONGEST_TRACE
    print(tell_report(catch.report))


@pytest.mark.parametrize("bug", [b for b in BUGS if b.name in DIVERGING], ids=str)
def test_a_mistake_leads_to_two_decrees_in_the_end(bug: Bug) -> None:
    scenario = Scenario("two claims", 3, (1, 1))
    with bug.seeded():
        report = explore(PaxosModel(scenario, judged=(AGREEMENT,)))
    assert report.broken == [AGREEMENT]
    assert len(report.trace) <= LONGEST_TRACE
    print(tell_report(report))


def test_without_a_mistake_nothing_is_caught() -> None:
    assert hunt(Bug("none at all", ())) is None


def test_a_mistake_is_gone_afterwards() -> None:
    for bug in BUGS:
        before = [getattr(owner, name) for owner, name, _ in bug.patches]
        with bug.seeded():
            assert [getattr(owner, name) for owner, name, _ in bug.patches] != before
        assert [getattr(owner, name) for owner, name, _ in bug.patches] == before


def test_the_catalogue_names_each_mistake_once() -> None:
    names = [bug.name for bug in BUGS]
    assert len(set(names)) == len(names)
    assert set(names) >= DIVERGING
