"""M10: what was told in memory alone is told again to those who vote from now on."""

import pytest

from decreed.registry.locks.secret import hash_of
from decreed.registry.locks.terms import Ending, How, LeaseId, TermClaim, lease_id
from decreed.registry.members import MembersChange, claim_of
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.step.effects import Send
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Process
from decreed.registry.wire.leases import EndTerm
from decreed.registry.wire.peers import SeatTold
from decreed.registry.wire.requests import (
    Ended,
    EndRequest,
    Granted,
    KeepAliveRequest,
    Kept,
    LockRequest,
    Superseded,
)

from ...support.changed import N1, N2, N3, N4, step
from ...support.changing import ChangingWorld

SECRET = bytes(range(32))
TTL_MS = 60_000


def held(world: ChangingWorld) -> LeaseId:
    """Somebody holds a lock."""
    wanted = TermClaim("me", b"1", TTL_MS, hash_of(SECRET))
    granted = world.ask(N1, LockRequest(world.new_id(), 1_000, "jobs", False, wanted))
    assert isinstance(granted, Granted)
    return lease_id(granted.decree)


def end(world: ChangingWorld, over: LeaseId, how: How) -> None:
    secret = SECRET if how is How.RELEASED else None
    request = EndRequest(world.new_id(), 1_000, over, Ending(how), secret)
    assert isinstance(world.ask(N2, request), Ended)
    world.run(10)


def kept_alive(world: ChangingWorld, node: str, over: LeaseId) -> object:
    return world.ask(node, KeepAliveRequest(world.new_id(), 5_000, over, SECRET))


def ending_at(world: ChangingWorld, node: str, over: LeaseId) -> Ending | None:
    return world.replica(node).parts.leases.ending(over)


@pytest.mark.parametrize("how", [How.BROKEN, How.FORCED])
def test_M10_a_broken_term_is_not_live_for_those_who_did_not_vote_when_it_was_broken(
    how: How,
) -> None:
    """n4 and n5 are a quorum of the new epoch, and have not heard of the break."""
    world = ChangingWorld([N4, "n5"])
    over = held(world)
    end(world, over, how)
    world.change(N1, N1, N4, "n5")
    assert {node: ending_at(world, node, over) for node in (N4, "n5")} == {
        N4: Ending(how),
        "n5": Ending(how),
    }
    assert isinstance(kept_alive(world, N4, over), Superseded)


def test_M10_a_node_that_seals_tells_them_without_waiting_until_they_are_ready() -> None:
    world = ChangingWorld([N4])
    over = held(world)
    end(world, over, How.FORCED)
    change = MembersChange(world.epoch(1, N1, N2, N4), world.replica(N1).node.epoch, ("a:1",) * 3)
    decree = Decree.of(claim_of(change, "operator", b"id"), Ballot.first(Process(N2, 9)), 0)
    effects = step(world, N1, FromPeer(N3, Commit(decree.key, decree)))
    told = [i.to for i in effects.at_once if isinstance(i, Send) and isinstance(i.message, EndTerm)]
    assert told == [N2, N4]


def test_M10_a_term_that_nobody_broke_is_kept_alive_over_a_change() -> None:
    world = ChangingWorld([N4, "n5"])
    over = held(world)
    world.change(N1, N1, N4, "n5")
    assert isinstance(kept_alive(world, N4, over), Kept)


def test_M10_a_voter_that_has_restarted_is_told_again() -> None:
    world = ChangingWorld([N4])
    over = held(world)
    end(world, over, How.FORCED)
    world.change(N1, N1, N2, N4)
    world.crash(N4)
    world.boot(N4)
    world.run(1_000)
    assert ending_at(world, N4, over) == Ending(How.FORCED)


def test_M10_a_release_is_not_told_again() -> None:
    """It spares the next holder a wait, but it need not be known: there may be thousands of them."""
    world = ChangingWorld([N4])
    over = held(world)
    end(world, over, How.RELEASED)
    sent = len(world.sent)
    world.change(N1, N1, N2, N4)
    assert any(isinstance(message, SeatTold) for _, _, message in world.sent[sent:])
    assert not any(isinstance(message, EndTerm) for _, _, message in world.sent[sent:])
    assert ending_at(world, N4, over) is None
