"""Timers whose reason is gone need not fire: the node says which those are."""

from decreed.registry.paxos.messages import Accept, AcceptedMany, AcceptMany, Nack
from decreed.registry.replica.consensus.batches import MAX_QUEUED_MS
from decreed.registry.replica.step.events import (
    Expire,
    Fired,
    FromPeer,
    Resend,
    ResendBatch,
    Retry,
    SendBatch,
)

from ..support.batches import N1, N2, asks, identity, keys_of, propose_batch, step, take, unheard
from ..support.world import World


def pending(world: World, kind: type) -> list[bool]:
    """Of the timers of one kind that the first node has set, in order, which still count."""
    events = [event for _, _, event in sorted(world.machines[N1].timers)]
    timers = [event.timer for event in events if isinstance(event, Fired)]
    return [world.replica(N1).counts(timer) for timer in timers if isinstance(timer, kind)]


def test_an_attempt_is_said_again_only_while_it_goes_on() -> None:
    world = World()
    (key,) = keys_of(world, 1)
    unheard(world, Accept)
    world.send(N1, asks(world, key))
    world.settle()
    assert pending(world, Resend) == [True]
    world.lose = lambda *_: False
    world.run(1_000)
    assert not any(pending(world, Resend))


def test_a_pause_counts_until_the_next_ballot() -> None:
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


def test_a_batch_is_said_again_only_while_votes_are_missing() -> None:
    world = World()
    unheard(world, AcceptMany)
    propose_batch(world, keys_of(world, 2))
    world.settle()
    assert pending(world, ResendBatch) == [True]
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    assert pending(world, ResendBatch) == [False]


def test_nobody_need_be_patient_for_those_who_have_left() -> None:
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


def test_a_deadline_always_counts_since_others_may_yet_share_it() -> None:
    world = World()
    mark = world.send(N1, asks(world, keys_of(world, 1)[0]))
    world.settle()
    assert world.answers[mark] and pending(world, Expire) == [True]
