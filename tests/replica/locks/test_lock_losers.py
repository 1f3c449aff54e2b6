"""Late messages of claims that lost a term must not end the holder's lease."""

import pytest

from decreed.registry.locks.holding import validity_ms
from decreed.registry.locks.terms import lease_id, lock_and_term
from decreed.registry.paxos.messages import Accept, Commit, Prepare
from decreed.registry.types import NodeId
from decreed.registry.wire.leases import AskLease, LeaseAnswer, Renew, Renewed
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import Granted, HeldBy, Kept, LockRequest

from ...support.lockers import Mark, told
from ...support.proven import to_keep, wish
from ...support.world import World

TTL_MS = 10_000
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def want(world: World, node: str, name: str, timeout_ms: int = 60_000) -> Mark:
    claim = wish(name, b"id of " + name.encode(), TTL_MS)
    return world.send(node, LockRequest(world.new_id(), timeout_ms, "l", True, claim))


def test_an_old_acceptance_of_a_loser_does_not_end_the_lease_of_the_holder() -> None:
    """n1 has accepted the loser, has a lease for the winner, and gets its own old proposal again."""
    world = World()
    world.lose = lambda sender, to, message: sender == N1 and isinstance(message, Accept)
    want(world, "n1", "loser")
    world.run(1)

    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        """n1 gets only the keep-alives of term 1, and n3 gets none of those."""
        if to == N3 and isinstance(message, Renew):
            return True
        second = isinstance(message, Prepare | Accept) and lock_and_term(message.key)[1] == 2
        if sender == N1:
            return isinstance(message, Accept | Prepare | Commit)
        told_n1 = second or isinstance(message, Renew | Renewed | AskLease | LeaseAnswer)
        return to == N1 and not told_n1

    world.lose = lose
    mark = want(world, "n2", "winner")
    world.run(1)
    first = told(world, mark)
    assert isinstance(first, Granted) and first.decree.claimant == "winner"
    waiting = want(world, "n3", "next")
    until_ms = world.now_ms
    for _ in range(12):
        keep = to_keep(world.new_id(), 1_000, lease_id(first.decree))
        sent_ms = world.now_ms
        if isinstance(world.ask("n2", keep), Kept):
            until_ms = sent_ms + validity_ms(TTL_MS)
        world.run(TTL_MS / 3)
        assert told(world, waiting) is None or world.now_ms >= until_ms, "two validities overlap"
    assert until_ms > 2 * TTL_MS, "it was kept for a while"


@pytest.mark.parametrize("at_ms", range(5_000, 9_000, 200))
def test_links_that_break_and_mend_never_let_the_next_holder_in_early(at_ms: int) -> None:
    world = World()
    cut: set[frozenset[str]] = set()

    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        if isinstance(message, Accept) and sender == N1 and not cut:
            cut.update({frozenset((N1, N2)), frozenset((N1, N3))})
        return frozenset((sender, to)) in cut

    world.lose = lose
    want(world, "n1", "loser")
    world.run(1)
    mark = want(world, "n2", "winner")
    world.run(1)
    first = told(world, mark)
    assert isinstance(first, Granted) and first.decree.claimant == "winner"
    cut.add(frozenset((N2, N3)))
    waiting = want(world, "n3", "next")
    world.run(at_ms)
    cut.discard(frozenset((N1, N2)))
    until_ms = world.now_ms + validity_ms(TTL_MS)
    keep = world.send("n2", to_keep(world.new_id(), 100, lease_id(first.decree)))
    world.run(60)
    cut.add(frozenset((N1, N2)))
    cut.discard(frozenset((N1, N3)))
    if isinstance(told(world, keep), Kept):
        world.run(until_ms - world.now_ms - 1)
        assert told(world, waiting) is None, "two validities overlap"


def test_the_second_in_the_queue_learns_the_holder_when_its_time_ends() -> None:
    world = World()
    want(world, "n1", "holder")
    world.run(50)
    want(world, "n1", "first in the queue")
    world.run(100)
    mark = want(world, "n1", "second", timeout_ms=1_000)
    world.run(1_200)
    assert isinstance(told(world, mark), HeldBy)
