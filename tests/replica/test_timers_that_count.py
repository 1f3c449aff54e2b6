"""Timers without a reason need not fire; the node says which they are."""

from decreed.registry.paxos.messages import Accept, AcceptedMany, AcceptMany, Nack
from decreed.registry.replica.consensus.batches import MAX_QUEUED_MS
from decreed.registry.replica.step.events import (
    Expire,
    Fired,
    FromPeer,
    Resend,
    ResendBatch,
    ResendRead,
    Retry,
    SendBatch,
)
from decreed.registry.types import Key
from decreed.registry.wire.peers import Query
from decreed.registry.wire.requests import GetRequest

from ..support.batches import N1, N2, asks, identity, keys_of, propose_batch, step, take, unheard
from ..support.world import World


def pending(world: World, kind: type) -> list[bool]:
    """Which of the first node's timers of one kind still count, in the order in which it set them."""
    events = [event for _, _, event in sorted(world.machines[N1].timers)]
    timers = [event.timer for event in events if isinstance(event, Fired)]
    return [world.replica(N1).counts(timer) for timer in timers if isinstance(timer, kind)]


def test_the_resend_timer_of_an_attempt_counts_only_while_the_attempt_is_open() -> None:
    world = World()
    (key,) = keys_of(world, 1)
    unheard(world, Accept)
    world.send(N1, asks(world, key))
    world.settle()
    assert pending(world, Resend) == [True]
    world.lose = lambda *_: False
    world.run(1_000)
    assert not any(pending(world, Resend))


def test_the_timer_of_a_pause_counts_until_the_next_ballot() -> None:
    world = World()
    (key,) = keys_of(world, 1)
    unheard(world, Accept)
    world.send(N1, asks(world, key))
    world.settle()
    higher = identity().above(identity().process)
    effects = step(world, N1, FromPeer(N2, Nack(key, identity(), higher)))
    (retry,) = [wanted.timer for wanted in effects.timers if isinstance(wanted.timer, Retry)]
    assert world.replica(N1).counts(retry)
    assert not world.replica(N1).counts(Retry(key, retry.serial - 1))


def test_the_resend_timer_of_a_batch_counts_only_while_votes_are_missing() -> None:
    world = World()
    unheard(world, AcceptMany)
    propose_batch(world, keys_of(world, 2))
    world.settle()
    assert pending(world, ResendBatch) == [True]
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    assert pending(world, ResendBatch) == [False]


def test_the_timer_of_the_batch_queue_counts_only_until_the_queue_has_left() -> None:
    world = World()
    keys = keys_of(world, 4)
    unheard(world, AcceptMany)
    propose_batch(world, keys[:2])
    world.settle()
    propose_batch(world, keys[2:])
    world.settle()
    assert pending(world, SendBatch) == [True]
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    assert pending(world, SendBatch) == [False]
    world.run(MAX_QUEUED_MS)


def test_a_deadline_always_counts_since_later_requests_may_share_it() -> None:
    world = World()
    mark = world.send(N1, asks(world, keys_of(world, 1)[0]))
    world.settle()
    assert world.answers[mark] and pending(world, Expire) == [True]


def test_the_timer_of_a_question_counts_only_while_that_is_open() -> None:
    world = World()
    unheard(world, Query)
    mark = world.send(N1, GetRequest(world.new_id(), 5_000, Key("k")))
    world.settle()
    assert pending(world, ResendRead) == [True]
    world.lose = lambda *_: False
    world.run(1_000)
    assert world.answers[mark]
    assert not any(pending(world, ResendRead))
