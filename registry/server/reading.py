"""Reads of durable state: in worker threads, a few at a time, and of each requester in turn.

What waits is what the replica has asked for, and no task: a client may cause thousands.
"""

from collections.abc import Callable
from typing import assert_never

import trio

from ..disk import Storage
from ..errors import Damaged
from ..replica.step.effects import Read, ReadFeed, ReadLastSlot, ReadScan
from ..replica.step.events import Event, FeedDone, Origin, ReadFailed, ScanDone, SlotDone
from ..replica.step.in_turn import InTurn

READERS = 2


class Readers:
    """Those who read.

    Args:
        storage: what they read.
        post: is told what they found.
    """

    def __init__(self, storage: Storage, post: Callable[[Event], None]) -> None:
        self._storage = storage
        self._post = post
        self._line = InTurn[Read]()
        self._waiting = trio.Semaphore(0)

    def add(self, read: Read) -> None:
        """Read this, once it is its requester's turn."""
        self._line.add(_asker(read), read)
        self._waiting.release()

    async def run(self) -> None:
        """Read, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(READERS):
                nursery.start_soon(self._read_on)

    async def _read_on(self) -> None:
        while True:
            await self._waiting.acquire()
            read = self._line.take()
            try:
                event = await trio.to_thread.run_sync(self._look_up, read)
            except Damaged as error:
                event = ReadFailed(read.token, str(error))
            self._post(event)

    def _look_up(self, read: Read) -> Event:
        """In a worker thread: read durable state."""
        match read:
            case ReadScan(token, prefix, after, limit, max_bytes, until):
                return ScanDone(token, self._storage.scan(prefix, after, limit, max_bytes, until))
            case ReadFeed(token, start, limit):
                entries, next_index = self._storage.feed(start, limit)
                return FeedDone(token, tuple(entries), next_index)
            case ReadLastSlot(token, series):
                return SlotDone(token, self._storage.last_slot(series))
            case _:
                assert_never(read)


def _asker(read: Read) -> Origin | None:
    return None if isinstance(read, ReadScan) else read.requester
