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
        self._by_token: dict[int, Read] = {}
        self._idle = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        """How many reads wait in line."""
        return len(self._by_token)

    def add(self, read: Read) -> None:
        """Read this, once it is its requester's turn."""
        self._line.add(_requester(read), read)
        self._by_token[read.token] = read
        self._idle.unpark()

    def call_off(self, token: int) -> None:
        """Nobody waits for this any more; one that is being read is read to its end."""
        read = self._by_token.pop(token, None)
        if read is not None:
            self._line.discard(_requester(read), read)

    async def run(self) -> None:
        """Read, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(READERS):
                nursery.start_soon(self._read_on)

    async def _read_on(self) -> None:
        while True:
            while not self._line:
                await self._idle.park()
            read = self._line.take()
            del self._by_token[read.token]
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


def _requester(read: Read) -> Origin | None:
    return None if isinstance(read, ReadScan) else read.requester
