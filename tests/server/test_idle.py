"""What a node wakes up for when nothing happens: nothing that it does not need."""

import os
from collections import Counter
from typing import Any

import pytest
import trio
import trio.testing

from decreed.registry.server.liveness import ROUNDS, Liveness
from decreed.registry.server.serve import Server
from decreed.registry.types import NodeId
from decreed.storage.memory import MemoryDisk, open_memory

from ..support.loops import mocked_ms
from ..support.world import config

pytestmark = pytest.mark.trio
PEER, OTHER = NodeId("n2"), NodeId("n3")
SUSPECT_MS = 250
ROUND_S = SUSPECT_MS / 1000 / ROUNDS
AGES_S = 600


class Wakeups(trio.abc.Instrument):
    """Counts how often each task is run."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.of[task.name.rpartition("server.")[2]] += 1


async def test_a_cluster_of_one_wakes_up_for_no_peers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    storage = open_memory(MemoryDisk("n1"), config(1), NodeId("n1"), os.urandom)
    server, stop, wakeups = Server(config(1), storage), trio.Event(), Wakeups()
    server.loop._clock_ms, server.loop._started_ms = mocked_ms, mocked_ms()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, listeners, stop)
        await trio.sleep(1)
        trio.lowlevel.add_instrument(wakeups)
        await trio.sleep(AGES_S)
        trio.lowlevel.remove_instrument(wakeups)
        stop.set()
    assert wakeups.of["node_loop.NodeLoop.run"] > AGES_S, "it goes on working"
    for_peers = [
        name for name in wakeups.of if name.startswith(("liveness.", "peer_set.", "links."))
    ]
    assert not for_peers


class Silent:
    """A loop that is told of nothing."""

    def post(self, event: object) -> None:
        pass


async def test_pings_are_sent_while_there_is_a_link_and_at_no_other_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    liveness, loop = Liveness((PEER, OTHER), SUSPECT_MS), Silent()
    asked: Any = loop
    pings: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(liveness.run, asked, lambda: pings.append(trio.current_time()))
        await trio.sleep(AGES_S)
        assert not pings, "nodes that are alone have nobody to ping"
        for _ in range(2):
            liveness.linked(PEER, asked)
            liveness.linked(OTHER, asked)
            await trio.sleep(10.5 * ROUND_S)
            liveness.unlinked(PEER, asked)
            await trio.sleep(10 * ROUND_S)
            liveness.unlinked(OTHER, asked)
            liveness.unlinked(OTHER, asked)
            assert len(pings) == 20
            await trio.sleep(AGES_S)
            assert len(pings) <= 21, "one round may have been under way"
            pings.clear()
        nursery.cancel_scope.cancel()
