"""What a step writes without a sync rides with the next synced batch, or goes 20 ms later."""

import pytest
import trio
import trio.testing

from decreed.registry.replica.replica import Replica
from decreed.registry.replica.step.effects import DEFERRED_MS, Effects
from decreed.registry.replica.step.events import Event, WriteFailed
from decreed.registry.server.node_loop import NodeLoop
from decreed.registry.server.sockets import Sockets
from decreed.storage.memory import MemoryDisk, MemoryStorage, open_memory

from ..storage.samples import accepted, learned
from ..support.loops import SilentTimers, mocked_ms
from ..support.world import config

pytestmark = pytest.mark.trio


class NotedLoop(NodeLoop):
    """A loop of a node with a disk of its own, which records its events."""

    def __init__(self, sockets: Sockets) -> None:
        self.disk = MemoryDisk()
        self.events: list[Event] = []
        storage = deferring(self.disk)
        replica = Replica(config(3), storage.recovered())
        super().__init__(
            replica, storage, SilentTimers(), lambda _: None, lambda _: None, sockets, mocked_ms
        )

    def _turn(self, events: list[Event]) -> None:
        self.events += events
        super()._turn(events)


def deferring(disk: MemoryDisk) -> MemoryStorage:
    three = config(3)
    return open_memory(disk, three, three.nodes[0], lambda count: b"m" * count, defers=True)


LEARNED = Effects(records=[learned("k")])
SYNCED = Effects(records=[accepted("l")], sync=True)


async def test_an_idle_node_writes_what_waits_without_a_sync_after_its_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with Sockets() as sockets:
        loop = NotedLoop(sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            writes, syncs = loop.disk.writes, loop.disk.syncs
            loop._carry_out(LEARNED)
            sockets.wake()
            await trio.sleep((DEFERRED_MS - 1) / 1000)
            assert loop.disk.writes == writes
            await trio.sleep(0.002)
            assert (loop.disk.writes, loop.disk.syncs) == (writes + 1, syncs)
            await trio.sleep(1)
            assert loop.disk.writes == writes + 1
            nursery.cancel_scope.cancel()


async def test_its_time_is_that_of_the_first_batch_that_waits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with Sockets() as sockets:
        loop = NotedLoop(sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            writes = loop.disk.writes
            for _ in range(6):
                loop._carry_out(LEARNED)
                sockets.wake()
                await trio.sleep(DEFERRED_MS / 4_000)
            assert loop.disk.writes == writes + 1
            nursery.cancel_scope.cancel()


async def test_a_synced_batch_takes_it_along_and_nothing_is_written_later(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with Sockets() as sockets:
        loop = NotedLoop(sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            writes = loop.disk.writes
            loop._carry_out(LEARNED)
            loop._carry_out(SYNCED)
            assert (loop.disk.writes, loop.disk.unsynced) == (writes + 1, 0)
            await trio.sleep(1)
            assert loop.disk.writes == writes + 1
            nursery.cancel_scope.cancel()


async def test_a_node_stops_voting_if_what_waited_cannot_be_written(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with Sockets() as sockets:
        loop = NotedLoop(sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            loop.disk.fail_writes = 1
            loop._carry_out(LEARNED)
            sockets.wake()
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert [event for event in loop.events if isinstance(event, WriteFailed)]
        assert loop._replica.node.failed
