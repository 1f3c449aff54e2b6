"""Reads of the disk wait in line; one that is called off is not done, and the others are."""

import random
from threading import Event as Gate
from typing import cast

import pytest
import trio
import trio.testing

from decreed.registry.disk import Storage
from decreed.registry.replica.replica import Replica
from decreed.registry.replica.step.disk_reads import SlotDone
from decreed.registry.replica.step.effects import ReadLastSlot
from decreed.registry.replica.step.events import ClientGone, Event, FromClient
from decreed.registry.server.node_loop import NodeLoop
from decreed.registry.server.reading import READERS, Readers
from decreed.registry.server.sockets import Sockets
from decreed.registry.server.timers import Timers
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import LatestRequest
from decreed.storage.identity import take
from decreed.storage.memory import MemoryBytes, MemoryDisk, MemoryStorage

from ..support.world import config

PATIENCE_S = 60.0


class Slow:
    """A disk whose reads wait at a gate."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.read: list[str] = []

    def last_slot(self, series: str) -> int:
        """Find nothing, once the gate is open."""
        assert self.gate.wait(PATIENCE_S)
        self.read.append(series)
        return 0


@pytest.mark.trio
async def test_what_is_called_off_while_it_waits_is_not_read_and_what_comes_later_is() -> None:
    disk, found = Slow(), list[Event]()
    send, receive = trio.open_memory_channel[Event](100)

    def post(event: Event) -> None:
        found.append(event)
        send.send_nowait(event)

    readers = Readers(cast(Storage, disk), post)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readers.run)
            await trio.testing.wait_all_tasks_blocked()
            for token in range(READERS + 4):
                readers.add(ReadLastSlot(token, f"s{token}", token % 2))
            await trio.testing.wait_all_tasks_blocked()
            for token in range(READERS + 1, READERS + 4):
                readers.call_off(token)
            readers.call_off(0)
            readers.call_off(1_000)
            disk.gate.set()
            for _ in range(READERS + 1):
                await receive.receive()
            await trio.testing.wait_all_tasks_blocked()
            readers.add(ReadLastSlot(99, "later", 7))
            await receive.receive()
            nursery.cancel_scope.cancel()
    assert sorted(disk.read) == sorted([*(f"s{n}" for n in range(READERS + 1)), "later"])
    assert all(isinstance(event, SlotDone) for event in found)


class SlowStorage(MemoryStorage):
    """A whole disk whose searches wait at a gate."""

    def __init__(self) -> None:
        data = MemoryBytes(MemoryDisk())
        identity = take(
            data,
            config(1),
            NodeId("n1"),
            random.Random(1).randbytes,
            data.disk.signing_key,
            fresh=True,
        )
        super().__init__(data, identity)
        self.slow = Slow()

    def last_slot(self, series: str) -> int:
        """Find nothing, once the gate is open."""
        return self.slow.last_slot(series)


@pytest.mark.trio
async def test_what_a_client_that_is_gone_asked_the_disk_for_is_not_read() -> None:
    storage = SlowStorage()
    asked = tuple(LatestRequest(number, 60_000, f"s{number}") for number in range(READERS + 20))
    answered = trio.Event()
    with Sockets() as sockets, trio.fail_after(PATIENCE_S):
        loop = NodeLoop(
            Replica(config(1), storage.recovered()),
            storage,
            Timers(random.Random(1)),
            lambda outgoing: answered.set(),
            lambda _: None,
            sockets,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            loop.post(FromClient(1, asked))
            while len(loop._readers) < 20:
                await trio.sleep(0.001)
            loop.post(ClientGone(1))
            while len(loop._readers):
                await trio.sleep(0.001)
            storage.slow.gate.set()
            loop.post(FromClient(2, (LatestRequest(1, 60_000, "later"),)))
            await answered.wait()
            nursery.cancel_scope.cancel()
    assert len(storage.slow.read) <= READERS + 1
