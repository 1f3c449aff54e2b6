"""What nobody waits for goes with the next turn that others cause, or has one of its own later."""

import pytest
import trio
import trio.testing

from decreed.registry.paxos.messages import Accepted, Promise
from decreed.registry.replica.patience import PATIENCE_MS
from decreed.registry.replica.step.events import Event, FromClient, FromPeer
from decreed.registry.server import inbox
from decreed.registry.server.inbox import Inbox
from decreed.registry.server.node_loop import NodeLoop
from decreed.registry.server.sockets import Sockets
from decreed.registry.types import Ballot, Key, NodeId, Process
from decreed.registry.wire.requests import StatusRequest

from ..support.loops import SilentTimers, mocked_ms, parts

PEER = NodeId("n2")
BALLOT = Ballot(1, Process(PEER, 1))
LATE = FromPeer(PEER, Accepted(Key("k"), BALLOT))
AWAITED = FromPeer(PEER, Promise(Key("k"), BALLOT, None))
ASKED = FromClient(1, (StatusRequest(1),))


class NotedLoop(NodeLoop):
    """A loop that records its turns and their times."""

    def __init__(self, sockets: Sockets) -> None:
        replica, storage = parts(3)
        super().__init__(
            replica, storage, SilentTimers(), lambda _: None, lambda _: None, sockets, mocked_ms
        )
        self.turns: list[tuple[float, list[Event]]] = []

    def _turn(self, events: list[Event]) -> None:
        if events:
            self.turns.append((self.now_ms(), list(events)))
        super()._turn(events)

    def say(self, event: FromPeer) -> None:
        self.post_of(event.sender, event.message, 0)


async def turns(*said: tuple[float, Event]) -> list[tuple[float, list[Event]]]:
    """The turns, with their times, if these events come so many ms after each other."""
    with Sockets() as sockets:
        loop = NotedLoop(sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            loop.turns.clear()
            began_ms = loop.now_ms()
            for delay_ms, event in said:
                await trio.sleep(delay_ms / 1000)
                loop.say(event) if isinstance(event, FromPeer) else loop.post(event)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    return [(at_ms - began_ms, events) for at_ms, events in loop.turns]


@pytest.mark.trio
async def test_what_nobody_waits_for_goes_with_the_next_turn_and_before_what_came_later(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ((at_ms, events),) = await turns((0, LATE), (3, ASKED))
    assert events == [LATE, ASKED]
    assert at_ms == pytest.approx(3, abs=0.5)


@pytest.mark.trio
async def test_it_has_a_turn_of_its_own_when_it_has_waited_for_long_enough(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ((at_ms, events),) = await turns((0, LATE), (PATIENCE_MS / 2, LATE))
    assert events == [LATE, LATE]
    assert at_ms == pytest.approx(PATIENCE_MS, abs=0.5), "the first one's time counts"


@pytest.mark.trio
async def test_what_somebody_may_wait_for_has_a_turn_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ((at_ms, events),) = await turns((0, AWAITED))
    assert (events, at_ms < 0.5) == ([AWAITED], True)


@pytest.mark.trio
async def test_each_has_its_time_after_a_turn_has_taken_the_ones_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    taken, alone = await turns((0, LATE), (9, ASKED), (0.5, LATE))
    assert taken[1] == [LATE, ASKED]
    assert alone[1] == [LATE]
    assert alone[0] == pytest.approx(9.5 + PATIENCE_MS, abs=0.5)


def test_what_fills_the_inbox_calls_for_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sender waits for room."""
    monkeypatch.setattr(inbox, "MAX_WAITING", 1)
    waiting = Inbox()
    waiting.put_patient(LATE, 0)
    assert not waiting
    waiting.put_patient(LATE, 0)
    assert waiting and not waiting.has_room
    assert waiting.take() == [LATE, LATE]
    assert not waiting
