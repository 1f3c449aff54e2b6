"""Large frames that are being received, of all connections: bounded together.

A small frame is read immediately. A large one is read further only once there is room for all of it,
and keeps that room until its messages are taken; the smallest waiting frame goes first. A client that
begins a large frame and does not finish it would keep the room for long. So when a frame has waited for
a while, the largest late frame is dropped, with its connection.

A complete frame is never dropped: its delay is ours, not its sender's.
"""

import heapq
from collections.abc import Callable
from itertools import count

import trio
from msgspec import Struct

LARGE_FRAME_BYTES = 32 * 1024
GRACE_S = 0.5
"""A frame is late when its bytes have been waited for longer than this."""


class Frame(Struct, eq=False):
    """A large frame that is being read.

    Attributes:
        size: its bytes.
        late_s: how long its bytes have been waited for until now.
        drop: ends its connection.
        whole: whether all of it has come.
    """

    size: int
    late_s: Callable[[], float]
    drop: Callable[[], None]
    whole: bool = False


class Incoming:
    """The large frames of all connections.

    Args:
        max_bytes: their total size; a larger single frame is admitted when there is no other.
    """

    def __init__(self, max_bytes: float) -> None:
        self._max_bytes = max_bytes
        self._frames: dict[Frame, None] = {}
        self._waiting: list[tuple[int, int, Frame, trio.Event]] = []
        self._numbers = count()
        self.held = 0

    async def admit(self, frame: Frame) -> None:
        """Wait until there is room for `frame`, and reserve it."""
        if not self._waiting and self._has_room(frame.size):
            self._hold(frame)
            return
        admitted = trio.Event()
        place = (frame.size, next(self._numbers), frame, admitted)
        heapq.heappush(self._waiting, place)
        self._let_in()
        try:
            while not admitted.is_set():
                with trio.move_on_after(GRACE_S):
                    await admitted.wait()
                if not admitted.is_set():
                    self._drop_one()
        except trio.Cancelled:
            self._leave(place)
            raise

    def release(self, frame: Frame) -> None:
        """Free the room of `frame`: its messages are taken, or its connection has ended."""
        if frame in self._frames:
            del self._frames[frame]
            self.held -= frame.size
            self._let_in()

    def _leave(self, place: tuple[int, int, Frame, trio.Event]) -> None:
        if place in self._waiting:
            self._waiting.remove(place)
            heapq.heapify(self._waiting)
        self.release(place[2])

    def _has_room(self, size: int) -> bool:
        return not self._frames or self.held + size <= self._max_bytes

    def _hold(self, frame: Frame) -> None:
        self._frames[frame] = None
        self.held += frame.size

    def _let_in(self) -> None:
        while self._waiting and self._has_room(self._waiting[0][0]):
            _, _, frame, admitted = heapq.heappop(self._waiting)
            self._hold(frame)
            admitted.set()

    def _drop_one(self) -> None:
        """Drop the largest late frame; of equally large ones, the one admitted first."""
        late = [f for f in self._frames if not f.whole and f.late_s() > GRACE_S]
        if late:
            frame = max(late, key=lambda one: one.size)
            frame.drop()
            self.release(frame)
