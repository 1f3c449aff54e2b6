"""A batch's proposals for keys with empty instances are accepted as if each had come alone (R19)."""

from collections.abc import Mapping, Sequence

import pytest

from decreed.registry.disk import InstanceRecord
from decreed.registry.locks.leases import Leases
from decreed.registry.paxos import acceptor
from decreed.registry.paxos.decrees import Decrees
from decreed.registry.paxos.instance import EMPTY, Class, Instance
from decreed.registry.paxos.messages import Accept, Accepted, Nack
from decreed.registry.replica.consensus.acceptor import BYTES_PER_SECOND, Acceptors
from decreed.registry.replica.step.effects import Effects
from decreed.registry.replica.step.events import Moment
from decreed.registry.replica.step.step_builder import StepBuilder
from decreed.registry.types import Ballot, Key, Process, Proposal
from decreed.registry.unserved import DamagedInstance, ForgottenInstance, Unserved

from ...support.batches import N1, N2, N3, identity, keys_of, proposed
from ...support.seated import Seated
from ...support.unfolded import unfolded
from ...support.world import World

NODES = (N1, N2, N3)
FIRST, SECOND, THIRD = keys_of(World(), 3)
NOW_MS = 5_000.0
RIVAL = Ballot(1, Process(N3, 1))
OLDER = Ballot.of_home(Process(N1, 0))

STATES: Mapping[str, Instance | Unserved] = {
    "blank": EMPTY,
    "promised higher": Instance(promised=RIVAL),
    "promised lower": Instance(promised=OLDER),
    "accepted lower": Instance(OLDER, Proposal(OLDER, proposed(FIRST, OLDER, b"old"))),
    "accepted this": Instance(identity(), Proposal(identity(), proposed(FIRST, identity()))),
    "accepted other": Instance(
        identity(), Proposal(identity(), proposed(FIRST, identity(), b"other"))
    ),
    "learned": Instance(learned=proposed(FIRST, OLDER, b"old")),
    "disputed": Instance(
        learned=proposed(FIRST, OLDER, b"old"), disputed=proposed(FIRST, OLDER, b"b")
    ),
    "damaged": DamagedInstance("it is damaged"),
    "forgotten": ForgottenInstance.below("k", 7),
}


def acceptors_of(*promised: Ballot, unlearned: Sequence[Key] = ()) -> Acceptors:
    classes = [Class(ballot, bytes(16)) for ballot in promised]
    return Acceptors(Seated(NODES), classes, tuple(unlearned), Leases())


def step_of(instances: Mapping[Key, Instance | Unserved], now_ms: float = NOW_MS) -> StepBuilder:
    return StepBuilder(Moment(now_ms, 0), now_ms, dict(instances))


def written(effects: Effects) -> dict[Key, Instance]:
    each = unfolded(effects.records)
    return {r.key: r.instance for r in each if isinstance(r, InstanceRecord)}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_R19_each_key_of_a_batch_is_judged_as_if_it_had_come_alone(
    state: Instance | Unserved,
) -> None:
    decree = proposed(FIRST, identity())
    alone, together = acceptors_of(identity()), acceptors_of(identity())
    slow, fast = step_of({FIRST: state}), step_of({FIRST: state, SECOND: EMPTY})
    answer = alone.answer(slow, Accept(FIRST, identity(), decree))
    others = together.vote(fast, identity(), Decrees([decree, proposed(SECOND, identity())]))
    assert others == ({} if isinstance(answer, Accepted) else {FIRST: answer})
    assert fast.instances[FIRST] == slow.instances[FIRST]
    by_itself, in_flight = slow.finish(), fast.finish()
    stored = written(in_flight)
    assert stored.pop(SECOND).accepted is not None
    assert stored == written(by_itself)
    assert in_flight.alarms == by_itself.alarms


def test_keys_with_empty_instances_are_accepted_without_the_full_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(acceptor, "on_accept")
    step = step_of({FIRST: EMPTY, SECOND: EMPTY})
    batch = Decrees([proposed(key, identity()) for key in (FIRST, SECOND)])
    assert acceptors_of(identity()).vote(step, identity(), batch) == {}
    assert set(written(step.finish())) == {FIRST, SECOND}


def test_R05_the_second_of_two_values_for_a_key_in_a_batch_is_refused_with_an_alarm() -> None:
    step = step_of({FIRST: EMPTY})
    one, two = (proposed(FIRST, identity(), value) for value in (b"one", b"two"))
    assert acceptors_of(identity()).vote(step, identity(), Decrees([one, two])) == {FIRST: None}
    assert step.instances[FIRST] == Instance(identity(), Proposal(identity(), one))
    assert "two values" in step.finish().alarms[0]


@pytest.mark.parametrize(
    "promised", [(), (OLDER,), (identity(2),), (Ballot.of_home(Process(N2, 1)),)]
)
def test_R19_a_home_ballot_is_accepted_only_with_exactly_that_class_promise(
    promised: Sequence[Ballot],
) -> None:
    step = step_of({FIRST: EMPTY})
    others = acceptors_of(*promised).vote(step, identity(), Decrees([proposed(FIRST, identity())]))
    assert isinstance(others[FIRST], Nack)
    assert not written(step.finish())


def test_R14_an_acceptance_has_the_ballot_of_its_batch() -> None:
    """The decree may have been proposed by another node first: the accepted ballot counts."""
    step = step_of({FIRST: EMPTY})
    adopted = proposed(FIRST, OLDER)
    acceptors_of(identity()).vote(step, identity(), Decrees([adopted]))
    assert step.instances[FIRST] == Instance(identity(), Proposal(identity(), adopted))


def test_the_bytes_of_a_batch_count_as_backlog_until_the_outcome_is_known() -> None:
    acceptors = acceptors_of(identity())
    batch = Decrees([proposed(key, identity(), bytes(BYTES_PER_SECOND)) for key in (FIRST, SECOND)])
    acceptors.vote(step_of({FIRST: EMPTY, SECOND: EMPTY}), identity(), batch)
    assert acceptors.backlog_ms == 2_000
    again = step_of({d.key: Instance(identity(), Proposal(identity(), d)) for d in batch})
    acceptors.vote(again, identity(), batch)
    assert acceptors.backlog_ms == 2_000, "counted once"
    acceptors.on_learned(again, batch)
    assert (acceptors.backlog_ms, acceptors.unlearned) == (0, 0)


def test_R22_keys_of_a_batch_are_in_doubt_since_its_arrival_after_older_keys() -> None:
    acceptors = acceptors_of(identity(), unlearned=[THIRD])
    batch = Decrees([proposed(key, identity()) for key in (FIRST, SECOND)])
    acceptors.vote(step_of({FIRST: EMPTY, SECOND: EMPTY}), identity(), batch)
    assert acceptors.overdue(NOW_MS - 1, 9) == [THIRD]
    assert acceptors.overdue(NOW_MS, 9) == [THIRD, FIRST, SECOND]
