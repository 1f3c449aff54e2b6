"""Lock queues while the next term is accepted by too few nodes."""

import pytest

from decreed.registry.locks.terms import Ending, How, LeaseId, Previous, lease_id
from decreed.registry.paxos.messages import Accept, Prepare
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.leases import LeaseAnswer, Renew
from decreed.registry.wire.requests import Granted, HeldBy, HolderRequest, LockRequest

from ...support.lockers import RELEASED, told, want, wanted
from ...support.proven import to_end, to_keep, wish
from ...support.world import World

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
TTL_MS = 1_000


@pytest.mark.parametrize("node", ["n1", "n3"])
def test_a_waiter_in_a_queue_that_moves_faster_than_any_answer_learns_the_holder(
    node: str,
) -> None:
    """The next term overtakes each question, but its answers still prove that a quorum has answered."""
    world = World()
    world.delays = lambda sender, to, message: (30.0 if isinstance(message, LeaseAnswer) else 5.0,)
    queue = [(f"h{number}", want(world, "n1", f"h{number}")) for number in range(60)]
    world.run(100)
    late = [
        want(world, node, f"w{number}", timeout_ms=timeout_ms)
        for number, timeout_ms in enumerate((400, 700, 1_000))
    ]
    asks = world.send(node, HolderRequest(world.new_id(), 1_100, "l"))
    for number, (name, mark) in enumerate(queue, 1):
        while told(world, mark) is None:
            world.run(1)
        world.send(
            "n1",
            to_end(world.new_id(), 500, LeaseId("l", number, wanted(name).claim_id), RELEASED),
        )
    answers = [told(world, mark) for mark in (*late, asks)]
    assert all(isinstance(answer, HeldBy) for answer in answers), answers
    assert world.now_ms < 2_000, "the queue was to move quickly"


def test_a_term_that_only_a_minority_accepted_is_checked_at_intervals() -> None:
    """One node accepted it, another has a lease on the previous term, and the third has a waiter."""
    world = World()
    first = wish("a", b"a", TTL_MS)
    granted = world.ask("n1", LockRequest(world.new_id(), 5_000, "l", True, first))
    assert isinstance(granted, Granted)
    held = lease_id(granted.decree)
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
