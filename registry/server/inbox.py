"""Events that wait for a turn, bounded by messages and by the bytes of their values.

An event may hold many messages, since the requests of a frame come as one (`FromClient`). The bounds
count messages: a turn takes a limited number, and splits an event that holds more than are left.

Messages from peers and from the node itself complete requests that were started. So they go first, and
leave clients a part of the turn: if more requests were started than completed, each would wait for the
answers to all others. When clients send more than is left, each caller has its share, over all its
connections (`shares`). A client with nothing in the inbox may always put something in, so that no
client waits for the others.

Events of those who are behind have a line of their own and turns of their own (`Bulk`).

Events for which nobody waits are *patient*: they call for no turn of their own, and go with the next.
"""

from collections.abc import Collection

import trio

from ..replica.step.events import ClientGone, Event, FromClient, FromPeer
from ..types import NodeId
from .bulk import Bulk, is_bulk
from .shares import messages, share

MAX_TAKEN = 4_096
"""The most messages that a turn takes."""
ASKED_PART = 8
"""One in this many of a turn's messages may always be a client's, however many others wait."""
MIN_TAKEN = 256
"""How many messages a turn may take at least, however long turns are."""
TURN_MS = 50.0
"""The intended maximum of a turn's duration: no request is answered before its end."""
MAX_WAITING = 16_384
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""How many bytes of values may wait for a turn; a turn needs several times as much memory."""


def fitting(count: int, took_ms: float) -> int:
    """How many messages a turn may take, if `count` of them took `took_ms`."""
    fit = int(count * TURN_MS / max(took_ms, 1.0))
    return max(MIN_TAKEN, min(MAX_TAKEN, fit))


class Room:
    """The waiting messages of one kind: their number, and the bytes of their values."""

    def __init__(self) -> None:
        self.count = 0
        self.size = 0

    @property
    def is_left(self) -> bool:
        """Whether more may be taken from outside."""
        return self.count <= MAX_WAITING and self.size <= MAX_WAITING_BYTES


def _is_of(event: Event, clients: Collection[int]) -> bool:
    return isinstance(event, FromClient | ClientGone) and event.connection in clients


class Inbox:
    """Events in order of arrival: those from clients, and all others."""

    def __init__(self) -> None:
        self._asked: list[Event] = []
        self._others: list[Event] = []
        self._asked_room = Room()
        self._others_room = Room()
        self._bulk, self._bulk_room = Bulk(), Room()
        self._took_bulk = False
        self._is_first = self._calls = False
        self._askers: set[int] = set()
        self._callers: dict[int, int] = {}
        self._leaving = 0
        self._crowd = trio.lowlevel.ParkingLot()
        self._most = MAX_TAKEN
        self._taken = 0

    def __bool__(self) -> bool:
        """Whether anything calls for a turn."""
        return self._calls or self._bulk_room.count > 0

    def put_patient(self, event: Event, weight: int) -> None:
        """Append an event of a peer that goes with the next turn.

        One that fills the inbox calls for a turn, since its sender waits for room.
        """
        self._others.append(event)
        self._others_room.count += 1
        self._others_room.size += weight
        self._calls = self._calls or not self._others_room.is_left

    @property
    def waiting(self) -> dict[str, int]:
        """How many messages wait in each line."""
        rooms = (self._asked_room, self._others_room, self._bulk_room)
        return dict(zip(("clients", "peers", "bulk"), [room.count for room in rooms], strict=True))

    def put(self, event: Event, weight: int = 0, caller: int | None = None) -> None:
        """Append an event that calls for a turn.

        Args:
            event: the event.
            weight: the bytes of its values.
            caller: whose connection it came on; by default, that connection is a caller of its own.
        """
        if type(event) is FromClient:
            self._asked.append(event)
            self._askers.add(event.connection)
            if caller is not None:
                self._callers[event.connection] = caller
            self._asked_room.count += len(event.requests)
            self._asked_room.size += weight
        elif type(event) is ClientGone:
            self._asked.append(event)
            self._asked_room.count += 1
            self._leaving += 1
        elif is_bulk(event):
            self._bulk.put(event)
            self._bulk_room.count += 1
            self._bulk_room.size += weight
            return
        else:
            self._others.append(event)
            self._others_room.count += 1
            self._others_room.size += weight
        self._calls = True

    def put_first(self, *events: Event) -> None:
        """Put events in front, in this order; the next turn takes them, and no bulk."""
        self._is_first = True
        asked = [event for event in events if isinstance(event, FromClient | ClientGone)]
        self._leaving += sum(type(event) is ClientGone for event in asked)
        others = [event for event in events if not isinstance(event, FromClient | ClientGone)]
        self._leave(asked + self._asked, others + self._others)

    def drop(self, clients: Collection[int], peers: Collection[NodeId]) -> None:
        """Forget what these clients and peers have said, and that the clients have not gone yet."""
        self._leave(
            [each for each in self._asked if not _is_of(each, clients)],
            [
                each
                for each in self._others
                if type(each) is not FromPeer or each.sender not in peers
            ],
        )

    def take(self, most_asked: int = MAX_TAKEN) -> list[Event]:
        """Take the oldest events, as many as a turn takes, and wake those that wait for room.

        Args:
            most_asked: the most messages from clients among them.
        """
        self._is_first = False
        asked_count, others_count = self._asked_room.count, self._others_room.count
        most_asked = min(asked_count, most_asked)
        if most_asked == asked_count and asked_count + others_count <= self._most:
            taken = self._others + self._asked if self._others else self._asked
            self._leave([], [])
            self._taken = asked_count + others_count
        else:
            taken = self._take_some(most_asked)
        if self._leaving:
            self._forget(taken)
        if self._crowd:
            self._crowd.unpark_all()
        return taken

    def caller_of(self, connection: int) -> int:
        """Whose a connection is; below 0 if it is a caller of its own."""
        return self._callers.get(connection, -connection)

    def _forget(self, taken: list[Event]) -> None:
        """Nothing more comes from a connection that has ended."""
        for event in taken:
            if type(event) is ClientGone:
                self._leaving -= 1
                self._callers.pop(event.connection, None)

    def take_bulk(self, now_ms: float, *, busy: bool, patient: bool) -> list[Event]:
        """Take what those who are behind wait for, and wake those that wait for room.

        Empty if it is the turn of others (`Bulk`).

        Args:
            now_ms: the time.
            busy: whether the loop has anything to do that is not here.
            patient: whether bulk may wait for others; it may at a node that votes.
        """
        self._took_bulk = False
        if not self._bulk_room.count or self._is_first:
            return []
        if patient:
            taken = self._bulk.take(now_ms, busy=busy or bool(self._asked or self._others))
            self._took_bulk = bool(taken)
            self._taken = 0
        else:
            taken = self._bulk.take_all()
        self._bulk_room.count = len(self._bulk)
        if not self._bulk:
            self._bulk_room.size = 0
        if taken and self._crowd:
            self._crowd.unpark_all()
        return taken

    @property
    def has_bulk(self) -> bool:
        """Whether anything waits for others, or the last turn was for it."""
        return self._took_bulk or self._bulk_room.count > 0

    def turn_used(self, cpu_ms: float) -> None:
        """Share the processor between bulk and others, by what the last turn used of it."""
        if self._took_bulk:
            self._bulk.used(cpu_ms)
        elif self._bulk:
            self._bulk.others_used(cpu_ms)

    def _take_some(self, most_asked: int) -> list[Event]:
        others = min(len(self._others), self._most - min(most_asked, self._most // ASKED_PART))
        asked, rest = share(self._asked, min(most_asked, self._most - others), self.caller_of)
        taken = self._others[:others] + asked
        self._taken = others + sum(map(messages, asked))
        self._leave(rest, self._others[others:])
        return taken

    @property
    def took_many(self) -> bool:
        """Whether the last turn took enough messages that its duration counts for the next."""
        return self._taken >= MIN_TAKEN

    def turn_took(self, took_ms: float) -> None:
        """Adapt the size of the next turns to the duration of the last one."""
        self._most = fitting(self._taken, took_ms)

    @property
    def has_room(self) -> bool:
        """Whether more may be taken from a peer."""
        return self._others_room.is_left and self._bulk_room.is_left

    def has_room_for(self, connection: int) -> bool:
        """Whether more may be taken from a client."""
        return self._asked_room.is_left or connection not in self._askers

    async def room(self, connection: int | None = None) -> None:
        """Wait until there is room, for a client if one is named."""
        while not (self.has_room if connection is None else self.has_room_for(connection)):
            await self._crowd.park()

    def _leave(self, asked: list[Event], others: list[Event]) -> None:
        """Set what waits now. Bytes are counted as waiting until nothing waits, which is safe."""
        self._asked, self._others = asked, others
        self._calls = bool(asked or others)
        self._askers = {event.connection for event in asked if type(event) is FromClient}
        self._asked_room.count = sum(map(messages, asked))
        self._others_room.count = len(others)
        for room in (self._asked_room, self._others_room):
            if not room.count:
                room.size = 0
