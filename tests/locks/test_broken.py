"""A term that was ended stays ended, even if messages are repeated or reordered."""

from itertools import permutations

import pytest

from decreed.registry.locks.leases import Leases
from decreed.registry.locks.terms import Ending, How, LeaseId, lease_id
from decreed.registry.paxos.messages import Accept
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import NodeId
from decreed.registry.wire.leases import EndTerm, Renew
from decreed.registry.wire.requests import HeldBy, HolderRequest, Superseded

from ..support.lockers import TTL_MS, keep, lock, release
from ..support.world import World

HELD = LeaseId("l", 1, b"a")
BROKEN = Ending(How.BROKEN, "op", "why")
FORCED = Ending(How.FORCED, "op", "now")
RELEASED = Ending(How.RELEASED)
LONG_AGO_MS = -1e9
N2 = NodeId("n2")


def leases() -> Leases:
    return Leases(LONG_AGO_MS)


@pytest.mark.parametrize("ending", [BROKEN, FORCED, RELEASED])
def test_an_ended_term_stays_ended_when_its_accept_comes_again(ending: Ending) -> None:
    held = leases()
    held.start(0, HELD, TTL_MS, None)
    held.end(10, HELD, TTL_MS, ending)
    held.start(20, HELD, TTL_MS, None)
    assert held.ending(HELD) == ending
    assert held.running == 0
    assert not held.renew(30, HELD, TTL_MS, None)


@pytest.mark.parametrize("ending", [BROKEN, FORCED, RELEASED])
def test_a_term_that_was_ended_before_it_was_accepted_here_stays_ended(ending: Ending) -> None:
    held = leases()
    held.end(0, HELD, TTL_MS, ending)
    held.start(10, HELD, TTL_MS, None)
    assert held.ending(HELD) == ending
    assert not held.renew(20, HELD, TTL_MS, None)


def test_a_broken_term_that_expired_is_not_renewed_after_a_prune() -> None:
    held = leases()
    held.start(0, HELD, TTL_MS, None)
    held.end(10, HELD, TTL_MS, BROKEN)
    held.prune(2 * TTL_MS)
    held.start(2 * TTL_MS, HELD, TTL_MS, None)
    assert held.ending(HELD) == BROKEN
    assert not held.renew(2 * TTL_MS + 10, HELD, TTL_MS, None)


@pytest.mark.parametrize("order", list(permutations([BROKEN, FORCED, RELEASED], 2)))
def test_of_two_endings_the_first_that_needs_no_wait_counts(order: tuple[Ending, ...]) -> None:
    held = leases()
    held.start(0, HELD, TTL_MS, None)
    for ending in order:
        held.end(10, HELD, TTL_MS, ending)
    assert held.ending(HELD) == next(one for one in order if one != BROKEN)
    assert held.remaining_ms(20, HELD, TTL_MS) == 0


def test_a_second_break_replaces_the_first_and_extends_no_lease() -> None:
    held = leases()
    held.start(0, HELD, TTL_MS, None)
    held.end(10, HELD, TTL_MS, BROKEN)
    held.end(500, HELD, TTL_MS, Ending(How.BROKEN, "other", "again"))
    assert held.remaining_ms(600, HELD, TTL_MS) == TTL_MS - 600


def test_a_broken_term_is_not_renewed_when_its_accept_and_keep_alive_come_again() -> None:
    """After bad links each node gets the accept and a keep-alive again, after the break."""
    world = World()
    granted = lock(world, "n1", "a")
    held = lease_id(granted.decree)
    accepts = [(to, m) for _, to, m in world.sent if isinstance(m, Accept)]
    assert accepts
    release(world, "n2", held, BROKEN)
    world.run(10)
    for node in world.config.nodes:
        world.post(node, FromPeer(NodeId("n1"), accepts[0][1]))
        world.post(node, FromPeer(NodeId("n1"), Renew(1, held, TTL_MS, None)))
    world.settle()
    assert isinstance(keep(world, "n1", held), Superseded)
    asked = world.ask("n3", HolderRequest(world.new_id(), 1_000, "l"))
    assert isinstance(asked, HeldBy) and asked.ending == BROKEN


def test_a_break_that_overtakes_the_accept_holds() -> None:
    """n2 gets the break first, and the accept of the broken term afterwards."""
    world = World()
    world.delays = lambda sender, to, message: (
        50.0 if isinstance(message, Accept) and to == N2 else 0.0,
    )
    held = lease_id(lock(world, "n1", "a").decree)
    world.post(N2, FromPeer(NodeId("n1"), EndTerm(held, TTL_MS, BROKEN)))
    world.run(100)
    assert world.replica("n2").parts.leases.ending(held) == BROKEN
    assert not world.replica("n2").parts.leases.renew(world.now_ms, held, TTL_MS, None)
