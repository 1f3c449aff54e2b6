"""What has happened and waits for a turn, bounded by messages and by the bytes of their values.

An event may be many messages, since the requests of a frame come as one (`FromClient`). What counts is
messages: a turn takes so many of them at most, and parts an event that holds more than are left.
"""

import trio

from ..replica.events import Event, FromClient

MAX_TAKEN = 4_096
"""How many messages a turn takes at most."""
MAX_WAITING = 16_384
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""How many bytes of values may wait for a turn; a turn needs several times its bytes of memory."""


class Inbox:
    """Events in order of arrival."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._count = 0
        self._bytes = 0
        self._crowd = trio.lowlevel.ParkingLot()

    def __bool__(self) -> bool:
        return bool(self._events)

    def put(self, event: Event, weight: int = 0) -> None:
        """Behind all others. `weight`: the bytes of its values."""
        self._events.append(event)
        self._count += _messages(event)
        self._bytes += weight

    def put_first(self, event: Event) -> None:
        """Before all others."""
        self._events.insert(0, event)
        self._count += _messages(event)

    def take(self) -> list[Event]:
        """The oldest events, as many as a turn takes; who waits for room may look again."""
        if self._count <= MAX_TAKEN:
            taken, self._events, self._count = self._events, [], 0
            self._bytes = 0  # before that, what was taken counts too: too early is not too late
        else:
            taken = self._oldest(MAX_TAKEN)
        if self._crowd:
            self._crowd.unpark_all()
        return taken

    @property
    def has_room(self) -> bool:
        """Whether there is so little that more may be taken from outside."""
        return self._count <= MAX_WAITING and self._bytes <= MAX_WAITING_BYTES

    async def room(self) -> None:
        """Wait until there is room."""
        while not self.has_room:
            await self._crowd.park()

    def _oldest(self, count: int) -> list[Event]:
        """Take so many messages; there are more."""
        taken: list[Event] = []
        rest: list[Event] = []
        left = count
        while left:
            event, *rest = _parted(self._events[len(taken)], left)
            taken.append(event)
            left -= _messages(event)
        self._events[: len(taken)] = rest
        self._count -= count
        return taken


def _messages(event: Event) -> int:
    return len(event.requests) if type(event) is FromClient else 1


def _parted(event: Event, most: int) -> list[Event]:
    """The event, or its first messages and the others if it holds more than `most`."""
    if type(event) is not FromClient or len(event.requests) <= most:
        return [event]
    connection, requests = event.connection, event.requests
    return [FromClient(connection, requests[:most]), FromClient(connection, requests[most:])]
