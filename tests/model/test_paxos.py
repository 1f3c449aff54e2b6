"""Every interleaving of small clusters, on the shipped code: safety holds in all of them.

The number of states is asserted, so that a change to the core or to the model cannot make the
search smaller unnoticed. The bounds are those of `scenarios`.
"""

import pytest

from .checker import Report, explore
from .paxos_model import PaxosModel, State
from .properties import AGREEMENT, SOMETIMES
from .scenarios import DEFAULT, Scenario
from .traces import tell_report


def checked(scenario: Scenario) -> Report[tuple[int, ...]]:
    """Explore a scenario, and assert that nothing is broken and every possible property occurs."""
    report = explore(PaxosModel(scenario))
    assert not report.broken, tell_report(report)
    assert report.complete
    assert set(report.missing) == scenario.out_of_reach
    return report


@pytest.mark.parametrize("scenario", DEFAULT, ids=lambda scenario: scenario.name)
def test_nothing_is_ever_broken_and_every_possible_property_occurs(scenario: Scenario) -> None:
    report = checked(scenario)
    print(f"{report.states} states, depth {report.depth}, {report.states_per_second} a second")
    assert (report.states, report.depth) == (scenario.states, scenario.depth)


def test_every_sometimes_property_is_within_reach_of_some_scenario() -> None:
    reached = [set(SOMETIMES) - scenario.out_of_reach for scenario in DEFAULT]
    assert set[str]().union(*reached) == set(SOMETIMES)


@pytest.mark.parametrize(("prepare", "accept"), [(1, 2), (2, 1)])
def test_quorums_that_need_not_meet_break_agreement(prepare: int, accept: int) -> None:
    scenario = Scenario("no common node", 3, (1, 1), prepare=prepare, accept=accept)
    report = explore(PaxosModel(scenario, judged=(AGREEMENT,)))
    assert report.broken == [AGREEMENT]
    assert report.states < 5_000
    assert len(report.trace) < 20
    print(tell_report(report))


def test_a_cluster_without_proposers_fails() -> None:
    report = explore(PaxosModel(Scenario("idle", 3, (0, 0))))
    assert report.states == 1
    assert not report.holds
    assert set(report.missing) == set(SOMETIMES)


class Recording(PaxosModel):
    """Remembers the disks of all nodes in each state, and the properties that occurred."""

    def __init__(self, scenario: Scenario, reduced: bool) -> None:
        super().__init__(scenario, reduced)
        self.disks: set[tuple[object, ...]] = set()
        self.seen = 0

    def judge(self, state: State) -> int:
        self.disks.add(self.on_disk(state))
        mark = super().judge(state)
        self.seen |= mark
        return mark


def recorded(scenario: Scenario, reduced: bool) -> tuple[set[tuple[object, ...]], int, int]:
    model = Recording(scenario, reduced)
    report = explore(model)
    assert report.complete
    return model.disks, model.seen, report.states


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("duel", 3, (1, 1)),
        Scenario("crash", 3, (2,), crashes=1),
        Scenario("five", 5, (1,)),
    ],
    ids=lambda scenario: scenario.name,
)
def test_the_reductions_lose_no_state_of_the_disks(scenario: Scenario) -> None:
    disks, seen, states = recorded(scenario, reduced=True)
    all_disks, all_seen, all_states = recorded(scenario, reduced=False)
    assert disks == all_disks
    assert seen == all_seen
    assert states < all_states / 2
