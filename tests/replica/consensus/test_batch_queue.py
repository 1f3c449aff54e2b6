"""The batch queue: which attempts wait in it, and when they leave."""

from collections.abc import Iterator

import pytest

from decreed.registry.paxos.instance import EMPTY
from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    Commit,
    Prepare,
)
from decreed.registry.replica.consensus.attempt import Attempt
from decreed.registry.replica.consensus.batches import JOINING_MS, MAX_QUEUED_MS
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.types import Decree, Key
from decreed.registry.wire.requests import Cancel, Failed, GetRequest

from ...support.batches import (
    N1,
    N2,
    N3,
    asks,
    decrees,
    identity,
    keys_of,
    propose_batch,
    proposed,
    said,
    settled,
    take,
    under_way,
    unheard,
)
from ...support.world import World, claim, stored


def batches(world: World) -> list[tuple[int, int]]:
    """The number and the size of each batch that was sent to the second node."""
    sent = [m for m in said(world, AcceptMany, N1, N2) if isinstance(m, AcceptMany)]
    return [(message.number, len(message.decrees)) for message in sent]


def test_claims_that_arrive_while_a_batch_is_in_flight_leave_with_the_next_one() -> None:
    world = World()
    keys = keys_of(world, 7)
    unheard(world, AcceptMany)
    first = propose_batch(world, keys[:2])
    world.settle()
    second = propose_batch(world, keys[2:4])
    world.settle()
    third = propose_batch(world, keys[4:])
    world.settle()
    assert batches(world) == [(1, 2)]
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    assert len(decrees(world, first)) == 2
    assert batches(world) == [(1, 2), (2, 5)]
    take(world, N1, (N2, AcceptedMany(identity(), 2, ())))
    assert len(decrees(world, [*second, *third])) == 5


def test_a_key_that_travels_alone_also_delays_the_next_batch() -> None:
    world = World()
    keys = keys_of(world, 3)
    unheard(world, Accept, AcceptMany)
    world.send(N1, asks(world, keys[0]))
    world.settle()
    propose_batch(world, keys[1:])
    world.settle()
    assert batches(world) == []
    take(world, N1, (N2, Accepted(keys[0], identity())))
    assert [size for _, size in batches(world)] == [2]


def test_no_claim_waits_longer_than_the_limit_for_the_votes_on_another_batch() -> None:
    world = World()
    keys = keys_of(world, 4)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:2])
    world.settle()
    propose_batch(world, keys[2:])
    world.run(MAX_QUEUED_MS / 2)
    assert len(batches(world)) == 1
    world.run(MAX_QUEUED_MS)
    assert batches(world) == [(1, 2), (2, 2)]
    assert under_way(world) == 2


def test_waiting_claims_leave_once_as_many_wait_as_were_just_answered() -> None:
    world = World()
    keys = keys_of(world, 7)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:3])
    world.settle()
    propose_batch(world, keys[3:4])
    world.settle()
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    assert batches(world) == [(1, 3)]
    propose_batch(world, keys[4:])
    world.settle()
    assert batches(world) == [(1, 3), (2, 4)]


def test_a_waiting_claim_that_no_other_joins_leaves_after_the_joining_time() -> None:
    world = World()
    keys = keys_of(world, 5)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:3])
    world.settle()
    propose_batch(world, keys[3:])
    world.settle()
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    assert batches(world) == [(1, 3)]
    world.run(JOINING_MS)
    assert batches(world) == [(1, 3), (2, 2)]


def test_the_timer_of_an_earlier_batch_does_not_let_the_next_one_leave_early() -> None:
    world = World()
    keys = keys_of(world, 6)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:2])
    world.settle()
    propose_batch(world, keys[2:4])
    world.run(MAX_QUEUED_MS / 2)
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    propose_batch(world, keys[4:])
    world.run(MAX_QUEUED_MS * 3 / 4)
    assert batches(world) == [(1, 2), (2, 2)], "the first timer has fired by now"
    world.run(MAX_QUEUED_MS / 2)
    assert batches(world) == [(1, 2), (2, 2), (3, 2)]


def test_a_claim_that_waited_to_the_limit_can_still_be_joined_and_leaves_in_time() -> None:
    """The time limit ends in the same moment in which the previous batch completes."""
    world = World()
    keys = keys_of(world, 7)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:3])
    world.settle()
    propose_batch(world, keys[3:5])
    world.run(MAX_QUEUED_MS - 0.1)
    assert len(batches(world)) == 1
    world.post(N1, FromPeer(N2, AcceptedMany(identity(), 1, ())))
    world.run(JOINING_MS + 0.2)
    assert batches(world) == [(1, 3), (2, 2)]
    propose_batch(world, keys[5:])
    world.settle()
    assert len(batches(world)) == 2, "one departure at a time, as before"


def test_a_queued_claim_is_answered_when_its_key_is_decided_elsewhere_and_is_not_proposed() -> None:
    world = World()
    keys = keys_of(world, 4)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:2])
    world.settle()
    marks = propose_batch(world, keys[2:])
    world.settle()
    elsewhere = proposed(keys[2], identity(9, N3), b"other")
    world.post(N1, FromPeer(N3, Commit(keys[2], elsewhere)))
    world.settle()
    (answer,) = decrees(world, marks[:1])
    assert answer == elsewhere
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    world.run(JOINING_MS)
    proposals = said(world, Accept, N1, N2)
    assert [m.key for m in proposals if isinstance(m, Accept)] == [keys[3]]


def test_a_queued_key_that_was_promised_to_a_rival_is_not_sent_and_continues_alone() -> None:
    """The instance was empty when the claim came, and is not empty when the queue leaves."""
    world = World()
    keys = keys_of(world, 5)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:2])
    world.settle()
    propose_batch(world, keys[2:])
    world.settle()
    rival = identity(1, N3).above(identity(1, N3).process)
    world.post(N1, FromPeer(N3, Prepare(keys[2], rival)))
    world.settle()
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    assert batches(world)[-1] == (2, 2)
    prepares = said(world, Prepare, N1, N2)
    assert [(m.key, m.ballot > rival) for m in prepares if isinstance(m, Prepare)] == [
        (keys[2], True)
    ]


def test_a_read_that_joined_a_claim_which_was_cancelled_while_it_waited_asks_a_quorum() -> None:
    world = World()
    keys = keys_of(world, 3)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:2])
    world.settle()
    node, number = world.send(N1, asks(world, keys[2]))
    world.settle()
    # another node gets it chosen, which the class promise of the home does not show
    chosen = Decree.of(claim(keys[2], b"chosen"), identity(1, N3).above(identity(1, N3).process), 0)
    for voter in (N2, N3):
        world.post(voter, FromPeer(N3, Accept(keys[2], chosen.ballot, chosen)))
    world.settle()
    read = world.send(N1, GetRequest(world.new_id(), 5_000, keys[2]))
    world.post(N1, FromClient(1, (Cancel(number),)))
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    world.run(1_000)
    assert isinstance(world.answers[node, number][0], Failed)
    (found,) = decrees(world, [read])
    assert found.value == b"chosen"


class Counted(dict[Key, Attempt]):
    """Counts how often it is iterated over."""

    times = 0

    def __iter__(self) -> Iterator[Key]:
        self.times += 1
        return super().__iter__()


def test_many_votes_in_one_step_ask_once_for_the_queued_keys() -> None:
    world = World()
    keys = keys_of(world, 100)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:50])
    world.settle()
    propose_batch(world, keys[50:])
    world.settle()
    batch_queue = world.replica(N1).parts.coordinator.batch_queue
    batch_queue.waiting = counted = Counted(batch_queue.waiting)
    votes = [FromPeer(N2, Accepted(key, identity())) for key in keys[:50]]
    assert world.replica(N1).needs(votes) == {*keys}
    assert counted.times == 1


@pytest.mark.parametrize("kind", ["a batch", "a single key"])
def test_queued_keys_are_loaded_for_any_vote_that_may_let_them_leave(kind: str) -> None:
    world = World()
    keys = keys_of(world, 4)
    unheard(world, Accept, AcceptMany)
    first = keys[:2] if kind == "a batch" else keys[:1]
    propose_batch(world, first)
    world.settle()
    propose_batch(world, keys[2:])
    world.settle()
    single = Accepted(keys[0], identity())
    vote = AcceptedMany(identity(), 1, ()) if kind == "a batch" else single
    assert world.replica(N1).needs([FromPeer(N2, vote)]) == {*first, *keys[2:]}


def test_a_queued_key_whose_claim_is_cancelled_is_sent_to_no_node() -> None:
    world = World()
    *proposing, given_up = keys_of(world, 3)
    unheard(world, AcceptMany)
    propose_batch(world, proposing)
    world.settle()
    wanted = asks(world, given_up)
    world.send(N1, wanted)
    world.settle()
    world.post(N1, FromClient(1, (Cancel(wanted.id),)))
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    world.run(1_000)
    assert not said(world, Prepare, N1, N2)
    assert stored(world, N1, given_up) == stored(world, N2, given_up) == EMPTY
    assert "attempts" not in world.replica(N1).pending_work()
    (decree,) = settled(world, propose_batch(world, [given_up]))
    assert decree.ballot == identity(), "the fast path is still open to it"
