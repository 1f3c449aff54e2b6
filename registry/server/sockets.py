"""The sockets that the turns' own task reads, all in one go before each turn.

A task for each connection would cost a system call and two switches of tasks for each frame. Here a
connection's task is parked for as long as nothing must be waited for, whatever already lies in the
sockets when a turn begins is in it, and waiting for all of them is one wait. What must be waited for
(room, the rest of a frame) is the business of the connection's task: it is resumed for that.
"""

import selectors
import socket
from collections.abc import Callable
from typing import Self

import trio
from msgspec import Struct

from ..errors import ProtocolError


class Watched(Struct, eq=False):
    """A socket that is read whenever bytes have come on it.

    Attributes:
        fd: the socket.
        task: its connection's task, parked meanwhile.
        read: reads it, and says whether it may be read on in this way.
        parked: whether the task still waits; it is resumed once.
        error: what reading raised; the task raises it.
    """

    fd: int
    task: trio.lowlevel.Task
    read: Callable[[], bool]
    parked: bool = True
    error: ProtocolError | OSError | None = None


class Sockets:
    """All sockets that are watched, and a bell for those who have something to say without bytes."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._rung = False
        self._ready: list[tuple[selectors.SelectorKey, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        self._bell.close()
        self._button.close()

    async def watch(self, fd: int, read: Callable[[], bool]) -> None:
        """Have `read` called whenever bytes have come, until it returns False.

        Raises:
            ProtocolError, OSError: what `read` raises; it is called no more then.
        """
        watched = Watched(fd, trio.lowlevel.current_task(), read)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._forget(watched)
            return trio.lowlevel.Abort.SUCCEEDED

        self._selector.register(fd, selectors.EVENT_READ, watched)
        await trio.lowlevel.wait_task_rescheduled(abort)
        if watched.error is not None:
            raise watched.error

    async def wait(self) -> None:
        """Wait until bytes have come on any of them, or the bell rings."""
        await trio.lowlevel.wait_readable(self._selector.fileno())

    def ring(self) -> None:
        """End `wait`, this time or next time."""
        if not self._rung:
            self._rung = True
            self._button.send(b"!")

    def look(self) -> bool:
        """Whether there is anything to read now."""
        if not self._ready:
            self._ready = self._selector.select(0)
        return bool(self._ready)

    def read(self) -> None:
        """Read every socket on which bytes have come."""
        self.look()
        ready, self._ready = self._ready, []
        for key, _ in ready:
            if key.data is None:
                self._rung = False
                self._bell.recv(1)
            elif key.data.parked:
                self._read_one(key.data)

    def _read_one(self, watched: Watched) -> None:
        try:
            if watched.read():
                return
        except (ProtocolError, OSError) as error:
            watched.error = error
        if watched.parked:  # what was read may have ended its own connection
            self._forget(watched)
            trio.lowlevel.reschedule(watched.task)

    def _forget(self, watched: Watched) -> None:
        watched.parked = False
        self._selector.unregister(watched.fd)
