"""What has happened and waits for a turn, bounded by messages and by the bytes of their values.

An event may be many messages, since the requests of a frame come as one (`FromClient`). What counts is
messages: a turn takes so many of them at most, and parts an event that holds more than are left.

When more waits than a turn takes, each connection has its share of the turn (`shares`). And a client of
which nothing waits may always put something in, so that nobody stands in line behind the others.
"""

import trio

from ..replica.events import Event, FromClient
from .shares import messages, share

MAX_TAKEN = 4_096
"""How many messages a turn takes at most."""
MAX_WAITING = 16_384
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""How many bytes of values may wait for a turn; a turn needs several times its bytes of memory."""


class Room:
    """What waits of one kind: how many messages, and how many bytes of values."""

    def __init__(self) -> None:
        self.count = 0
        self.size = 0

    @property
    def is_left(self) -> bool:
        """Whether there is so little that more may be taken from outside."""
        return self.count <= MAX_WAITING and self.size <= MAX_WAITING_BYTES


class Inbox:
    """Events in order of arrival."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._asked = Room()
        self._other = Room()
        self._askers: set[int] = set()
        self._crowd = trio.lowlevel.ParkingLot()

    def __bool__(self) -> bool:
        return bool(self._events)

    def put(self, event: Event, weight: int = 0) -> None:
        """Behind all others. `weight`: the bytes of its values."""
        self._events.append(event)
        room = self._count(event)
        room.size += weight

    def put_first(self, *events: Event) -> None:
        """Before all others, in this order."""
        self._events[:0] = events
        for event in events:
            self._count(event)

    def take(self) -> list[Event]:
        """The oldest events, as many as a turn takes; who waits for room may look again."""
        if self._asked.count + self._other.count <= MAX_TAKEN:
            taken, rest = self._events, []
        else:
            taken, rest = share(self._events, MAX_TAKEN)
        self._recount(rest)
        if self._crowd:
            self._crowd.unpark_all()
        return taken

    @property
    def has_room(self) -> bool:
        """Whether more may be taken from a peer."""
        return self._other.is_left

    def has_room_for(self, connection: int) -> bool:
        """Whether more may be taken from a client."""
        return self._asked.is_left or connection not in self._askers

    async def room(self, connection: int | None = None) -> None:
        """Wait until there is room, for a client if one is named."""
        while not (self.has_room if connection is None else self.has_room_for(connection)):
            await self._crowd.park()

    def _count(self, event: Event) -> Room:
        if type(event) is FromClient:
            self._askers.add(event.connection)
            self._asked.count += len(event.requests)
            return self._asked
        self._other.count += 1
        return self._other

    def _recount(self, rest: list[Event]) -> None:
        """What is left. Bytes count until nothing is: too early is not too late."""
        self._events = rest
        asked = [event for event in rest if type(event) is FromClient]
        self._askers = {event.connection for event in asked}
        self._asked.count = sum(map(messages, asked))
        self._other.count = len(rest) - len(asked)
        for room in (self._asked, self._other):
            if not room.count:
                room.size = 0
