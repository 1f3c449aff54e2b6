"""Reads of durable state: in worker threads, a few at a time, and of each requester in turn.

What waits is what the replica has asked for, and no task: a client may cause thousands.
"""

from collections.abc import Callable
from typing import assert_never

import trio

from ..disk import Storage
from ..errors import Damaged
from ..replica.step.disk_reads import CheckDone, FeedDone, ReadFailed, ScanDone, SlotDone
from ..replica.step.effects import Read, ReadChecked, ReadFeed, ReadLastSlot, ReadScan
from ..replica.step.events import Event, Origin
from ..replica.step.in_turn import InTurn
from .shares import CallerOf, alone

READERS = 2


class Readers:
    """Those who read.

    Args:
        storage: what they read.
        post: is told what they found.
        caller_of: whose a client's connection is: callers are served in turn.
    """

    def __init__(
        self, storage: Storage, post: Callable[[Event], None], caller_of: CallerOf = alone
    ) -> None:
        self._storage = storage
        self._caller_of = caller_of
        self._post = post
        self._line = InTurn[Read]()
        self._by_token: dict[int, Read] = {}
        self._requesters: dict[int, Origin | None] = {}
        self._idle = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        """How many reads wait in line."""
        return len(self._by_token)

    def add(self, read: Read) -> None:
        """Read this, once it is its requester's turn."""
        self._line.add(self._requester(read), read)
        self._by_token[read.token] = read
        self._idle.unpark()

    def call_off(self, token: int) -> None:
        """Nobody waits for this any more; one that is being read is read to its end."""
        read = self._by_token.pop(token, None)
        if read is not None:
            self._line.discard(self._requesters.pop(token), read)

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
            del self._by_token[read.token], self._requesters[read.token]
            try:
                event = await trio.to_thread.run_sync(self._look_up, read)
            except Damaged as error:
                event = ReadFailed(read.token, str(error))
            self._post(event)

    def _look_up(self, read: Read) -> Event:
        """In a worker thread: read durable state."""
        match read:
            case ReadScan(token, prefix, after, limit, max_bytes, until, within):
                where = (prefix, after, limit, max_bytes, until, within)
                return ScanDone(token, self._storage.scan(*where))
            case ReadFeed(token, start, limit, _, known_below):
                entries, next_index = self._storage.feed(start, limit, known_below)
                return FeedDone(token, tuple(entries), next_index)
            case ReadLastSlot(token, series):
                return SlotDone(token, self._storage.last_slot(series))
            case ReadChecked(token, position, max_bytes):
                return CheckDone(token, self._storage.check(position, max_bytes))
            case _:
                assert_never(read)

    def _requester(self, read: Read) -> Origin | None:
        """For whom it is: a caller, another node, or None for the node itself."""
        asks = None if isinstance(read, ReadScan | ReadChecked) else read.requester
        requester = self._caller_of(asks) if isinstance(asks, int) else asks
        self._requesters[read.token] = requester
        return requester
