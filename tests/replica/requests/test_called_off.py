"""What is read or asked for a request is called off when the request is over, however it ends.

A client that asks and goes, again and again, would otherwise leave behind reads without a bound.
"""

from collections.abc import Callable

import pytest

from decreed.registry.locks.terms import TermClaim
from decreed.registry.replica.step.disk_reads import FeedDone, ScanDone, SlotDone
from decreed.registry.replica.step.effects import Effects
from decreed.registry.replica.step.events import ClientGone, Crowded, Event, FromClient
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import (
    Cancel,
    GetRequest,
    LatestRequest,
    LockRequest,
    Request,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

from ...support.world import World, config

N1 = NodeId("n1")
MANY = 20
TIME_MS = 2_000
WORK = {"series", "watch reads", "searches", "lock queues", "reads", "tokens", "requests"}


class BusyDisk(World):
    """One node, whose disk answers no read while it is busy."""

    def __init__(self, size: int) -> None:
        self.busy = False
        self.asked: set[int] = set()
        self.called_off: set[int] = set()
        super().__init__(config(size))

    def post(self, node: NodeId, event: Event) -> None:
        if not (self.busy and isinstance(event, ScanDone | FeedDone | SlotDone)):
            super().post(node, event)

    def _end_step(self, node: NodeId, effects: Effects) -> None:
        if node == N1 and self.busy:
            self.asked |= {read.token for read in effects.reads}
            self.called_off |= set(effects.called_off)
        super()._end_step(node, effects)


def work(world: World) -> set[str]:
    """What is held for requests."""
    return WORK & world.replica(N1).pending_work().keys()


def latest(world: BusyDisk) -> Callable[[int], Request]:
    return lambda number: LatestRequest(number, TIME_MS, f"series/{number}")


def watches(world: BusyDisk) -> Callable[[int], Request]:
    page = world.ask(N1, WatchRequest(world.new_id(), TIME_MS, "", None, 10))
    assert isinstance(page, WatchPage)
    world.freeze(N1, "k")
    world.run(100)
    return lambda number: WatchRequest(number, TIME_MS, "", page.position, 10)


def locks(world: BusyDisk) -> Callable[[int], Request]:
    wish = TermClaim("somebody", b"id", 60_000, bytes(32))
    return lambda number: LockRequest(number, TIME_MS, f"lock/{number}", True, wish)


def end(world: World, how: str) -> None:
    numbers = range(1_000, 1_000 + MANY)
    match how:
        case "gone":
            world.post(N1, ClientGone(7))
        case "cancelled":
            world.post(N1, FromClient(7, tuple(map(Cancel, numbers))))
        case "refused":
            world.post(N1, Crowded(7, MANY))
        case _:
            world.run(TIME_MS + 100)
    world.settle()


@pytest.mark.parametrize("how", ["gone", "cancelled", "refused", "late"])
@pytest.mark.parametrize("kind", [latest, watches, locks])
def test_a_read_of_the_disk_goes_with_the_request_that_it_is_for(
    kind: Callable[[BusyDisk], Callable[[int], Request]], how: str
) -> None:
    world = BusyDisk(1)
    asked = kind(world)
    world.busy = True
    world.post(N1, FromClient(7, tuple(asked(1_000 + n) for n in range(MANY))))
    world.settle()
    assert len(world.asked) == MANY and not world.called_off
    end(world, how)
    assert world.called_off == world.asked
    assert not work(world)


@pytest.mark.parametrize("how", ["gone", "cancelled", "refused", "late"])
@pytest.mark.parametrize("kind", [GetRequest, WaitRequest])
def test_a_question_to_peers_goes_with_the_request_that_it_is_for(
    kind: type[GetRequest | WaitRequest], how: str
) -> None:
    world = BusyDisk(3)
    for node in ("n2", "n3"):
        world.crash(NodeId(node))
    asked = (kind(1_000 + n, TIME_MS, Key(f"k/{n}")) for n in range(MANY))
    world.post(N1, FromClient(7, tuple(asked)))
    world.settle()
    assert world.replica(N1).reads_under_way == MANY
    end(world, how)
    assert not work(world)


def test_a_read_that_has_been_called_off_and_is_found_all_the_same_is_passed_over() -> None:
    world = BusyDisk(1)
    world.busy = True
    world.post(N1, FromClient(7, (LatestRequest(1_000, TIME_MS, "s"),)))
    world.settle()
    [token] = world.asked
    world.post(N1, ClientGone(7))
    world.busy = False
    world.post(N1, SlotDone(token, 0))
    world.settle()
    assert not work(world)
