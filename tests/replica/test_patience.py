"""Votes behind a quorum, and commits that nobody waits for, need no turn of their own."""

from decreed.registry.keys import homes
from decreed.registry.locks.terms import term_key
from decreed.registry.paxos.messages import Accepted, AcceptedMany, Commit, CommitMany, Nack
from decreed.registry.replica.patience import PATIENCE_MS, patience_ms
from decreed.registry.replica.step.events import FromClient
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import ClaimRequest, WatchRequest

from ..support.world import World, claim

N1 = NodeId("n1")
BALLOT = Ballot.of_home(Process(N1, 1), 0)
NODES = [NodeId(f"n{number}") for number in (1, 2, 3)]
K, L = [key for key in map(Key, "abcdefghijklmn") if homes(key, NODES)[0] == N1][:2]


def commit(key: Key) -> Commit:
    return Commit(key, Decree.of(claim(key), BALLOT, 0))


def waits(world: World, message: PeerMessage) -> bool:
    wait_ms = patience_ms(world.replica(N1).parts, message)
    assert wait_ms in (0.0, PATIENCE_MS)
    return bool(wait_ms)


def claiming(world: World, key: Key) -> None:
    """A claim at n1 that no peer answers."""
    world.lose = lambda *_: True
    world.send(N1, ClaimRequest(world.new_id(), 9_000, True, claim(key)))
    world.settle()


def test_a_vote_waits_if_no_attempt_counts_it() -> None:
    world = World()
    assert waits(world, Accepted(K, BALLOT))
    claiming(world, K)
    assert not waits(world, Accepted(K, BALLOT))
    assert waits(world, Accepted(L, BALLOT))


def test_a_vote_on_a_batch_waits_if_the_batch_is_over() -> None:
    world = World()
    world.lose = lambda *_: True
    frame = [ClaimRequest(world.new_id(), 9_000, True, claim(key)) for key in (K, L)]
    world.post(N1, FromClient(1, tuple(frame)))
    world.settle()
    (number,) = world.replica(N1).parts.coordinator.batches.numbers
    assert not waits(world, AcceptedMany(BALLOT, number, ()))
    assert not waits(world, AcceptedMany(BALLOT, number, (K,)))
    assert waits(world, AcceptedMany(BALLOT, number + 1, ()))


def test_a_commit_waits_if_nobody_claims_the_key_here_and_nobody_watches() -> None:
    world = World()
    assert waits(world, commit(K)) and waits(world, CommitMany(BALLOT, (K, L)))
    claiming(world, K)
    assert not waits(world, commit(K)) and not waits(world, CommitMany(BALLOT, (L, K)))
    assert waits(world, commit(L))
    world.send(N1, WatchRequest(world.new_id(), 9_000, "", world.at_entry(N1, 0), 9))
    world.run(100)
    assert not waits(world, commit(L)) and not waits(world, CommitMany(BALLOT, (L,)))


def test_a_term_of_a_lock_never_waits() -> None:
    assert not waits(World(), commit(term_key("l", 1)))


def test_all_else_is_awaited() -> None:
    assert not waits(World(), Nack(K, BALLOT, None))
