"""One link: the connection to one endpoint, made when first needed and made anew when it broke.

Requests are handed in as tickets and never wait for the caller. What has gathered is sent together,
and answers are handed out by id. No I/O is done here: `task_link` moves the bytes in an event loop,
`socket_link` for a caller who blocks.

Invariants kept here:

* Each ticket that is not withdrawn hears exactly once: an answer, the welcome, or `Lost`. Before
  that it may hear `Silent`.
* `Ticket.written_at` is set before the first byte goes to the socket. A ticket without it was
  certainly never seen by a node.
* Those who wait here hear soon when the node says nothing any more (`Pulse`), and while the
  connection is being made, `stalls_at` tells when that takes too long.
* At most ``max_in_flight`` of the node's requests are unanswered at a time, and `WINDOW_BYTES` of
  values; the rest waits here. So a node that is busy with megabytes is not sent more of them, and
  `Link.weight` tells how long an answer may well take.
"""

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from math import inf
from typing import Protocol

from ..registry.errors import BadRequest, Closed, DecreedError, Unreachable
from ..registry.wire.handshake import ClientWelcome
from ..registry.wire.requests import Answer, Cancel, ClientPing, ClientPong, Decreed, Request
from .endpoints import Endpoint
from .journal import Journal
from .pulse import Pulse
from .ticket import Lost, News, Silent, Ticket

LOG = Journal(__name__)
BATCH_BYTES = 1024 * 1024
WINDOW_BYTES = 8 * 1024 * 1024
SHORT_AVOID_SECONDS = 0.1
LONG_AVOID_SECONDS = 2.0
BYTES_PER_SECOND = 2 * 1024 * 1024
"""A node that has megabytes to freeze gets through so many of them in a second, at the least."""
CONNECT_SECONDS = 0.25
"""So long connecting may take before others are preferred."""
LATEST_CONNECT_SECONDS = 0.9
"""So long it may take before those who wait for this link alone have waited enough."""


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

    def let_go(self) -> None:
        """In a forked process: give up the connection, which stays the parent's."""


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
        # when a request was answered here last; a pong says nothing about requests
        self.heard_at = 0.0
        self.avoid_until = 0.0
        # how many requests have been passed on to other nodes since something was heard here
        self.late = 0
        # bytes of the values in the requests that were written and not answered
        self.weight = 0
        self._admit, self._now = admit, now
        self._dialled_at: float | None = None
        self._channel: Outlet | None = None
        self._pulse: Pulse | None = None
        self._failures = 0
        self._ids = count(1)
        self._queue: deque[Ticket | Cancel | ClientPing] = deque()
        self._pending: dict[int, Ticket] = {}
        # whether a decree was answered on this connection
        self._decreed = False

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
        return self._dialled_at is not None

    @property
    def silent(self) -> bool:
        """Whether the connection is open and its node says nothing, though it was pinged."""
        return self._pulse is not None and self._pulse.silent

    def stalls_at(self) -> float:
        """From when on nobody should wait for this link alone, as far as known."""
        if self.up or self._dialled_at is None:
            return -inf if self.silent else inf
        return self._dialled_at + LATEST_CONNECT_SECONDS

    @property
    def avoided(self) -> bool:
        """Whether others are preferred to this one, for it failed, is silent, or slow to connect."""
        if self.avoid_until > 0.0 and self._now() < self.avoid_until:
            return True
        if self._pulse is not None:
            return self._pulse.silent
        if self.up or self._dialled_at is None:
            return False
        return self._now() >= self._dialled_at + CONNECT_SECONDS

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
        if not self.running:
            self._dialled_at = now
            LOG.debug("connecting to %s", self.endpoint)
            self._start()
        elif self._pulse is not None:
            self._pulse.stir()
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

    def passed_on(self) -> None:
        """A request was late here and is asked elsewhere too: find out whether the node is there."""
        self.late += 1
        if self._pulse is not None:
            self._pulse.stir()

    def avoid(self, seconds: float) -> None:
        """Prefer other links for about so long, or until something is heard on this one."""
        self.avoid_until = self._now() + seconds * random.uniform(0.5, 1.0)

    def let_go(self) -> None:
        """In a forked process: give up the connection, which is the parent's."""
        if self._channel is not None:
            self._channel.let_go()

    @abstractmethod
    def _start(self) -> None:
        """Begin to connect; `_end` is called when the connection is over, or could not be made."""

    @abstractmethod
    def _wake_writer(self) -> None:
        """There is something to send, or room for it: `_take` soon."""

    @abstractmethod
    def wake_watcher(self) -> None:
        """The pulse is to be looked at earlier than it said before."""

    def _open(self, channel: Outlet) -> None:
        self._admit(self.endpoint, channel.welcome)
        self.welcome = channel.welcome
        self._pulse = Pulse(self, self._now)
        self._channel = channel
        self._decreed = False
        LOG.info("connected to %s: %s", self.endpoint, channel.welcome.node)
        self._heard()

    def _end(self, error: DecreedError) -> None:
        """Tell all who wait, and how long to keep away from here."""
        was_up, self._channel, self._pulse, self._dialled_at = self.up, None, None, None
        ours = isinstance(error, Closed) or not was_up
        (LOG.debug if ours else LOG.info)("left %s: %s", self.endpoint, error)
        self.late = 0
        self._failures = 0 if was_up else self._failures + 1
        self.avoid(min(LONG_AVOID_SECONDS, SHORT_AVOID_SECONDS * 2 ** min(self._failures, 10)))
        tickets = self._tickets()
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

    def _may_go(self, item: Ticket | Cancel | ClientPing, channel: Outlet) -> bool:
        if not isinstance(item, Ticket) or not self._pending:
            return True
        fits = not item.weight or self.weight + item.weight <= WINDOW_BYTES
        return fits and len(self._pending) < channel.welcome.max_in_flight

    def _encode(
        self, item: Ticket | Cancel | ClientPing, channel: Outlet, now: float
    ) -> bytes | None:
        if not isinstance(item, Ticket):
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
        """Hand out what arrived, if it holds whole answers; anything at all is a sign of life."""
        assert self._pulse is not None
        self._pulse.heard()
        if not all(isinstance(answer, ClientPong) for answer in answers):
            self._heard()
        for answer in answers:
            ticket = self._settle(answer.id)
            # an answer to a withdrawn request, or to a ping, has no ticket
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
        if self.late:
            LOG.info("%s answers again", self.endpoint)
        self.heard_at = self._now()
        self.avoid_until = 0.0
        self.late = 0

    # -- whether the node is there, as `Pulse` asks it

    def expects(self) -> bool:
        """Whether anybody waits for something here."""
        return bool(self._pending or self._queue or self.late)

    def allowance(self) -> float:
        """Seconds that the node may need for the values that are on their way."""
        return self.weight / BYTES_PER_SECOND

    def ping(self) -> None:
        """Ask whether the node is there."""
        self._queue.appendleft(ClientPing(next(self._ids)))
        self.push()

    def fall_silent(self) -> None:
        """Tell all who wait that the node says nothing."""
        silent = Silent(Unreachable("it says nothing"))
        for ticket in self._tickets():
            self._hand_out(ticket, silent)

    def _tickets(self) -> list[Ticket]:
        """All that wait here, written or not."""
        return [*self._pending.values(), *(x for x in self._queue if isinstance(x, Ticket))]

    @staticmethod
    def _hand_out(ticket: Ticket, news: News) -> None:
        if not ticket.withdrawn:
            ticket.deliver(ticket, news)
