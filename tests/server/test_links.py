"""How soon nodes find each other: when they dial, and when they report a peer as reachable."""

from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest
import trio
from trio.testing import MockClock

from decreed.registry.replica.step.effects import Welcome
from decreed.registry.replica.step.events import Greeted, Reachable
from decreed.registry.server import links
from decreed.registry.server.links import LEAST_SECONDS, Links
from decreed.registry.server.liveness import Liveness
from decreed.registry.server.node_loop import NodeLoop
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import VERSION

pytestmark = pytest.mark.trio

PEER = NodeId("n2")


class Loop:
    """Records posted events."""

    def __init__(self) -> None:
        self.posted: list[object] = []

    def post(self, event: object) -> None:
        self.posted.append(event)


class Node:
    others = (PEER,)
    guests = frozenset[NodeId]()


class Dropping(Links):
    """Links to a peer that dials us whenever we dial it, and drops every link."""

    def __init__(self) -> None:
        nothing: Any = None
        super().__init__(Mock(), cast(Any, Node()), *[nothing] * 6)
        self.dialled: list[float] = []

    async def _dial_once(self, peer: NodeId, loop: NodeLoop) -> None:
        self.dialled.append(trio.current_time())
        self._dialled[peer].set()
        await trio.lowlevel.checkpoint()


class Failing(Links):
    """Links to a peer that is not up yet, when we dial it; its own greeting is welcome."""

    def __init__(self) -> None:
        nothing: Any = Mock()
        super().__init__(nothing, cast(Any, Node()), *[nothing] * 6)
        self.dialled: list[float] = []

    async def _dial_once(self, peer: NodeId, loop: NodeLoop) -> None:
        self.dialled.append(trio.current_time())
        await trio.lowlevel.checkpoint()

    def post(self, event: Greeted) -> None:
        self.judge(Welcome(event.link, PEER, Mock()))


async def test_a_peer_that_dials_us_is_dialled_at_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(links, "REDIAL_SECONDS", (3_600.0, 3_600.0))
    failing = Failing()
    hello = Mock(lowest_version=VERSION, highest_version=VERSION)
    greeting: Any = Mock(line=AsyncMock(), hello=hello)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(failing.dial, PEER, cast(Any, Loop()))
        await trio.sleep(100)
        assert len(failing.dialled) == 1
        greeted = trio.current_time()
        await failing.serve(cast(Any, AsyncMock()), greeting, cast(Any, failing))
        await trio.sleep(100)
        assert failing.dialled[1:] == [greeted]
        nursery.cancel_scope.cancel()


async def test_nodes_that_drop_each_others_links_do_not_chase_each_other(
    autojump_clock: MockClock,
) -> None:
    dropping = Dropping()
    loop: Any = Loop()
    with trio.move_on_after(1.0):
        await dropping.dial(PEER, loop)
    assert 10 < len(dropping.dialled) <= 1.0 / LEAST_SECONDS + 1


async def test_a_peer_that_votes_is_reported_reachable_immediately(
    autojump_clock: MockClock,
) -> None:
    for late in ("link", "ping"):
        loop: Any = Loop()
        liveness = Liveness([PEER], 250)
        liveness.heard(PEER)
        if late == "ping":
            liveness.linked(PEER, loop)
        liveness.says_voting(PEER, True, loop)
        if late == "link":
            liveness.linked(PEER, loop)
        assert loop.posted == [Reachable(PEER, True)]
        liveness.says_voting(PEER, True, loop)
        liveness.says_voting(PEER, False, loop)
        assert loop.posted[1:] == [Reachable(PEER, False)]
