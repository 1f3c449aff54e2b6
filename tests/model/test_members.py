"""Every interleaving of small changes of members, on the pure rules that ship.

The number of states is asserted, so that a change to the rules or to the model cannot make the search
smaller unnoticed. The bounds are those of `members_scenarios`.
"""

from collections.abc import Callable

import pytest

from decreed.registry.paxos import epochs
from decreed.registry.paxos.epochs import Epoch, Gathering, Seat
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Proposal

from .checker import explore
from .members_model import UNDECIDED, MembersModel
from .members_scenarios import DEFAULT, SOMETIMES, Change, Voters

ONE_REPLACED, THREE_TO_ONE, _, READS, WRITES = DEFAULT[:5]
Seeded = Callable[[pytest.MonkeyPatch], None]


@pytest.mark.parametrize("change", DEFAULT, ids=lambda change: change.name)
def test_nothing_is_broken_by_a_change_and_every_possible_property_occurs(change: Change) -> None:
    report = explore(MembersModel(change))
    assert not report.broken, "\n".join(report.trace)
    assert report.complete and set(report.missing) == change.out_of_reach
    assert (report.states, report.depth) == (change.states, change.depth)


def test_every_sometimes_property_is_within_reach_of_some_change() -> None:
    reached = [set(SOMETIMES) - change.out_of_reach for change in DEFAULT]
    assert set[str]().union(*reached) == set(SOMETIMES)


def test_quorums_that_need_not_meet_are_noticed() -> None:
    split = Change("no common voter", (Voters("abc", 1, 2), Voters("abd", 1, 2)), (1, 1))
    assert explore(MembersModel(split), limit=20_000).broken == [UNDECIDED]


def _seals_of(size: Callable[[Epoch], int]) -> Seeded:
    return lambda patch: patch.setattr(Epoch, "seal", property(size))


def _votes(may: Callable[[Seat, int], bool]) -> Seeded:
    return lambda patch: patch.setattr(Seat, "votes_in", may)


def _adopts(held: Callable[[Instance, Proposal], Instance]) -> Seeded:
    return lambda patch: patch.setattr(epochs, "adopt", held)


def _enough_is(any_source: Callable[[Gathering, object], bool]) -> Seeded:
    return lambda patch: patch.setattr(Gathering, "is_ready", any_source)


@pytest.mark.parametrize(
    ("change", "seed"),
    [
        (ONE_REPLACED, _votes(lambda seat, epoch: seat.ready == epoch)),
        (ONE_REPLACED, _votes(lambda seat, epoch: seat.known == epoch)),
        (ONE_REPLACED, _seals_of(lambda epoch: len(epoch.nodes) - epoch.quorums.accept)),
        (READS, _seals_of(lambda epoch: len(epoch.nodes) - epoch.quorums.accept + 1)),
        (WRITES, _seals_of(lambda epoch: len(epoch.nodes) - epoch.quorums.prepare + 1)),
        (ONE_REPLACED, _adopts(lambda held, shown: held)),
        (THREE_TO_ONE, _enough_is(lambda gathering, cursors: bool(gathering.sources))),
    ],
    ids=[
        *("votes on after its seal", "votes before it has taken over"),
        *("a seal quorum one too small", "a seal that meets accept quorums alone"),
        *("a seal that meets prepare quorums alone", "what is shown is not adopted"),
        "any one source is enough",
    ],
)
def test_a_mistake_in_the_rules_is_found(
    change: Change, seed: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(monkeypatch)
    report = explore(MembersModel(change), limit=20_000)
    assert report.broken and report.trace
