"""A part of the feed cannot be read: a scrub repairs what the rest names, and nothing else."""

import pytest

from decreed.registry.types import Key, NodeId
from decreed.registry.unserved import DamagedInstance
from decreed.storage.layout import feed_key

from ...support.scrubbed import damage, scrub, world_with
from ...support.world import World, stored

N1 = NodeId("n1")


def held(world: World, key: str) -> object:
    storage = world.machines[N1].storage
    assert storage is not None
    return storage.load([Key(key)])[Key(key)]


def test_nothing_is_repaired_that_an_unreadable_part_of_the_feed_may_name() -> None:
    world = world_with("a")
    world.machines[N1].disk.lose(feed_key(0))
    damage(world, "n1", "a")
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (1, 0)
    assert report.faults
    assert isinstance(held(world, "a"), DamagedInstance)


@pytest.mark.parametrize("at", [0, 7, 20])
def test_what_stands_before_and_behind_an_unreadable_part_of_the_feed_is_repaired(at: int) -> None:
    world = world_with()
    keys = [f"k{n:02}" for n in range(60)]
    for key in keys:
        world.freeze("n1", key)
        world.run(50)
    storage = world.machines[N1].storage
    assert storage is not None
    entries, _ = storage.feed(0, 100)
    assert len(entries) == 60
    bad, later = entries[at].key, entries[at + 17].key
    world.machines[N1].disk.lose(feed_key(at))
    for key in (bad, later):
        damage(world, "n1", key)
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (2, 1) and report.faults
    assert isinstance(held(world, bad), DamagedInstance)
    assert stored(world, "n1", later).learned is not None
