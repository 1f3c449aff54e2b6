"""Bulk: events of those who are behind. They have turns of their own; claims and votes go first.

A node that is behind reads feeds and fetches decrees. A thousand of them take as long as dozens of
claims, and all that has arrived meanwhile would wait. So these events have a line of their own, and a
turn of a node that votes takes one of them and nothing else. There is such a turn if nothing else is to
be done, or if the other turns have used as much processor time as these.

The halves are equal since a joiner must learn faster than new claims are decided, and to learn a decree
costs less than to decide it. A joiner that is served less may never be done.

A node that does not vote has nothing more urgent: it takes all of them in their order. So a node that
takes an epoch over reads as fast as it can.
"""

from collections import deque

from ..replica.step.disk_reads import FeedDone
from ..replica.step.events import Event, FetchOn, FromPeer
from ..wire.peers import FeedPage, Fetch

FEW_KEYS = 128
"""A message with so many keys is no bulk: nodes in step and changes of members need it soon."""
READ_PAUSE_MS = 10.0
"""The pause of a busy voter between two pages that it reads of the feeds of others.

It knows nearly all that they have. So nobody waits for it, except for those that it serves."""
MAX_OWED_MS = 20.0
"""For how long turns for bulk may follow each other while others wait."""
_SERVING = frozenset((FetchOn, FeedDone))


class Bulk:
    """The events that wait for others: what is served to peers, and pages that are read."""

    def __init__(self) -> None:
        self._serving = deque[Event]()
        self._reading = deque[Event]()
        self._next_read_ms = 0.0
        self._owed_ms = 0.0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._serving) + len(self._reading)

    def put(self, event: Event) -> None:
        """Append an event."""
        (self._reading if _is_page(event) else self._serving).append(event)

    def take(self, now_ms: float, *, busy: bool) -> list[Event]:
        """Take one event at most.

        Args:
            now_ms: the time.
            busy: whether there is anything else to do.
        """
        if busy and self._owed_ms <= 0.0:
            return []
        if self._reading and (now_ms >= self._next_read_ms or not (busy or self._serving)):
            self._next_read_ms = now_ms + READ_PAUSE_MS
            return [self._reading.popleft()]
        return [self._serving.popleft()] if self._serving else []

    def used(self, cpu_ms: float) -> None:
        """A turn for one of these events has used so much processor time."""
        self._owed_ms = max(-MAX_OWED_MS, self._owed_ms - cpu_ms)

    def others_used(self, cpu_ms: float) -> None:
        """Another turn has used so much processor time while these events waited."""
        self._owed_ms = min(MAX_OWED_MS, self._owed_ms + cpu_ms)

    def take_all(self) -> list[Event]:
        """Take everything."""
        taken = [*self._serving, *self._reading]
        self._serving.clear()
        self._reading.clear()
        return taken


def is_bulk(event: Event) -> bool:
    """Whether an event may wait for others."""
    if type(event) is not FromPeer:
        return type(event) in _SERVING
    message = event.message
    if type(message) is Fetch or type(message) is FeedPage:
        return len(message.keys) > FEW_KEYS
    return False


def _is_page(event: Event) -> bool:
    return type(event) is FromPeer and type(event.message) is FeedPage
