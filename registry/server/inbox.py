"""What has happened and waits for a turn, bounded by messages and by the bytes of their values.

An event may be many messages, since the requests of a frame come as one (`FromClient`). What counts is
messages: a turn takes so many of them at most, and parts an event that holds more than are left.

What peers say and what the node tells itself ends what was begun for many. So it goes first, and
leaves clients a part of the turn: if more was begun than is ended, every request would wait behind the
answers to all others. When clients ask more than is left, each connection has its share (`shares`).
And a client of which nothing waits may always put something in, so nobody stands in line behind others.
"""

import trio

from ..replica.events import ClientGone, Event, FromClient
from .shares import messages, share

MAX_TAKEN = 4_096
"""How many messages a turn takes at most."""
ASKED_PART = 8
"""Of a turn's messages, one in so many may be a client's, however much others have said."""
MIN_TAKEN = 256
"""How many it may take at least, however long turns are."""
TURN_MS = 50.0
"""So long a turn should be at most: nobody is answered before its end."""
MAX_WAITING = 16_384
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""How many bytes of values may wait for a turn; a turn needs several times its bytes of memory."""


def fitting(count: int, took_ms: float) -> int:
    """How many messages a turn may take, if `count` of them took so long."""
    fit = int(count * TURN_MS / max(took_ms, 1.0))
    return max(MIN_TAKEN, min(MAX_TAKEN, fit))


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
    """Events in order of arrival: those from clients, and all others."""

    def __init__(self) -> None:
        self._asked: list[Event] = []
        self._others: list[Event] = []
        self._asked_room = Room()
        self._others_room = Room()
        self._askers: set[int] = set()
        self._crowd = trio.lowlevel.ParkingLot()
        self._most = MAX_TAKEN
        self._taken = 0

    def __bool__(self) -> bool:
        return bool(self._asked or self._others)

    def put(self, event: Event, weight: int = 0) -> None:
        """Behind all others. `weight`: the bytes of its values."""
        if type(event) is FromClient:
            self._asked.append(event)
            self._askers.add(event.connection)
            self._asked_room.count += len(event.requests)
            self._asked_room.size += weight
        elif type(event) is ClientGone:
            self._asked.append(event)
            self._asked_room.count += 1
        else:
            self._others.append(event)
            self._others_room.count += 1
            self._others_room.size += weight

    def put_first(self, *events: Event) -> None:
        """Before all others, in this order."""
        asked = [event for event in events if isinstance(event, FromClient | ClientGone)]
        others = [event for event in events if not isinstance(event, FromClient | ClientGone)]
        self._leave(asked + self._asked, others + self._others)

    def take(self, most_asked: int = MAX_TAKEN) -> list[Event]:
        """The oldest events, as many as a turn takes; who waits for room may look again.

        Args:
            most_asked: how many messages from clients may be among them.
        """
        asked_count, others_count = self._asked_room.count, self._others_room.count
        most_asked = min(asked_count, most_asked)
        if most_asked == asked_count and asked_count + others_count <= self._most:
            taken = self._others + self._asked if self._others else self._asked
            self._leave([], [])
            self._taken = asked_count + others_count
        else:
            taken = self._take_some(most_asked)
        if self._crowd:
            self._crowd.unpark_all()
        return taken

    def _take_some(self, most_asked: int) -> list[Event]:
        others = min(len(self._others), self._most - min(most_asked, self._most // ASKED_PART))
        asked, rest = share(self._asked, min(most_asked, self._most - others))
        taken = self._others[:others] + asked
        self._taken = others + sum(map(messages, asked))
        self._leave(rest, self._others[others:])
        return taken

    @property
    def took_many(self) -> bool:
        """Whether the last turn took so many messages that its time matters for the next."""
        return self._taken >= MIN_TAKEN

    def turn_took(self, took_ms: float) -> None:
        """The turn with what was taken last took so long: the next ones take as many as fit."""
        self._most = fitting(self._taken, took_ms)

    @property
    def has_room(self) -> bool:
        """Whether more may be taken from a peer."""
        return self._others_room.is_left

    def has_room_for(self, connection: int) -> bool:
        """Whether more may be taken from a client."""
        return self._asked_room.is_left or connection not in self._askers

    async def room(self, connection: int | None = None) -> None:
        """Wait until there is room, for a client if one is named."""
        while not (self.has_room if connection is None else self.has_room_for(connection)):
            await self._crowd.park()

    def _leave(self, asked: list[Event], others: list[Event]) -> None:
        """This is what waits now. Bytes count until nothing does: too early is not too late."""
        self._asked, self._others = asked, others
        self._askers = {event.connection for event in asked if type(event) is FromClient}
        self._asked_room.count = sum(map(messages, asked))
        self._others_room.count = len(others)
        for room in (self._asked_room, self._others_room):
            if not room.count:
                room.size = 0
