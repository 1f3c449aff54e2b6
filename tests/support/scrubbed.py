"""Scrubs in a world: begun by a request, and run to their end."""

from decreed.registry.types import Key, NodeId
from decreed.registry.wire.scrub import ScrubReport, ScrubRequest
from decreed.storage.layout import instance_key

from .world import World

FAST = 1 << 30
"""So many bytes a second that no pause is left."""


def world_with(*keys: str) -> World:
    """A cluster in which all nodes have learned these keys."""
    world = World()
    for key in keys:
        world.freeze("n1", key)
    world.run(2_000)
    return world


def scrub_report(world: World, node: str, *, begin: bool = False, rate: int = 0) -> ScrubReport:
    """What a node says of its scrub."""
    answer = world.ask(node, ScrubRequest(world.new_id(), begin, rate))
    assert isinstance(answer, ScrubReport), answer
    return answer


def scrub(world: World, node: str, rate: int = FAST, within_ms: float = 120_000) -> ScrubReport:
    """Have a node scrub its disk, and return the report at the end."""
    report = scrub_report(world, node, begin=True, rate=rate)
    deadline = world.now_ms + within_ms
    while report.running:
        assert world.now_ms < deadline, "the scrub does not end"
        world.run(100)
        report = scrub_report(world, node)
    return report


def damage(world: World, node: str, key: str) -> None:
    """Flip a bit in the record of a key."""
    world.machines[NodeId(node)].disk.flip(instance_key(Key(key)), 9)


def lose(world: World, node: str, key: str) -> None:
    """Make the record of a key unreadable, as a broken block does."""
    world.machines[NodeId(node)].disk.lose(instance_key(Key(key)))
