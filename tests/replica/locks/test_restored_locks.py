"""Locks in a restored formation: tokens go on above the floor, and nobody gets one too soon."""

from decreed.registry.locks.restored import HOLDER, Restoration
from decreed.registry.locks.terms import How, lease_id, term_key, term_of
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import Ended, Failed, GetRequest, HeldBy, HolderRequest
from decreed.storage.layout import RESTORATION_KEY
from decreed.storage.records import pack

from ...support.lockers import TTL_MS, lock, release, term
from ...support.world import World

RESTORATION = Restoration(bytes(16), 1_790_000_000_000, 5 * TTL_MS, bytes(16), bytes(16))
FLOOR = RESTORATION.floor
FIRST = FLOOR + 1


def restored() -> World:
    """A cluster whose formation was restored from a snapshot that knows no locks."""
    world = World()
    for node in world.config.nodes:
        world.crash(node)
        row = {RESTORATION_KEY: pack(RESTORATION_KEY, RESTORATION)}
        world.machines[node].disk.write(row)
    for node in world.config.nodes:
        world.boot(NodeId(node))
    return world


def test_a_lock_goes_on_above_the_floor_of_the_formation() -> None:
    world = restored()
    first = lock(world, "n1", "a")
    assert term(first) == FIRST
    previous = term_of(first.decree).previous
    assert previous is not None
    assert (previous.ttl_ms, previous.ending.how) == (5 * TTL_MS, How.EXPIRED)
    assert isinstance(release(world, "n1", lease_id(first.decree)), Ended)
    assert term(lock(world, "n2", "b")) == FIRST + 1
    assert world.alarms == []


def test_nobody_gets_a_lock_before_an_old_holder_must_have_lost_it() -> None:
    world = restored()
    began_ms = world.now_ms
    lock(world, "n2", "a")
    assert world.now_ms - began_ms >= 5 * TTL_MS - 200


def test_who_has_it_is_the_restore_until_then() -> None:
    world = restored()
    held = world.ask("n3", HolderRequest(world.new_id(), 5_000, "l"))
    assert isinstance(held, HeldBy)
    assert held.decree.claimant == HOLDER
    assert 0 < held.remaining_ms <= 5 * TTL_MS


def test_terms_below_the_floor_are_forgotten_at_every_node() -> None:
    world = restored()
    for node in world.config.nodes:
        for number in (1, FLOOR - 1):
            answer = world.ask(node, GetRequest(world.new_id(), 1_000, term_key("l", number)))
            assert isinstance(answer, Failed) and "forgotten" in answer.message


def test_a_restart_does_not_lower_the_floor() -> None:
    world = restored()
    first = lock(world, "n1", "a")
    for node in world.config.nodes:
        world.crash(node)
    for node in world.config.nodes:
        world.boot(NodeId(node))
    assert term(lock(world, "n3", "b")) == term(first) + 1


def test_all_nodes_and_none_alone_may_give_the_first_term() -> None:
    """Three ask at once at three nodes: each gets a term of its own, in order."""
    world = restored()
    tokens: list[int] = []
    for node, name in (("n1", "a"), ("n2", "b"), ("n3", "c")):
        granted = lock(world, node, name)
        tokens.append(term(granted))
        release(world, node, lease_id(granted.decree))
    assert tokens == [FIRST, FIRST + 1, FIRST + 2]
    assert world.alarms == []
