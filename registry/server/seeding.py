"""Giving a node that joins the decrees of a seed, page by page, as fast as it learns them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import trio
from msgspec.structs import replace

from ..errors import Damaged, Refused
from ..replica.step.events import Event, Seeded
from ..types import Decree
from ..wire.marks import FeedMark
from . import log
from .inbox import MAX_WAITING_BYTES

WEIGHT = MAX_WAITING_BYTES // 2 + 1
"""A page counts so much in the inbox that two of them fill it: one is learned, the next one waits."""
TOLD_S = 5.0
"""How often the log says how far it is."""

Page = Sequence[Decree]


class Seed(Protocol):
    """A snapshot that was found sound and of the right cluster; storage has it."""

    @property
    def formation(self) -> bytes:
        """The formation that it was taken from."""
        ...

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def count(self) -> int:
        """How many decrees it has."""
        ...

    @property
    def marks(self) -> tuple[FeedMark, ...]:
        """How far the feeds of voters are in it."""
        ...

    def pages(self) -> Iterator[Page]:
        """Its decrees, some at a time; each step blocks."""
        ...


class Inlet(Protocol):
    """The node's loop, as a seed needs it."""

    def post(self, event: Event, weight: int = 0) -> None:
        """Queue an event for the next turn."""
        ...

    async def room(self) -> None:
        """Wait until the inbox has room."""
        ...


async def sow(seed: Seed, formation: Callable[[], bytes | None], loop: Inlet) -> None:
    """Give a node the decrees of a seed, once it has joined a formation.

    Args:
        seed: the decrees.
        formation: the formation of the node; None until it has one.
        loop: of the node.

    Raises:
        Refused: if the node has joined another formation than that of the seed.
        Damaged: if a file makes no sense, or cannot be read any more.
    """
    joined = await _joined(formation)
    if joined != seed.formation:
        raise Refused(
            f"{seed.name} was saved from formation {seed.formation.hex()}, and this node has joined"
            f" {joined.hex()}: nothing of it was taken. Start the node without it, or with a snapshot"
            " of that formation"
        )
    try:
        await _give(seed, loop)
    except OSError as error:
        raise Damaged(f"{seed.name} cannot be read any more: {error}") from error


async def _joined(formation: Callable[[], bytes | None]) -> bytes:
    while (joined := formation()) is None:
        await trio.sleep(0.02)
    return joined


async def _give(seed: Seed, loop: Inlet) -> None:
    log.info("seeding", file=seed.name)
    count, began_s = 0, trio.current_time()
    told_s = began_s
    pages = seed.pages()
    page = await trio.to_thread.run_sync(next, pages, None)
    while page is not None:
        following = await trio.to_thread.run_sync(next, pages, None)
        await loop.room()
        told = Seeded(seed.formation, tuple(page), following is None)
        if told.is_last:
            told = replace(told, count=seed.count, marks=seed.marks)
        loop.post(told, WEIGHT)
        count += len(page)
        if trio.current_time() - told_s >= TOLD_S:
            told_s = trio.current_time()
            log.info("seeding", decrees=count)
        page = following
    if not count:
        loop.post(Seeded(seed.formation, (), True, seed.count, seed.marks))
    seconds = round(trio.current_time() - began_s, 1)
    log.info("seeded", decrees=count, seconds=seconds, marks=len(seed.marks))
