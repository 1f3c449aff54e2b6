"""Handshakes that are under way: bounded in number, in total and for each address, and in rate.

When there are too many, the oldest unfinished one goes and never the newcomer: an honest handshake
takes milliseconds, so the oldest is the one that a stranger has left open.

Each takes about a millisecond of the processor, so only so many begin in a second. Further connections
wait, and begin one from each address in turn: who makes many delays his own. All addresses of a network
of IPv6 (a /64) are one.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from math import inf

import trio

from ..addresses import network_of
from ..errors import ProtocolError
from ..replica.step.in_turn import InTurn

MOST = 128
"""One takes at most 45 KiB, so all together 6 MiB."""
MOST_BYTES = 64 * 1024
"""What one may receive; certificates of three authorities are a tenth of it."""

PER_S = 200.0
"""How many begin in a second, in the long run: a fifth of a core."""
BURST_S = 0.1
"""So much of that time may gather while none begins."""


class Handshakes:
    """All that are under way at a node.

    Args:
        most: how many; one address has at most a quarter of them.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._scopes: dict[trio.CancelScope, str] = {}
        self._counts: Counter[str] = Counter()
        self._line = InTurn[trio.Event]()
        self._idle = trio.lowlevel.ParkingLot()
        self._next_s = -inf

    def __len__(self) -> int:
        return len(self._scopes)

    async def turn(self, host: str) -> None:
        """Wait until one more may begin, from this address; while there are few, not at all."""
        if not self._line and self._next_s <= trio.current_time():
            self._begin_one()
            return
        begins, host = trio.Event(), network_of(host)
        self._line.add(host, begins)
        self._idle.unpark()
        try:
            await begins.wait()
        finally:
            self._line.discard(host, begins)

    async def keep_pace(self) -> None:
        """Let those that wait begin, until cancelled."""
        while True:
            while not self._line:
                await self._idle.park()
            await trio.sleep(max(0.0, self._next_s - trio.current_time()))
            if self._line:
                self._begin_one()
                self._line.take().set()

    def _begin_one(self) -> None:
        self._next_s = max(self._next_s, trio.current_time() - BURST_S) + 1 / PER_S

    @contextmanager
    def one(self, host: str) -> Generator[None]:
        """Count the handshake in the block.

        Args:
            host: the address from which the connection comes, without its port.

        Raises:
            ProtocolError: if it was ended, since too many newer ones came.
        """
        host = network_of(host)
        if self._counts[host] >= max(1, self._most // 4):
            self._end_oldest(host)
        elif len(self._scopes) >= self._most:
            self._end_oldest(None)
        with trio.CancelScope() as scope:
            self._scopes[scope] = host
            self._counts[host] += 1
            try:
                yield
                return
            finally:
                self._leave(scope)
        raise ProtocolError("its handshake was the oldest of too many")

    def _end_oldest(self, host: str | None) -> None:
        oldest = next(each for each, of in self._scopes.items() if host in (None, of))
        oldest.cancel()
        self._leave(oldest)

    def _leave(self, scope: trio.CancelScope) -> None:
        host = self._scopes.pop(scope, None)
        if host is not None:
            self._counts[host] -= 1
            if not self._counts[host]:
                del self._counts[host]
