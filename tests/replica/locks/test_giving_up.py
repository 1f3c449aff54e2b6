"""Given-up claims hold no term from then on, at whatever point they were given up (design 11)."""

import pytest

from decreed.registry.errors import BadRequest, Unreachable
from decreed.registry.locks.leases import Leases
from decreed.registry.locks.terms import Ending, How, TermClaim, lease_id, term_of
from decreed.registry.replica.step.events import ClientGone
from decreed.registry.types import NodeId
from decreed.registry.wire.leases import GiveUp, GiveUpTaken
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import (
    Failed,
    GivenUp,
    GiveUpRequest,
    Granted,
    HeldBy,
    HolderRequest,
    Kept,
    LockRequest,
    Superseded,
)

from ...support.batches import heard
from ...support.lockers import RELEASED, Mark, keep, lock, release, term, told, want, wanted
from ...support.proven import to_give_up, wish
from ...support.world import World, config

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
TTL_MS = 30_000
BOUND_MS = 250
THIEF = bytes(32)


def asks(world: World, node: str, name: str, timeout_ms: int = 20_000) -> Mark:
    """Ask for the lock with a long ttl."""
    return world.send(node, LockRequest(world.new_id(), timeout_ms, "l", True, of(name)))


def of(name: str) -> TermClaim:
    return wish(name, b"id of " + name.encode(), TTL_MS)


def gives_up(world: World, node: str, name: str) -> Mark:
    return world.send(node, to_give_up(world.new_id(), 2_000, "l", of(name)))


def granted_within(world: World, mark: Mark, ms: float) -> Granted:
    """The grant, which must come within `ms` of the world's time."""
    until_ms = world.now_ms + ms
    while told(world, mark) is None and world.now_ms < until_ms:
        world.run(1)
    answer = told(world, mark)
    assert isinstance(answer, Granted), f"after {ms} ms it is told {answer}"
    return answer


def slowly(world: World) -> None:
    """Let every message take a millisecond, so that there is a moment between any two of them."""
    world.delays = lambda *_: (1.0,)


# -- at every point


@pytest.mark.parametrize("node", ["n1", "n2"])
@pytest.mark.parametrize("at_ms", range(12))
def test_a_claim_given_up_at_any_point_of_an_acquire_leaves_the_lock_free(
    at_ms: int, node: str
) -> None:
    world = World()
    slowly(world)
    asks(world, "n1", "a")
    world.run(at_ms)
    gives_up(world, node, "a")
    granted_within(world, asks(world, "n3", "b"), BOUND_MS)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("at_ms", range(-4, 12, 2))
def test_a_claim_given_up_at_any_point_of_a_hand_over_leaves_the_lock_to_the_next_waiter(
    at_ms: int, size: int
) -> None:
    world = World(config(size))
    slowly(world)
    held = lock(world, "n1", "first")
    asks(world, "n1", "a")
    mark = asks(world, "n1", "b")
    world.run(20)
    if at_ms < 0:
        gives_up(world, "n1", "a")
        world.run(-at_ms)
    release(world, "n1", lease_id(held.decree))
    if at_ms >= 0:
        world.run(at_ms)
        gives_up(world, "n1", "a")
    granted_within(world, mark, BOUND_MS)


@pytest.mark.parametrize("at_ms", range(0, 12, 2))
def test_a_connection_that_breaks_with_the_give_up_changes_nothing_about_it(at_ms: int) -> None:
    world = World()
    slowly(world)
    asks(world, "n1", "a")
    world.run(at_ms)
    world.post(N1, ClientGone(1))
    gives_up(world, "n2", "a")
    granted_within(world, asks(world, "n3", "b"), BOUND_MS)


def test_a_broken_connection_is_no_give_up() -> None:
    world = World()
    held = lock(world, "n1", "a")
    for node in world.config.nodes:
        world.post(node, ClientGone(1))
    mark = want(world, "n1", "b")
    world.run(BOUND_MS)
    assert told(world, mark) is None
    assert isinstance(keep(world, "n2", lease_id(held.decree)), Kept), "it goes on by another node"


def test_the_waiters_of_a_given_up_claim_leave_the_queues_of_all_nodes() -> None:
    world = World()
    lock(world, "n1", "first")
    for node in world.config.nodes:
        asks(world, node, "a")
    world.run(20)
    given_up(world, "a")
    for node in world.config.nodes:
        held = world.ask(node, HolderRequest(world.new_id(), 500, "l"))
        assert isinstance(held, HeldBy) and held.waiters == 0


# -- what a node remembers


def test_a_give_up_that_arrives_before_its_acquire_still_counts() -> None:
    world = World()
    assert isinstance(world.answers[given_up(world, "a")][0], GivenUp)
    refused = world.ask("n2", LockRequest(world.new_id(), 1_000, "l", True, of("a")))
    assert isinstance(refused, Failed) and refused.code == BadRequest.code
    assert term(world.ask("n2", LockRequest(world.new_id(), 1_000, "l", True, of("b")))) == 1


def given_up(world: World, name: str) -> Mark:
    mark = gives_up(world, "n1", name)
    world.run(20)
    return mark


def test_a_node_that_missed_the_give_up_grants_a_term_that_is_over_at_once() -> None:
    world = World()
    held = lock(world, "n1", "first")
    asks(world, "n2", "a")  # the client moved on from here, and this node missed the give-up
    world.run(20)
    missing(world, N2)
    assert isinstance(world.answers[given_up(world, "a")][0], GivenUp)
    mark = asks(world, "n1", "b")
    release(world, "n2", lease_id(held.decree))
    granted = granted_within(world, mark, BOUND_MS)
    assert term(granted) == 3
    previous = term_of(granted.decree).previous
    assert previous is not None
    assert (previous.claim_id, previous.ending) == (of("a").claim_id, RELEASED)
    heard(world)


def missing(world: World, node: NodeId) -> None:
    """Lose all give-ups to a node."""

    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        return to == node and isinstance(message, GiveUp)

    world.lose = lose


def test_a_give_up_is_confirmed_only_after_a_prepare_quorum_has_taken_it() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, GiveUpTaken)
    mark = gives_up(world, "n1", "a")
    world.run(1_000)
    assert told(world, mark) is None
    heard(world)
    world.run(1_500)
    assert isinstance(told(world, mark), GivenUp), "it is said again until it is taken"
    world.lose = lambda sender, to, message: isinstance(message, GiveUp)
    alone = world.ask("n1", to_give_up(world.new_id(), 500, "l", of("b")))
    assert isinstance(alone, Failed) and alone.code == Unreachable.code
    world.run(2 * world.config.timing.finish_ms)
    assert not any("give-ups" in world.replica(n).pending_work() for n in world.config.nodes)


def test_a_give_up_is_remembered_for_one_ttl() -> None:
    world = World()
    given_up(world, "a")
    leases: list[Leases] = [world.replica(node).parts.leases for node in world.config.nodes]
    world.run(TTL_MS - 1_000)
    assert [len(held.given_up) for held in leases] == [1, 1, 1]
    world.run(1_000 + 2 * world.config.timing.finish_ms)
    assert [len(held.given_up) for held in leases] == [0, 0, 0]


def test_a_give_up_beyond_the_bound_ends_the_term_but_is_not_confirmed() -> None:
    world = World()
    lock_of_a = world.send("n1", LockRequest(world.new_id(), 1_000, "l", True, of("a")))
    world.run(20)
    assert term(told(world, lock_of_a)) == 1
    for node in world.config.nodes:
        world.replica(node).parts.leases.given_up._most = 0
    answer = world.ask("n1", to_give_up(world.new_id(), 300, "l", of("a")))
    assert isinstance(answer, Failed)
    granted_within(world, asks(world, "n2", "b"), BOUND_MS)


def test_the_term_of_a_given_up_claim_shows_as_over() -> None:
    world = World()
    asks(world, "n1", "a")
    world.run(20)
    given_up(world, "a")
    held = world.ask("n2", HolderRequest(world.new_id(), 1_000, "l"))
    assert isinstance(held, HeldBy)
    assert (held.remaining_ms, held.ending) == (0, RELEASED)
    kept = keep(world, "n2", lease_id(held.decree))
    assert isinstance(kept, Superseded)


# -- only with the claim's secret


def test_a_give_up_with_another_secret_changes_nothing_for_holder_or_waiter() -> None:
    world = World()
    held = lock(world, "n1", "a")
    mark = want(world, "n1", "b")
    for name in "ab":
        claim_id = wanted(name).claim_id
        world.ask("n1", GiveUpRequest(world.new_id(), 500, "l", claim_id, TTL_MS, THIEF))
    assert told(world, mark) is None
    assert isinstance(keep(world, "n2", lease_id(held.decree)), Kept)
    release(world, "n1", lease_id(held.decree))
    assert term(granted_within(world, mark, BOUND_MS)) == 2
    gone = to_give_up(world.new_id(), 500, "l", wanted("b"))
    assert isinstance(world.ask("n1", gone), GivenUp), "the thief's word is not in the way"
    assert term(lock(world, "n3", "c")) == 3


def test_a_claim_with_a_copied_id_and_another_secret_is_not_granted_the_term() -> None:
    world = World()
    lock(world, "n1", "a")
    stolen = TermClaim("thief", wanted("a").claim_id, TTL_MS, bytes(32))
    answer = world.ask("n1", LockRequest(world.new_id(), 500, "l", False, stolen))
    assert isinstance(answer, HeldBy)


def test_a_break_of_a_term_whose_claim_is_given_up_needs_no_wait() -> None:
    world = World()
    asks(world, "n1", "a")
    world.run(20)
    held = world.ask("n1", HolderRequest(world.new_id(), 1_000, "l"))
    assert isinstance(held, HeldBy)
    release(world, "n1", lease_id(held.decree), Ending(How.BROKEN, "op", "why"))
    given_up(world, "a")
    granted_within(world, asks(world, "n2", "b"), BOUND_MS)
