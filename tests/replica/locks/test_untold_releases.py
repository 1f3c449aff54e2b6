"""How the other nodes hear of a release: by the accept of the next term, or soon by itself."""

import pytest

from decreed.registry.keys import homes
from decreed.registry.locks.terms import (
    Ending,
    How,
    LeaseId,
    Previous,
    lease_id,
    lock_path,
    term_key,
)
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Nack, Prepare
from decreed.registry.replica.locks.untold import TELL_MS
from decreed.registry.replica.step.effects import Send
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.leases import EndTerm
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import Superseded

from ...support.batches import step, take, unheard
from ...support.lockers import RELEASED, TTL_MS, keep, lock, release, term, told, want, wanted
from ...support.proven import to_end
from ...support.world import World, config, stored

HOME, PEER, OTHER = (NodeId(node) for node in homes(Key(lock_path("l")), config().nodes))
EXPIRED, FORCED = Ending(How.EXPIRED), Ending(How.FORCED, "operator", "now")
BROKEN = Ending(How.BROKEN, "operator", "why")
HIGH = Ballot(9, Process(OTHER, 1))


def held_at_home(world: World) -> LeaseId:
    """The second term, which the home promise covers."""
    world.run(2_000)
    release(world, HOME, lease_id(lock(world, HOME, "z").decree))
    world.run(100)
    return lease_id(lock(world, HOME, "a").decree)


def granted_to(world: World, held: LeaseId) -> Decree:
    learned = stored(world, HOME, held.key).learned
    assert learned is not None
    return learned


def endings(world: World) -> list[tuple[NodeId, EndTerm]]:
    """To whom the ends of terms were told."""
    return [(to, each) for by, to, each in world.sent if by != to and isinstance(each, EndTerm)]


def ending_at(world: World, node: str, held: LeaseId) -> Ending | None:
    return world.replica(node).parts.leases.ending(held)


def proposal(held: LeaseId, ending: Ending, ballot: Ballot) -> Accept:
    """The accept of the term after `held`, which says how that ended."""
    claim = wanted("b").claim(held.next_key, Previous(held.claim_id, TTL_MS, ending))
    return Accept(claim.key, ballot, Decree.of(claim, ballot, 0))


def answered(world: World, message: PeerMessage) -> list[PeerMessage]:
    """What the peer answers to a message of another node."""
    sent = len(world.sent)
    take(world, PEER, (OTHER, message))
    return [each for by, to, each in world.sent[sent:] if (by, to) == (PEER, OTHER)]


# -- when it is told


def test_a_release_for_which_nobody_waits_is_told_at_once() -> None:
    """Any node that is asked for the holder is to know."""
    world = World()
    held = held_at_home(world)
    world.run(100)
    world.sent.clear()
    world.send(HOME, to_end(world.new_id(), 1_000, held, RELEASED))
    world.settle()
    assert {to for to, _ in endings(world)} == {PEER, OTHER}
    assert ending_at(world, PEER, held) == RELEASED
    world.run(100)
    assert len(endings(world)) == 2, "it is told once"


def test_a_release_that_the_next_accept_tells_is_told_by_nothing_else() -> None:
    """Somebody waits for the lock."""
    world = World()
    held = held_at_home(world)
    mark = want(world, HOME, "b")
    world.run(100)
    world.sent.clear()
    world.send(HOME, to_end(world.new_id(), 1_000, held, RELEASED))
    world.run(100)
    assert term(told(world, mark)) == 3
    assert not endings(world)


@pytest.mark.parametrize("ending", [BROKEN, FORCED])
def test_a_break_is_told_immediately(ending: Ending) -> None:
    """The holder may send its keep-alives to any node."""
    world = World()
    held = held_at_home(world)
    world.sent.clear()
    world.send(HOME, to_end(world.new_id(), 1_000, held, ending))
    world.settle()
    assert {to for to, _ in endings(world)} == {PEER, OTHER}
    assert isinstance(keep(world, PEER, held), Superseded)


def test_a_release_is_told_by_itself_if_the_next_term_is_proposed_and_not_decided() -> None:
    """The proposal may be lost, or may have been made before the release came."""
    world = World()
    held = held_at_home(world)
    want(world, HOME, "b")
    world.run(100)
    world.sent.clear()
    unheard(world, Accept)
    world.send(HOME, to_end(world.new_id(), 1_000, held, RELEASED))
    world.run(2 * TELL_MS)
    assert not endings(world), "its accept may be under way"
    world.run(2 * world.config.timing.resend_ms)
    assert {to for to, _ in endings(world)} == {PEER, OTHER}
    assert ending_at(world, PEER, held) == RELEASED


def released_unheard(world: World) -> LeaseId:
    """A release that its home keeps, since the accept that tells it is not heard."""
    held = held_at_home(world)
    want(world, HOME, "b")
    world.run(100)
    world.sent.clear()
    unheard(world, Accept)
    world.send(HOME, to_end(world.new_id(), 1_000, held, RELEASED))
    world.settle()
    return held


def test_only_a_later_term_of_the_same_lock_makes_a_release_old() -> None:
    world = World()
    held = released_unheard(world)
    decree = granted_to(world, held)
    take(world, HOME, (PEER, Commit(decree.key, decree)))
    other = wanted("c").claim(term_key("m", 9), Previous(b"id", TTL_MS, EXPIRED))
    take(world, HOME, (PEER, Commit(other.key, Decree.of(other, HIGH, 0))))
    world.run(2 * world.config.timing.resend_ms)
    assert {to for to, _ in endings(world)} == {PEER, OTHER}


def test_a_node_that_stops_waits_until_its_releases_are_told() -> None:
    world = World()
    released_unheard(world)
    replica = world.replica(HOME)
    assert replica.in_flight == 1
    assert replica.pending_work()["untold releases"]
    world.run(2 * world.config.timing.resend_ms)
    assert replica.in_flight == 0
    assert "untold releases" not in replica.pending_work()


# -- what an accept tells


def test_a_node_that_accepts_a_term_hears_that_the_one_before_was_released() -> None:
    world = World()
    held = held_at_home(world)
    take(world, PEER, (OTHER, Prepare(held.next_key, HIGH)))
    assert any(isinstance(m, Accepted) for m in answered(world, proposal(held, RELEASED, HIGH)))
    assert ending_at(world, PEER, held) == RELEASED


def test_a_node_that_refuses_the_accept_hears_of_the_release_all_the_same() -> None:
    """Nothing else tells it, and it answers questions about the lease from what it knows."""
    world = World()
    held = held_at_home(world)
    take(world, PEER, (OTHER, Prepare(held.next_key, HIGH)))
    low = proposal(held, RELEASED, Ballot(8, Process(OTHER, 1)))
    assert any(isinstance(message, Nack) for message in answered(world, low))
    assert ending_at(world, PEER, held) == RELEASED


@pytest.mark.parametrize("ending", [EXPIRED, BROKEN, FORCED])
def test_only_a_release_is_heard_of_in_an_accept(ending: Ending) -> None:
    world = World()
    held = held_at_home(world)
    take(world, PEER, (OTHER, Prepare(held.next_key, HIGH)))
    answered(world, proposal(held, ending, HIGH))
    assert ending_at(world, PEER, held) is None


def test_a_release_by_a_claim_that_lost_does_not_end_the_lease_of_the_holder() -> None:
    world = World()
    held = held_at_home(world)
    loser = LeaseId(held.lock, held.term, b"id of another one")
    answered(world, proposal(loser, RELEASED, HIGH))
    assert ending_at(world, PEER, held) is None
    assert world.replica(PEER).parts.leases.remaining_ms(world.now_ms, held, TTL_MS) > 0


def test_a_late_accept_of_a_learned_term_leaves_nothing_behind() -> None:
    world = World()
    held = held_at_home(world)
    world.run(100)
    late = proposal(held, RELEASED, HIGH)
    release(world, HOME, held)
    lock(world, HOME, "b")
    world.run(100)
    assert any(isinstance(message, Commit) for message in answered(world, late))
    assert ending_at(world, PEER, held) is None


def test_a_release_in_an_accept_is_of_the_term_before() -> None:
    world = World()
    held = held_at_home(world)
    answered(world, proposal(held, RELEASED, HIGH))
    following = LeaseId(held.lock, held.term + 1, held.claim_id)
    assert ending_at(world, PEER, following) is None
    assert following.key == term_key("l", 3)


def test_a_release_and_the_next_request_in_one_step_are_one_accept() -> None:
    world = World()
    held = held_at_home(world)
    want(world, HOME, "b")
    world.run(100)
    request = to_end(world.new_id(), 1_000, held, RELEASED)
    effects = step(world, HOME, FromClient(1, (request,)), FromPeer(PEER, Accepted(held.key, HIGH)))
    leaves = [item.message for item in effects.at_once if isinstance(item, Send)]
    assert [type(message) for message in leaves] == [Accept, Accept]
