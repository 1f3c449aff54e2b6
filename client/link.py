"""One link: the connection to one endpoint, made when first needed and made anew when it broke.

Requests are handed in as tickets and never wait for the caller. What has gathered is sent together,
and answers are handed out by id. No I/O is done here: `task_link` moves the bytes in an event loop,
`socket_link` for a caller who blocks.

Invariants kept here:

* Each ticket that is not withdrawn hears exactly once: an answer, the welcome, or `Lost`.
* `Ticket.written_at` is set before the first byte goes to the socket. A ticket without it was
  certainly never seen by a node.
* At most ``max_in_flight`` of the node's requests are unanswered at a time, and `WINDOW_BYTES` of
  values; the rest waits here. So a node that is busy with megabytes is not sent more of them, and
  `Link.weight` tells how long an answer may well take.
"""

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Protocol

from msgspec import Struct

from ..registry.errors import BadRequest, DecreedError
from ..registry.wire.handshake import ClientWelcome
from ..registry.wire.requests import (
    Answer,
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Request,
)
from .endpoints import Endpoint

BATCH_BYTES = 1024 * 1024
WINDOW_BYTES = 8 * 1024 * 1024
SHORT_AVOID_SECONDS = 0.1
LONG_AVOID_SECONDS = 2.0


class Lost(Struct, frozen=True):
    """The ticket will get no answer, and why."""

    error: DecreedError


News = Answer | ClientWelcome | Lost
AnyClaim = ClaimRequest | ClaimNextRequest


class Ticket:
    """A request that was handed to a link.

    Args:
        link: where.
        id: its id on the connection.
        request: what to send; None to hear the welcome alone.
        deliver: called once, with what became of it.
        now: when it was handed in.
    """

    __slots__ = ("deliver", "id", "link", "made_at", "request", "weight", "withdrawn", "written_at")

    def __init__(
        self,
        link: "Link",
        id: int,
        request: Request | None,
        deliver: Callable[["Ticket", News], None],
        now: float,
    ) -> None:
        self.link = link
        self.id = id
        self.request = request
        self.deliver = deliver
        self.weight = _weight(request)
        self.made_at = now
        self.written_at: float | None = None
        self.withdrawn = False


class Outlet(Protocol):
    """What a link asks of an open connection: its bounds, and to send without waiting."""

    welcome: ClientWelcome

    @property
    def idle(self) -> bool:
        """Whether all that was to be sent has been handed to the system."""
        ...

    def encode(self, request: Request) -> bytes:
        """The bytes of `request`; raises `BadRequest` if it is larger than this node takes."""
        ...

    def send_now(self, messages: Sequence[bytes]) -> None:
        """Send encoded messages while it is idle; what the system does not take is kept."""
        ...


class Link(ABC):
    """The connection to one endpoint, whether it is up or not.

    Args:
        endpoint: where to connect.
        admit: told of each welcome before it is used; raises `DecreedError` to refuse it.
        now: the time in seconds, on the clock of all deadlines.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        admit: Callable[[Endpoint, ClientWelcome], None],
        now: Callable[[], float],
    ) -> None:
        self.endpoint = endpoint
        self.welcome: ClientWelcome | None = None
        self.heard_at = 0.0
        self.avoid_until = 0.0
        # how many requests have been passed on to other nodes since something was heard here
        self.late = 0
        # bytes of the values in the requests that were written and not answered
        self.weight = 0
        self._admit, self._now = admit, now
        self._running = False
        self._channel: Outlet | None = None
        self._failures = 0
        self._ids = count(1)
        self._queue: deque[Ticket | Cancel] = deque()
        # whether a decree was answered on this connection
        self._decreed = False
        self._pending: dict[int, Ticket] = {}

    @property
    def up(self) -> bool:
        """Whether the connection is open."""
        return self._channel is not None

    @property
    def load(self) -> int:
        """How many requests are in flight here."""
        return len(self._pending)

    @property
    def running(self) -> bool:
        """Whether the connection is open or being made."""
        return self._running

    def submit(
        self,
        make: Callable[[int], Request | None],
        deliver: Callable[[Ticket, News], None],
        now: float,
    ) -> Ticket:
        """Queue the request that `make` builds for its id; connect if need be. Never waits.

        It is sent after `push`, so that what is submitted together goes in one frame.
        """
        id = next(self._ids)
        ticket = Ticket(self, id, make(id), deliver, now)
        if self.up and ticket.request is None and self.welcome:
            deliver(ticket, self.welcome)
            return ticket
        self._queue.append(ticket)
        if not self._running:
            self._running = True
            self._start()
        return ticket

    def push(self) -> None:
        """Send what was submitted.

        With nothing on its way here it goes at once. Otherwise others are at work too, and the
        writer, whose turn comes soon, sends all that has gathered until then.
        """
        if not self._queue or self._channel is None:
            return
        if not self._pending and self._channel.idle:
            batch = self._take(self._channel)
            if batch:
                self._channel.send_now(batch)
        if self._queue or not self._channel.idle:
            self._wake_writer()

    def withdraw(self, ticket: Ticket) -> None:
        """Nobody waits for `ticket` any more: it is not sent, or the node is told."""
        ticket.withdrawn = True
        if self._settle(ticket.id) is not None:
            self._queue.appendleft(Cancel(ticket.id))
            self._wake_writer()

    def avoid(self, seconds: float) -> None:
        """Prefer other links for about so long, or until something is heard on this one."""
        self.avoid_until = self._now() + seconds * random.uniform(0.5, 1.0)

    @abstractmethod
    def _start(self) -> None:
        """Begin to connect; `_end` is called when the connection is over, or could not be made."""

    @abstractmethod
    def _wake_writer(self) -> None:
        """There is something to send, or room for it: `_take` soon."""

    def _open(self, channel: Outlet) -> None:
        self._admit(self.endpoint, channel.welcome)
        self.welcome = channel.welcome
        self._channel = channel
        self._decreed = False
        self._heard()

    def _end(self, error: DecreedError) -> None:
        """Tell all who wait, and how long to keep away from here."""
        was_up, self._channel, self._running = self.up, None, False
        self.late = 0
        self._failures = 0 if was_up else self._failures + 1
        self.avoid(min(LONG_AVOID_SECONDS, SHORT_AVOID_SECONDS * 2 ** min(self._failures, 10)))
        tickets = [*self._pending.values(), *(x for x in self._queue if isinstance(x, Ticket))]
        self._pending.clear()
        self._queue.clear()
        self.weight = 0
        for ticket in tickets:
            self._hand_out(ticket, Lost(error))

    def _take(self, channel: Outlet) -> list[bytes]:
        """The encoded requests that may go now."""
        batch: list[bytes] = []
        size = 0
        now = self._now()
        while self._queue and size < BATCH_BYTES and self._may_go(self._queue[0], channel):
            data = self._encode(self._queue.popleft(), channel, now)
            if data is not None:
                batch.append(data)
                size += len(data)
        return batch

    def _may_go(self, item: Ticket | Cancel, channel: Outlet) -> bool:
        if isinstance(item, Cancel) or not self._pending:
            return True
        fits = not item.weight or self.weight + item.weight <= WINDOW_BYTES
        return fits and len(self._pending) < channel.welcome.max_in_flight

    def _encode(self, item: Ticket | Cancel, channel: Outlet, now: float) -> bytes | None:
        if isinstance(item, Cancel):
            return channel.encode(item)
        if item.withdrawn:
            return None
        if item.request is None:
            self._hand_out(item, channel.welcome)
            return None
        try:
            data = channel.encode(item.request)
        except BadRequest as error:
            self._hand_out(item, Lost(error))
            return None
        item.written_at = now
        self._pending[item.id] = item
        self.weight += item.weight
        return data

    def _settle(self, id: int) -> Ticket | None:
        """Nothing more is expected for the request `id`; its ticket, if it had one."""
        ticket = self._pending.pop(id, None)
        if ticket is not None:
            self.weight -= ticket.weight
        return ticket

    def _take_in(self, answers: Sequence[Answer]) -> None:
        """Hand out answers that arrived."""
        self._heard()
        for answer in answers:
            ticket = self._settle(answer.id)
            # an answer to a withdrawn request has no ticket any more
            if ticket is not None:
                self._hand_out(ticket, answer)
        self._decreed = self._decreed or any(isinstance(answer, Decreed) for answer in answers)
        if self._queue:
            # there may be room for what had to wait
            self._wake_writer()

    def _outdated(self, channel: Outlet) -> bool:
        """Whether to be welcomed once more: the cluster has formed since, and nothing is asked here."""
        unformed = self._decreed and channel.welcome.formation is None
        return unformed and not self._pending and not self._queue

    def _heard(self) -> None:
        self.heard_at = self._now()
        self.avoid_until = 0.0
        self.late = 0

    @staticmethod
    def _hand_out(ticket: Ticket, news: News) -> None:
        if not ticket.withdrawn:
            ticket.deliver(ticket, news)


def _weight(request: Request | None) -> int:
    """The bytes of the value that `request` carries, if it is a claim."""
    return len(request.claim.value) if isinstance(request, AnyClaim) else 0
