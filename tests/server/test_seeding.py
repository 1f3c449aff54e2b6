"""How the pages of a seed reach the node, and what ends it."""

from collections.abc import Iterator, Sequence

import pytest
import trio
import trio.testing

from decreed.registry.errors import Damaged, Refused
from decreed.registry.replica.step.events import Event, Seeded
from decreed.registry.server.inbox import Inbox
from decreed.registry.server.seeding import sow
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.marks import FeedMark

from ..support.world import claim

FORMATION = b"f" * 16
pytestmark = pytest.mark.trio


def decree(key: str) -> Decree:
    return Decree.of(claim(key), Ballot(1, Process(NodeId("n1"), 1)), 0)


class Pages:
    """A seed of single decrees."""

    name = "full.snapshot"
    marks = (FeedMark(NodeId("n1"), bytes(16), 1, 7),)

    def __init__(self, count: int, formation: bytes = FORMATION, fault: Exception | None = None):
        self.formation = formation
        self.count, self._fault = count, fault

    def pages(self) -> Iterator[Sequence[Decree]]:
        for number in range(self.count):
            yield [decree(f"k{number}")]
        if self._fault is not None:
            raise self._fault


class Loop:
    """A node's loop that takes its turns when the test says so."""

    def __init__(self) -> None:
        self.inbox = Inbox()

    def post(self, event: Event, weight: int = 0) -> None:
        self.inbox.put(event, weight)

    async def room(self) -> None:
        await self.inbox.room()

    def turn(self) -> list[Seeded]:
        return [event for event in self.inbox.take() if isinstance(event, Seeded)]


async def test_few_pages_wait_however_slow_the_node_is() -> None:
    loop, taken = Loop(), list[Seeded]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sow, Pages(20), lambda: FORMATION, loop)
        with trio.fail_after(30):
            while not (taken and taken[-1].is_last):
                await trio.sleep(0.001)
                together = loop.turn()
                assert len(together) <= 2
                taken += together
    assert [page.decrees[0].key for page in taken] == [f"k{number}" for number in range(20)]
    assert [page.is_last for page in taken] == [False] * 19 + [True]
    told = [(page.count, page.marks) for page in taken]
    assert told == [(0, ())] * 19 + [(20, Pages.marks)], (
        "marks come with the end, and with its count"
    )


async def test_an_empty_seed_ends_the_wait_too() -> None:
    loop = Loop()
    await sow(Pages(0), lambda: FORMATION, loop)
    assert [(page.decrees, page.is_last) for page in loop.turn()] == [((), True)]


async def test_a_seed_waits_until_the_node_has_joined_and_is_refused_if_it_joined_another() -> None:
    loop, found = Loop(), list[bytes]()
    refused: list[Refused] = []

    async def sown() -> None:
        with pytest.raises(Refused, match="nothing of it was taken") as caught:
            await sow(Pages(3), lambda: found[-1] if found else None, loop)
        refused.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sown)
        await trio.testing.wait_all_tasks_blocked()
        assert not loop.inbox and not refused
        found.append(b"g" * 16)
    assert len(refused) == 1
    assert not loop.inbox


async def test_a_file_that_cannot_be_read_any_more_is_an_error() -> None:
    with pytest.raises(Damaged, match=r"full\.snapshot cannot be read any more"):
        await sow(Pages(1, fault=OSError("gone")), lambda: FORMATION, Loop())
