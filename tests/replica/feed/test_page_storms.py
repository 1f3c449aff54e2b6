"""Feeds of many pages over bad links: cursors pass over nothing, and reading comes to an end.

Pages come early, late, twice or not at all, and so do the decrees that are sent along with them.
"""

import random

import pytest
from msgspec.structs import replace

from decreed.registry.config import LockTerms
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.feed import catchup
from decreed.registry.replica.feed.pages import PULL_TIMEOUT_MS
from decreed.registry.types import Key, NodeId
from decreed.registry.unserved import ForgottenInstance, WithheldInstance
from decreed.registry.wire.leases import ForgottenTerms
from decreed.registry.wire.peers import (
    FLOOR_DIGEST,
    FeedPage,
    FeedUnread,
    Fetch,
    Fetched,
    PeerMessage,
    Pull,
)
from decreed.storage.layout import instance_key
from decreed.storage.memory import MemoryDisk

from ...support.changing import ChangingWorld
from ...support.forgetful import KEEP, cycle
from ...support.machine import Machine
from ...support.world import config

SOURCES = tuple(NodeId(f"n{number}") for number in range(1, 4))
READER = NodeId("n4")
OF_FEEDS = (FeedPage, Fetched, Pull, Fetch, FeedUnread, ForgottenTerms)
SLOW = ((0.0,), (0.0, 1.0), (0.0, 1.0, 20.0, 200.0), (0.0, 5.0, 2_000.0, 4_000.0))


def filled(chance: random.Random) -> ChangingWorld:
    """Voters with some decrees, some of which two of them cannot read."""
    world = ChangingWorld(
        cluster=replace(config(), locks=LockTerms(KEEP)), seed=chance.randrange(99)
    )
    keys = [Key(f"k{number}") for number in range(chance.randrange(40, 120))]
    for key in keys:
        world.freeze("n1", key)
        if chance.random() < 0.3:
            cycle(world, lock=chance.choice("lmn"))
    world.run(1_000)
    for key in chance.sample(keys, chance.choice([0, 2, 10])):
        world.machines[chance.choice(SOURCES[:2])].disk.flip(instance_key(key), 9)
    return world


def set_in(world: ChangingWorld, chance: random.Random) -> None:
    """Let what is said of feeds to the reader and by it be lost, late or repeated."""
    lost, slow = chance.choice([0.0, 0.05, 0.3]), chance.choice(SLOW)

    def is_met(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        return READER in (sender, to) and isinstance(message, OF_FEEDS)

    world.lose = lambda *said: is_met(*said) and chance.random() < lost
    world.delays = lambda *said: (
        tuple(chance.choices(slow, k=chance.choice([1, 1, 2]))) if is_met(*said) else (0.0,)
    )


def passed_over(world: ChangingWorld) -> list[object]:
    """The entries below the reader's cursors that are neither learned, nor forgotten, nor withheld."""
    read, disk = world.replica(READER).catchup, world.machines[READER].storage
    assert disk is not None
    found: list[object] = []
    for peer in SOURCES:
        feed = world.machines[peer].storage
        entries = feed.feed(0, read.cursor(peer))[0] if feed is not None else ()
        told = [e for e in entries if e.index < read.cursor(peer) and e.digest != FLOOR_DIGEST]
        for key, one in disk.load([entry.key for entry in told]).items():
            is_learned = isinstance(one, Instance) and one.learned is not None
            if not (is_learned or isinstance(one, ForgottenInstance | WithheldInstance)):
                found.append((peer, key, one))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_no_cursor_passes_over_anything_and_all_feeds_are_read_in_the_end(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    page = chance.choice([4, 8, 16])
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", page)
    world = filled(chance)
    set_in(world, chance)
    world.machines[READER] = Machine(MemoryDisk(READER))
    world.boot(READER)
    for _ in range(20):
        world.run(chance.choice([20, 100, 400]))
        assert passed_over(world) == []
        if chance.random() < 0.1:
            world.crash(READER)
            world.boot(READER)
    world.lose, world.delays = (lambda *_: False), (lambda *_: (0.0,))
    world.run(10_000)
    assert passed_over(world) == []
    for peer in SOURCES:
        assert world.replica(READER).catchup.cursor(peer) == world.replica(peer).node.feed_end
    assert any(isinstance(said, Pull) and said.decrees for _, _, said in world.sent)


def test_a_page_that_comes_twice_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second copy of a page that is being learned is not the page behind it."""
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 16)
    world = ChangingWorld()
    for number in range(160):
        world.freeze("n1", f"k{number}")
    world.run(1_000)

    def comes(_: NodeId, to: NodeId, message: PeerMessage) -> tuple[float, ...]:
        if to == READER and isinstance(message, FeedPage) and not message.start % 32:
            return (0.0, 9.0)
        return (8.0 if isinstance(message, Fetched) else 2.0,)

    world.delays = comes
    world.machines[READER] = Machine(MemoryDisk(READER))
    world.boot(READER)
    world.run(PULL_TIMEOUT_MS - 500)
    assert world.replica(READER).node.feed_end == 160
    assert [world.replica(READER).catchup.cursor(peer) for peer in SOURCES] == [160] * 3


def test_a_record_that_cannot_be_read_is_passed_over_in_each_feed_that_names_its_key() -> None:
    """That one feed has told it does not make it known: it may not be learned here (M08)."""
    world = ChangingWorld()
    reader, key = SOURCES[2], Key("k")
    world.lose = lambda sender, to, message: to == reader and isinstance(message, Commit | FeedPage)
    world.freeze("n1", key, bytes(9_000))  # so long that it has a row of its own
    world.run(500)
    world.crash(reader)
    world.machines[reader].disk.flip(instance_key(key), 9)
    world.boot(reader)
    world.lose = lambda *_: False
    world.run(2_000)
    read = world.replica(reader).catchup
    assert [read.read_end(peer) for peer in SOURCES[:2]] == [1, 1]
    assert [read.cursor(peer) for peer in SOURCES[:2]] == [0, 0]
    assert read.passed_over() == {key}
