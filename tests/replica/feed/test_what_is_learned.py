"""A decree is learned once: which parts are notified, in which order, and what is never reported."""

from decreed.registry.keys import homes
from decreed.registry.locks.terms import Previous, lease_id, term_key
from decreed.registry.paxos.messages import Accept, Commit, CommitMany
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, Process
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    Decreed,
    GetRequest,
    WatchPage,
    WatchRequest,
)

from ...support.batches import N1, N2, N3, take
from ...support.forgetful import forgetful, has_forgotten
from ...support.lockers import RELEASED, TTL_MS, lock, told, want, wanted
from ...support.world import World, claim, stored

BALLOT = Ballot(5, Process(N2, 1))


def everything(*_: object) -> bool:
    return True


def some_term(number: int) -> Decree:
    """One term of a long series."""
    previous = Previous(b"one before", TTL_MS, RELEASED) if number > 1 else None
    return Decree.of(wanted("somebody").claim(term_key("l", number), previous), BALLOT, 0)


# -- disputed keys


def test_a_disputed_decree_is_not_sent_to_watches() -> None:
    world = World()
    world.freeze(N1, "k", b"right")
    world.run(500)
    node = world.replica(N1).node
    here = world.at_entry(N1, node.feed_end)
    mark = world.send(N1, WatchRequest(world.new_id(), 1_000, "", here, 10))
    world.settle()
    wrong = Decree.of(claim("k", b"wrong", b"w"), BALLOT, 0)
    world.post(N1, FromPeer(N3, Commit(Key("k"), wrong)))
    world.run(1_200)
    assert stored(world, N1, "k").disputed is not None
    assert node.feed_end == 1
    (page,) = world.answers[mark]
    assert isinstance(page, WatchPage) and not page.decrees


def test_a_disputed_term_is_not_granted() -> None:
    world = World()
    held = lease_id(lock(world, N1, "a").decree)
    mark = want(world, N1, "b")
    world.run(10)
    wrong = Decree.of(wanted("b").claim(Key(held.key), None), BALLOT, 0)
    world.post(N1, FromPeer(N3, Commit(wrong.key, wrong)))
    world.settle()
    assert stored(world, N1, held.key).disputed is not None
    assert told(world, mark) is None


# -- notifications


def test_a_decree_that_was_known_already_answers_a_claim_that_still_waits() -> None:
    """A claim of the next slot is forwarded even if its first slot is learned here."""
    world = World()
    first = Key("s@1")
    node = homes(first, world.config.nodes)[2]
    decree = Decree.of(claim(first, b"v", b"mine"), BALLOT, 0)
    world.lose = everything
    take(world, node, (N2, Commit(first, decree)))
    request = ClaimNextRequest(world.new_id(), 5_000, False, claim(first, b"v", b"mine"))
    mark = world.send(node, request)
    world.settle()
    assert not world.answers[mark]
    take(world, node, (N2, Commit(first, decree)))
    assert world.answers[mark] == [Decreed(request.id, decree)]


def test_a_term_that_a_new_one_makes_forgotten_is_reported_first_if_both_are_learned_together() -> (
    None
):
    world = forgetful()
    world.lose = everything
    old, new = (some_term(number) for number in (9, 32))
    take(world, N3, *((N2, Accept(one.key, BALLOT, one)) for one in (old, new)))
    request = GetRequest(world.new_id(), 5_000, old.key)
    mark = world.send(N3, request)
    world.settle()
    assert not world.answers[mark]
    take(world, N3, (N2, CommitMany(BALLOT, (old.key, new.key))))
    assert has_forgotten(world, N3, 9) and not has_forgotten(world, N3, 32)
    assert world.answers[mark] == [Decreed(request.id, old)]
