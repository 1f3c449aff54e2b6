"""A peer that falls silent is noticed, even if this node is busy and its disk slow."""

import random

import pytest
import trio
import trio.testing

from decreed.registry.replica.step.events import Event, FromClient, Reachable
from decreed.registry.server.liveness import Liveness
from decreed.registry.server.node_loop import NodeLoop
from decreed.registry.server.sockets import Sockets
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import StatusRequest

from ..support.loops import SilentTimers, mocked_ms, parts

PEER = NodeId("n2")
SUSPECT_MS = 250
LOAD_S = 10.0


class BusyLoop(NodeLoop):
    """A loop whose turns all take long, and that always has another turn to do."""

    turn_s = 0.0
    told_s: float | None = None

    def _turn(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Reachable) and not event.reachable:
                self.told_s = self.told_s or trio.current_time()
        rest: list[Event] = [event for event in events if not isinstance(event, Reachable)]
        super()._turn(rest)
        self.clock.jump(self.turn_s)
        if trio.current_time() < LOAD_S:
            self.post(FromClient(1, (StatusRequest(random.randrange(1 << 30)),)))

    def __init__(self, sockets: Sockets, clock: trio.testing.MockClock) -> None:
        replica, storage = parts(3)
        self.clock = clock
        super().__init__(
            replica, storage, SilentTimers(), lambda _: None, lambda _: None, sockets, mocked_ms
        )


@pytest.mark.trio
@pytest.mark.parametrize("turn_ms", [1, 25, 40, 100])
async def test_a_silent_peer_is_suspected_in_time(
    turn_ms: float, mock_clock: trio.testing.MockClock
) -> None:
    liveness = Liveness((PEER,), SUSPECT_MS)
    with Sockets() as sockets:
        loop = BusyLoop(sockets, mock_clock)
        loop.turn_s = turn_ms / 1000
        liveness.linked(PEER, loop)
        liveness.heard(PEER)
        liveness.says_voting(PEER, True, loop)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            nursery.start_soon(liveness.run, loop, lambda: None)
            for _ in range(10_000):
                if loop.told_s is not None:
                    break
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert loop.told_s is not None and loop.told_s <= 2 * SUSPECT_MS / 1000 + 4 * loop.turn_s
