"""The node's loop: how it carries out the effects of a step."""

import random
from collections.abc import Callable, Mapping, Sequence

import pytest
import trio
import trio.testing

from decreed.registry.disk import Record
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.replica import Replica
from decreed.registry.replica.step.effects import Effects, Outgoing, Send, SetTimer
from decreed.registry.replica.step.events import ClientGone, Event, FromClient, FromPeer, Moment
from decreed.registry.server.node_loop import MAX_READS, MIN_ASKED, OWN_PATIENCE_MS, NodeLoop
from decreed.registry.server.sockets import Sockets
from decreed.registry.server.timers import Timers
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.unserved import Unserved
from decreed.registry.wire.peers import Ping
from decreed.registry.wire.requests import StatusRequest
from decreed.storage.identity import take
from decreed.storage.memory import MemoryBytes, MemoryDisk, MemoryStorage

from ..support.loops import SilentTimers, mocked_ms, parts
from ..support.world import claim, config

STALL_S = 5.0


class StalledStorage(MemoryStorage):
    """A disk on which each write takes long."""

    def __init__(self, disk: MemoryDisk, clock: trio.testing.MockClock) -> None:
        data = MemoryBytes(disk)
        identity = take(
            data,
            config(1),
            NodeId("n1"),
            random.Random(1).randbytes,
            data.disk.signing_key,
            fresh=True,
        )
        super().__init__(data, identity)
        self._clock = clock

    def write(self, records: Sequence[Record], *, sync: bool = True) -> None:
        super().write(records, sync=sync)
        self._clock.jump(STALL_S)


class NotedTimers(Timers):
    """Timers that record when they were set."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.set_ms: list[float] = []

    def set(self, now_ms: float, wanted: SetTimer) -> None:
        self.set_ms.append(now_ms)
        super().set(now_ms, wanted)


def fresh_storage() -> MemoryStorage:
    """The disk of a cluster of one."""
    data = MemoryBytes(MemoryDisk())
    identity = take(
        data, config(1), NodeId("n1"), random.Random(1).randbytes, data.disk.signing_key, fresh=True
    )
    return MemoryStorage(data, identity)


@pytest.mark.trio
async def test_a_timer_runs_from_its_step_however_long_the_disk_takes(
    mock_clock: trio.testing.MockClock,
) -> None:
    storage, timers, formed = StalledStorage(MemoryDisk(), mock_clock), NotedTimers(), trio.Event()
    replica = Replica(config(1), storage.recovered())
    with Sockets() as sockets:
        loop = NodeLoop(
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
        loop = NodeLoop(
            replica, storage, timers, lambda _: None, lambda _: None, sockets, mocked_ms
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(3_600)
            nursery.cancel_scope.cancel()
    assert timers.set_ms[-1] > 3_500_000


@pytest.mark.trio
async def test_an_event_posted_while_the_loop_sleeps_is_handled_immediately(
    autojump_clock: trio.testing.MockClock,
) -> None:
    storage = fresh_storage()
    said: list[Outgoing] = []
    with Sockets() as sockets:
        loop = NodeLoop(
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
                loop.post(FromClient(1, (StatusRequest(number),)))
                await trio.sleep(0.000_01)
                assert len(said) == number
            nursery.cancel_scope.cancel()


class SpeakingLoop(NodeLoop):
    """A loop that sends itself a message when a client asks, and records what shared a turn."""

    def __init__(self, members: int, sockets: Sockets) -> None:
        replica, storage = parts(members)
        super().__init__(
            replica,
            storage,
            SilentTimers(),
            lambda _: None,
            lambda _: None,
            sockets,
            mocked_ms,
        )
        self.turns: list[tuple[float, list[Event]]] = []

    def _turn(self, events: list[Event]) -> None:
        if events:
            self.turns.append((self.now_ms(), events))
        if ASKED in events:
            self._send([Send(NodeId("n1"), Ping(0, True, False))])

    async def turns_of(self, *later: tuple[float, Event]) -> list[tuple[float, list[Event]]]:
        """The turns after the one in which the client asks, with events posted at the given times."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run)
            await trio.sleep(1)
            self.turns.clear()
            self.post(ASKED)
            for delay_ms, event in later:
                await trio.sleep(delay_ms / 1000)
                self.post(event)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        (asked_ms, _), *others = self.turns
        return [(heard_ms - asked_ms, events) for heard_ms, events in others]


@pytest.mark.trio
async def test_s36_what_those_have_said_who_are_cut_off_comes_to_no_turn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with Sockets() as sockets:
        loop = SpeakingLoop(3, sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            loop.turns.clear()
            for event in (ASKED, OTHER, FromPeer(NodeId("n2"), Ping(0, True, False))):
                loop.post(event)
            loop.forget([1], [NodeId("n2")])
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        events = [event for _, events in loop.turns for event in events]
    assert events[:2] == [ClientGone(1), OTHER] and ASKED not in events
    assert not any(isinstance(each, FromPeer) and each.sender == "n2" for each in events)


@pytest.mark.trio
async def test_s36_what_the_step_that_cuts_somebody_off_has_put_off_comes_to_no_turn_either(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A request for which nothing was loaded waits for the next step."""
    with Sockets() as sockets:
        loop = SpeakingLoop(3, sockets)
        loop._deliver = lambda _: loop.forget([1], [])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            loop.turns.clear()
            gone = Send(NodeId("n2"), Ping(0, True, False))
            loop._carry_out(Effects(at_once=[gone], again=[ASKED, OTHER]))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        events = [event for _, events in loop.turns for event in events]
    assert events[:2] == [ClientGone(1), OTHER] and ASKED not in events


ASKED = FromClient(1, (StatusRequest(1),))
HEARD = FromPeer(NodeId("n1"), Ping(0, True, False))
OTHER = FromClient(2, (StatusRequest(2),))


@pytest.mark.trio
async def test_a_nodes_message_to_itself_shares_the_turn_of_the_next_event(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with Sockets() as sockets:
        turns = await SpeakingLoop(3, sockets).turns_of((OWN_PATIENCE_MS / 4, OTHER))
    assert [events for _, events in turns] == [[OTHER, HEARD]]


@pytest.mark.trio
async def test_a_nodes_message_to_itself_waits_at_most_its_patience(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with Sockets() as sockets:
        ((waited_ms, events),) = await SpeakingLoop(3, sockets).turns_of()
    assert events == [HEARD]
    assert waited_ms == pytest.approx(OWN_PATIENCE_MS, abs=0.5)


@pytest.mark.trio
async def test_a_single_node_handles_its_message_to_itself_immediately(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with Sockets() as sockets:
        ((waited_ms, events),) = await SpeakingLoop(1, sockets).turns_of()
    assert events == [HEARD]
    assert waited_ms < OWN_PATIENCE_MS / 2


# -- the inputs of a step, and its effects


class Told(Replica):
    """A replica that records the clock and the events of each step."""

    moments: list[tuple[float, list[Event]]]

    def step(
        self,
        moment: Moment,
        events: Sequence[Event],
        instances: Mapping[Key, Instance | Unserved],
    ) -> Effects:
        self.moments.append((moment.now_ms, list(events)))
        return super().step(moment, events, instances)


class LateSockets(Sockets):
    """Sockets that take long to read, while more bytes arrive."""

    def __init__(self, clock: trio.testing.MockClock) -> None:
        super().__init__()
        self._clock = clock
        self.arrives: Callable[[], None] | None = None

    def read(self) -> None:
        super().read()
        if self.arrives is not None:
            self._clock.jump(STALL_S)
            arrives, self.arrives = self.arrives, None
            arrives()


@pytest.mark.trio
async def test_the_clock_is_read_after_the_last_event_arrived(
    mock_clock: trio.testing.MockClock,
) -> None:
    """A lease that has run out by then has run out for all events of the step."""
    storage = fresh_storage()
    replica = Told(config(1), storage.recovered())
    replica.moments = []
    with LateSockets(mock_clock) as sockets:
        loop = NodeLoop(
            replica, storage, SilentTimers(), lambda _: None, lambda _: None, sockets, mocked_ms
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.testing.wait_all_tasks_blocked()
            replica.moments.clear()
            arrived_ms = list[float]()

            def arrives() -> None:
                arrived_ms.append(loop.now_ms())
                loop.post(OTHER)

            sockets.arrives = arrives
            loop.post(ASKED)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    ((now_ms, events),) = replica.moments
    assert events == [ASKED, OTHER]
    assert now_ms >= arrived_ms[0] >= STALL_S * 1000


@pytest.mark.trio
async def test_a_step_without_records_is_synced_if_it_must_settle_what_was_written_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nothing else happens: only the timer makes it durable."""
    replica, storage = parts(3)
    disk = disk_of(storage)
    decree = Decree.of(claim("k"), Ballot(5, Process(NodeId("n2"), 1)), 0)
    with Sockets() as sockets:
        loop = NodeLoop(
            replica,
            storage,
            Timers(random.Random(1)),
            lambda _: None,
            lambda _: None,
            sockets,
            mocked_ms,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            assert disk.unsynced == 0
            loop.post(FromPeer(NodeId("n2"), Commit(decree.key, decree)))
            await trio.sleep(0.001)
            assert disk.unsynced
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert disk.unsynced == 0


def disk_of(storage: MemoryStorage) -> MemoryDisk:
    data = storage._data
    assert isinstance(data, MemoryBytes)
    return data.disk


@pytest.mark.trio
async def test_with_many_reads_under_way_a_turn_takes_few_requests(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replica, "reads_under_way", MAX_READS)
    turns: list[int] = []
    with Sockets() as sockets:
        loop = NodeLoop(
            Replica(config(1), fresh_storage().recovered()),
            fresh_storage(),
            Timers(random.Random(1)),
            lambda outgoing: turns.append(len(outgoing)),
            lambda _: None,
            sockets,
            mocked_ms,
        )
        loop.post(FromClient(1, tuple(map(StatusRequest, range(MIN_ASKED + 10)))))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert turns == [MIN_ASKED, 10]
