"""The node's loop: what it does with what a step asks for."""

import random
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from decreed.registry.disk import Record
from decreed.registry.replica.effects import Outgoing, SetTimer
from decreed.registry.replica.events import FromClient
from decreed.registry.replica.replica import Replica
from decreed.registry.server.sockets import Sockets
from decreed.registry.server.timers import Timers
from decreed.registry.server.turns import TurnLoop
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import StatusRequest
from decreed.storage.identity import take
from decreed.storage.memory import MemoryBytes, MemoryDisk, MemoryStorage

from ..support.world import config

STALL_S = 5.0


class StalledStorage(MemoryStorage):
    """A disk on which each write takes long."""

    def __init__(self, disk: MemoryDisk, clock: trio.testing.MockClock) -> None:
        data = MemoryBytes(disk)
        identity = take(data, config(1), NodeId("n1"), random.Random(1).randbytes, fresh=True)
        super().__init__(data, identity)
        self._clock = clock

    def write(self, records: Sequence[Record], *, sync: bool = True) -> None:
        super().write(records, sync=sync)
        self._clock.jump(STALL_S)


class NotedTimers(Timers):
    """Timers that remember when they were set."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.set_ms: list[float] = []

    def set(self, now_ms: float, wanted: SetTimer) -> None:
        self.set_ms.append(now_ms)
        super().set(now_ms, wanted)


def fresh_storage() -> MemoryStorage:
    """The disk of a cluster of one."""
    data = MemoryBytes(MemoryDisk())
    identity = take(data, config(1), NodeId("n1"), random.Random(1).randbytes, fresh=True)
    return MemoryStorage(data, identity)


def mocked_ms() -> float:
    """What the mocked clock shows."""
    return trio.current_time() * 1000


@pytest.mark.trio
async def test_a_timer_runs_from_its_step_however_long_the_disk_takes(
    mock_clock: trio.testing.MockClock,
) -> None:
    storage, timers, formed = StalledStorage(MemoryDisk(), mock_clock), NotedTimers(), trio.Event()
    replica = Replica(config(1), storage.recovered())
    with Sockets() as sockets:
        loop = TurnLoop(
            replica, storage, timers, lambda _: None, lambda _: formed.set(), sockets, mocked_ms
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await formed.wait()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert loop.now_ms() >= STALL_S * 1000
    assert timers.set_ms[:2] == [0.0, 0.0]


@pytest.mark.trio
async def test_timers_fire_for_as_long_as_nothing_else_happens(
    autojump_clock: trio.testing.MockClock,
) -> None:
    timers = NotedTimers()
    storage = fresh_storage()
    replica = Replica(config(1), storage.recovered())
    with Sockets() as sockets:
        loop = TurnLoop(
            replica, storage, timers, lambda _: None, lambda _: None, sockets, mocked_ms
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(3_600)
            nursery.cancel_scope.cancel()
    assert timers.set_ms[-1] > 3_500_000


@pytest.mark.trio
async def test_what_is_posted_while_the_loop_rests_is_handled_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    storage = fresh_storage()
    said: list[Outgoing] = []
    with Sockets() as sockets:
        loop = TurnLoop(
            Replica(config(1), storage.recovered()),
            storage,
            Timers(random.Random(1)),
            lambda outgoing: said.extend(outgoing),
            lambda _: None,
            sockets,
            mocked_ms,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            for number in range(1, 4):
                await trio.sleep(1.0101 * number)
                loop.post(FromClient(1, StatusRequest(number)))
                await trio.sleep(0.000_01)
                assert len(said) == number
            nursery.cancel_scope.cancel()
