"""The sockets that the loop's own task reads, all together before each turn.

A task for each connection would cost a system call and two switches of tasks for each frame. Here a
connection's task is parked as long as it has nothing to wait for. A turn includes all bytes that are in
the sockets when it begins, and one wait covers all sockets. If a connection must wait (for room, or for
the rest of a frame), its task is resumed.
"""

import selectors
import socket
from collections.abc import Callable
from typing import Self

import trio
from msgspec import Struct

from ..errors import ProtocolError


class WatchedSocket(Struct, eq=False):
    """A socket that is read whenever bytes have come on it.

    Attributes:
        fd: the socket.
        task: its connection's task, parked meanwhile.
        read: reads it, and returns whether it may be read in this way again.
        parked: whether the task is still parked; it is resumed once.
        error: the error of reading; the task raises it.
    """

    fd: int
    task: trio.lowlevel.Task
    read: Callable[[], bool]
    parked: bool = True
    error: ProtocolError | OSError | None = None


class Sockets:
    """All watched sockets, and a wakeup that ends the wait without bytes on a socket."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._button = socket.socketpair()
        self._wakeup.setblocking(False)
        self._button.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._rung = False
        self._ready: list[tuple[selectors.SelectorKey, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        self._wakeup.close()
        self._button.close()

    async def watch(self, fd: int, read: Callable[[], bool]) -> None:
        """Have `read` called whenever bytes have come, until it returns False.

        Raises:
            ProtocolError, OSError: the error of `read`, which is then not called again.
        """
        watched = WatchedSocket(fd, trio.lowlevel.current_task(), read)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._forget(watched)
            return trio.lowlevel.Abort.SUCCEEDED

        self._selector.register(fd, selectors.EVENT_READ, watched)
        await trio.lowlevel.wait_task_rescheduled(abort)
        if watched.error is not None:
            raise watched.error

    async def wait(self) -> None:
        """Wait until bytes have come on a socket, or a wakeup comes."""
        await trio.lowlevel.wait_readable(self._selector.fileno())

    def wake(self) -> None:
        """End the present `wait`, or the next one."""
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
                self._wakeup.recv(1)
            elif key.data.parked:
                self._read_one(key.data)

    def _read_one(self, watched: WatchedSocket) -> None:
        try:
            if watched.read():
                return
        except (ProtocolError, OSError) as error:
            watched.error = error
        if watched.parked:  # the bytes may have ended their own connection
            self._forget(watched)
            trio.lowlevel.reschedule(watched.task)

    def _forget(self, watched: WatchedSocket) -> None:
        watched.parked = False
        self._selector.unregister(watched.fd)
