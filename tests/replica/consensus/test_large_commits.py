"""The commit of a large value names it: who has accepted it in that ballot has its bytes (R20)."""

from decreed.registry.paxos.messages import Accept, Commit, CommitMany
from decreed.registry.replica.consensus.acceptor import LIGHT_BYTES
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Process
from decreed.registry.wire.requests import Decreed

from ...support.batches import N1, N2, N3, keys_of, proposed, said
from ...support.world import World, claim, stored

LARGE = b"x" * (LIGHT_BYTES + 1)
BALLOT = Ballot(7, Process(N2, 1))


def test_a_large_value_leaves_its_home_once_for_each_peer() -> None:
    world = World()
    (key,) = keys_of(world, 1)
    answer = world.claim(N1, claim(key, LARGE))
    world.run(1_000)
    assert isinstance(answer, Decreed)
    for peer in (N2, N3):
        assert len(said(world, Accept, N1, peer)) == 1
        assert not said(world, Commit, N1, peer)
        commits = said(world, CommitMany, N1, peer)
        assert [each.keys for each in commits if isinstance(each, CommitMany)] == [(key,)]
        assert stored(world, peer, key).learned == answer.decree


def test_a_node_that_has_not_accepted_it_learns_it_from_a_feed() -> None:
    world = World()
    (key,) = keys_of(world, 1)
    world.lose = lambda _, to, message: to == N3 and isinstance(message, Accept | CommitMany)
    answer = world.claim(N1, claim(key, LARGE))
    assert isinstance(answer, Decreed)
    world.run(5_000)
    assert stored(world, N3, key).learned == answer.decree


def test_the_commit_names_the_ballot_that_was_counted_not_that_of_the_decree() -> None:
    """What another had proposed before is adopted, and accepted in the ballot of who finishes it."""
    world = World()
    (key,) = keys_of(world, 1)
    world.post(N1, FromPeer(N2, Accept(key, BALLOT, proposed(key, BALLOT, LARGE))))
    world.settle()
    answer = world.claim(N1, claim(key, b"mine"))
    assert isinstance(answer, Decreed) and answer.decree.value == LARGE
    (accept,) = {m.ballot for m in said(world, Accept, N1, N2) if isinstance(m, Accept)}
    (commit,) = (m for m in said(world, CommitMany, N1, N2) if isinstance(m, CommitMany))
    assert commit.ballot == accept
    assert stored(world, N2, key).learned == answer.decree
