"""Contests when somebody has accepted the next term, but not enough of them."""

from decreed.registry.locks.terms import Ending, How, Previous, tenure
from decreed.registry.paxos.messages import Accept, Prepare
from decreed.registry.replica.events import FromPeer
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.peers import Renew
from decreed.registry.wire.requests import Granted, LockRequest

from ..support.proven import to_keep, wish
from ..support.world import World

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
TTL_MS = 1_000


def test_a_term_that_a_minority_accepted_in_vain_is_looked_at_in_measured_steps() -> None:
    """One node accepted it, another holds a lease on the term before, and the third wants the lock."""
    world = World()
    first = wish("a", b"a", TTL_MS)
    granted = world.ask("n1", LockRequest(world.new_id(), 5_000, "l", True, first))
    assert isinstance(granted, Granted)
    held = tenure(granted.decree)
    world.run(TTL_MS / 2)
    world.lose = lambda _, to, message: to == N3 and isinstance(message, Renew)
    world.ask("n2", to_keep(world.new_id(), 1_000, held))
    world.crash(N1)
    world.boot(N1)
    world.run(TTL_MS - 200)
    other = wish("b", b"b", TTL_MS)
    previous = Previous(held.claim_id, TTL_MS, Ending(How.RELEASED))
    ballot = Ballot(1, Process(N2, 1))
    decree = Decree.of(other.claim(held.next_key, previous), ballot, 0)
    world.post(N3, FromPeer(N2, Accept(held.next_key, ballot, decree)))
    world.run(1)
    world.sent.clear()
    mark = world.send("n1", LockRequest(world.new_id(), 20_000, "l", True, wish("c", b"c", TTL_MS)))
    world.run(100)
    assert sum(isinstance(message, Prepare) for _, _, message in world.sent) < 10
    world.run(5 * TTL_MS)
    assert isinstance(world.answers[mark][0], Granted)
