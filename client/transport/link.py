"""One link: the connection to one endpoint, made when first needed and made again when it broke.

Requests are submitted as requests in flight; submitting never waits. Requests that have gathered
are sent together, and answers are delivered by id. No I/O is done here: `task_link` moves the
bytes in an event loop, `socket_link` for a blocking caller.

Invariants kept here:

* Each request that is not withdrawn gets exactly one of these: an answer, the welcome, or `Lost`.
Before
  that it may get `Silent`.
* `InFlightRequest.written_at` is set before the first byte goes to the socket. A request without it was
  certainly never seen by a node.
* Waiting requests in flight are told soon when the node falls silent (`Pulse`). While the
connection is being
  made, `stalls_at` tells when that takes too long.
* At most ``max_in_flight`` requests, and `WINDOW_BYTES` of values, are unanswered at a time; the rest
  waits here. So a node that is busy with megabytes gets no more of them, and `Link.weight` tells how
  long an answer may take.
"""

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from math import inf
from typing import Protocol

from ...registry.dial_order import DialOrder
from ...registry.errors import BadRequest, Busy, Closed, DecreedError, Unreachable
from ...registry.wire.gateways import ClientMessage
from ...registry.wire.handshake import ClientWelcome
from ...registry.wire.requests import (
    Answer,
    Cancel,
    ClientPing,
    ClientPong,
    Decreed,
)
from .endpoints import Endpoint
from .in_flight import Event, InFlightRequest, Lost, Silent
from .journal import Journal
from .pulse import Pulse

LOG = Journal(__name__)
BATCH_BYTES = 1024 * 1024
WINDOW_BYTES = 8 * 1024 * 1024
SHORT_AVOID_SECONDS = 0.1
LONG_AVOID_SECONDS = 2.0
BYTES_PER_SECOND = 2 * 1024 * 1024
"""A node that is busy with megabytes of values handles at least this many bytes a second."""
CONNECT_SECONDS = 0.25
"""How long connecting may take before other links are preferred."""
SMOOTHING = 4
"""A measured round trip counts for one of so many."""
LATEST_CONNECT_SECONDS = 0.9
"""How long connecting may take before requests stop waiting for this link alone."""


class Outlet(Protocol):
    """What a link needs of an open connection: its bounds, and sending without waiting."""

    welcome: ClientWelcome

    @property
    def idle(self) -> bool:
        """Whether everything was handed to the system."""
        ...

    def encode(self, request: ClientMessage) -> bytes:
        """The bytes of `request`; raises `BadRequest` if it is larger than this node accepts."""
        ...

    def send_now(self, messages: Sequence[bytes]) -> None:
        """Send encoded messages while it is idle; what the system does not take is kept."""
        ...

    def let_go(self) -> None:
        """In a forked process: give up the connection, which still belongs to the parent."""


class Link(ABC):
    """The connection to one endpoint, whether it is up or not.

    Args:
        endpoint: where to connect.
        admit: called with each welcome before it is used; raises `DecreedError` to refuse it.
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
        # when the last answer to a request came; pongs do not count
        self.heard_at = 0.0
        self.avoid_until = 0.0
        # why its node is not to be asked for a while, and until when
        self._busy: tuple[Busy, float] | None = None
        # how many requests were also sent to other nodes since the last answer here
        self.late = 0
        # bytes of the values in the written, unanswered requests
        self.weight = 0
        self._admit, self._now = admit, now
        self._order = DialOrder()
        self._dialled_at: float | None = None
        # how long the node took to answer a ping, smoothed; infinite while that is not known
        self.round_trip = inf
        self.measured_at = -inf
        self.is_measured = False
        # whether nobody is to be asked here any more, since the node is no member
        self.retired = False
        self._measuring: tuple[int, float] | None = None
        self._channel: Outlet | None = None
        self._pulse: Pulse | None = None
        self._failures = 0
        self._ids = count(1)
        self._queue: deque[InFlightRequest | Cancel | ClientPing] = deque()
        self._pending: dict[int, InFlightRequest] = {}
        # whether a decree was received on this connection
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
        """Whether the connection is open and its node did not answer a ping."""
        return self._pulse is not None and self._pulse.silent

    def stalls_at(self) -> float:
        """The time after which no request should wait for this link alone; infinite if unknown."""
        if self.up or self._dialled_at is None:
            return -inf if self.silent else inf
        return self._dialled_at + LATEST_CONNECT_SECONDS

    @property
    def avoided(self) -> bool:
        """Whether other links are preferred, since this one failed, is silent, or connects slowly."""
        if self.avoid_until > 0.0 and self._now() < self.avoid_until:
            return True
        if self._pulse is not None:
            return self._pulse.silent
        if self.up or self._dialled_at is None:
            return False
        return self._now() >= self._dialled_at + CONNECT_SECONDS

    def submit(
        self,
        make: Callable[[int], ClientMessage | None],
        deliver: Callable[[InFlightRequest, Event], None],
        now: float,
    ) -> InFlightRequest:
        """Queue the request that `make` builds for its id; connect if needed. Never waits.

        It is sent after `push`, so that requests that are submitted together go in one frame.
        """
        id = next(self._ids)
        in_flight = InFlightRequest(self, id, make(id), deliver, now)
        if self.up and in_flight.request is None and self.welcome:
            deliver(in_flight, self.welcome)
            return in_flight
        self._queue.append(in_flight)
        if not self.running:
            self._dialled_at = now
            LOG.debug("connecting to %s", self.endpoint)
            self._start()
        elif self._pulse is not None:
            self._pulse.stir()
        return in_flight

    def push(self) -> None:
        """Send what was submitted.

        If no request is in flight here, it is sent immediately. Otherwise other calls are active too,
        and the writer soon sends everything that has gathered until then.
        """
        if not self._queue or self._channel is None:
            return
        if not self._pending and self._channel.idle:
            batch = self._take(self._channel)
            if batch:
                self._channel.send_now(batch)
        if self._queue or not self._channel.idle:
            self._wake_writer()

    def withdraw(self, in_flight: InFlightRequest) -> None:
        """Do not send `in_flight`; if it was sent already, send the node a cancel."""
        in_flight.withdrawn = True
        if self._settle(in_flight.id) is not None:
            self._queue.appendleft(Cancel(in_flight.id))
            self._wake_writer()

    def passed_on(self) -> None:
        """Note a late request that also went to another node; have the pulse check this node."""
        self.late += 1
        if self._pulse is not None:
            self._pulse.stir()

    def measure(self) -> None:
        """Ask the node for a sign of life, to learn how long it takes."""
        if self.up:
            number, self.measured_at = next(self._ids), self._now()
            self._measuring = number, self.measured_at
            self._queue.appendleft(ClientPing(number))
            self.push()

    def measure_again(self) -> None:
        """Do not count an answer that may have come long ago, since nobody read it."""
        if self._measuring is not None:
            self._measuring = None
            if self.is_measured:
                self.measure()

    def retire(self) -> None:
        """The node is no member any more: have others asked for what waits here, and close then."""
        if not self.retired:
            self.retired = True
            gone = Silent(Unreachable("its node is no member any more"))
            for in_flight in self._in_flight():
                self._hand_out(in_flight, gone)
            self.measure()  # its answer has the connection looked at, if nothing else comes

    def avoid(self, seconds: float) -> None:
        """Prefer other links for about `seconds`, or until this one delivers an answer."""
        self.avoid_until = self._now() + seconds * random.uniform(0.5, 1.0)

    def wait(self, busy: Busy) -> None:
        """Its node has said that it is busy, and for how long: ask it nothing until then."""
        until = self._now() + busy.wait_ms / 1000
        if until > self.free_at:
            self._busy = busy, until

    @property
    def free_at(self) -> float:
        """When its node may be asked again; 0 if it has not said that it is busy."""
        return self._busy[1] if self._busy is not None else 0.0

    def busy(self, now: float) -> Busy | None:
        """Why its node is not to be asked now; None: it may be asked."""
        if self._busy is not None and now >= self._busy[1]:
            self._busy = None
        return self._busy[0] if self._busy is not None else None

    def let_go(self) -> None:
        """In a forked process: give up the connection, which belongs to the parent."""
        if self._channel is not None:
            self._channel.let_go()

    @abstractmethod
    def _start(self) -> None:
        """Begin to connect; `_end` is called when the connection is over, or could not be made."""

    @abstractmethod
    def _wake_writer(self) -> None:
        """Have `_take` called soon: there is something to send, or room for it."""

    @abstractmethod
    def wake_watcher(self) -> None:
        """Have the pulse advanced earlier than was planned."""

    def _open(self, channel: Outlet) -> None:
        self._admit(self.endpoint, channel.welcome)
        self._order.worked()
        self.welcome = channel.welcome
        self._pulse = Pulse(self, self._now)
        self._channel = channel
        self._decreed = False
        LOG.info("connected to %s: %s", self.endpoint, channel.welcome.node)
        self._heard()
        if self.is_measured:
            self.measure()

    def _end(self, error: DecreedError) -> None:
        """Deliver `Lost` to all requests in flight, and avoid this link for a while."""
        was_up, self._channel, self._pulse, self._dialled_at = self.up, None, None, None
        ours = isinstance(error, Closed) or not was_up
        (LOG.debug if ours else LOG.info)("left %s: %s", self.endpoint, error)
        self.late = 0
        self.round_trip, self._measuring, self.measured_at = inf, None, -inf
        self.retired = False
        self._failures = 0 if was_up else self._failures + 1
        self.avoid(min(LONG_AVOID_SECONDS, SHORT_AVOID_SECONDS * 2 ** min(self._failures, 10)))
        all_in_flight = self._in_flight()
        self._pending.clear()
        self._queue.clear()
        self.weight = 0
        for in_flight in all_in_flight:
            self._hand_out(in_flight, Lost(error))

    def _take(self, channel: Outlet) -> list[bytes]:
        """The encoded requests that may be sent now."""
        batch: list[bytes] = []
        size = 0
        now = self._now()
        while self._queue and size < BATCH_BYTES and self._may_go(self._queue[0], channel):
            data = self._encode(self._queue.popleft(), channel, now)
            if data is not None:
                batch.append(data)
                size += len(data)
        return batch

    def _may_go(self, item: InFlightRequest | Cancel | ClientPing, channel: Outlet) -> bool:
        if not isinstance(item, InFlightRequest) or not self._pending:
            return True
        fits = not item.weight or self.weight + item.weight <= WINDOW_BYTES
        return fits and len(self._pending) < channel.welcome.max_in_flight

    def _encode(
        self, item: InFlightRequest | Cancel | ClientPing, channel: Outlet, now: float
    ) -> bytes | None:
        if not isinstance(item, InFlightRequest):
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

    def _settle(self, id: int) -> InFlightRequest | None:
        """Stop expecting an answer to the request `id`; returns its request, if it had one."""
        in_flight = self._pending.pop(id, None)
        if in_flight is not None:
            self.weight -= in_flight.weight
        return in_flight

    def _take_in(self, arrived: Sequence[Answer | ClientWelcome]) -> None:
        """Deliver the answers that arrived; even bytes without a whole answer are a sign of life.

        Raises:
            DecreedError: if a welcome came again, and is refused.
        """
        assert self._pulse is not None
        self._pulse.heard()
        answers = [each for each in arrived if not isinstance(each, ClientWelcome)]
        if len(answers) < len(arrived):
            self._welcome_again(arrived)
        if not all(isinstance(answer, ClientPong) for answer in answers):
            self._heard()
        for answer in answers:
            if self._measuring is not None and answer.id == self._measuring[0]:
                self._learn_round_trip(self._now() - self._measuring[1])
            in_flight = self._settle(answer.id)
            # an answer to a withdrawn request, or to a ping, has no request
            if in_flight is not None:
                self._hand_out(in_flight, answer)
        self._decreed = self._decreed or any(isinstance(answer, Decreed) for answer in answers)
        if self._queue:
            # there may be room now for requests that had to wait
            self._wake_writer()

    def _learn_round_trip(self, seconds: float) -> None:
        self._measuring = None
        known = self.round_trip
        self.round_trip = seconds if known == inf else known + (seconds - known) / SMOOTHING

    def _welcome_again(self, arrived: Sequence[Answer | ClientWelcome]) -> None:
        """Take the newest of the welcomes that a node sent, since it has learned of other addresses."""
        assert self._channel is not None
        welcome = next(each for each in reversed(arrived) if isinstance(each, ClientWelcome))
        self._admit(self.endpoint, welcome)
        self.welcome = self._channel.welcome = welcome
        LOG.info("%s has told other addresses", self.endpoint)

    def _outdated(self, channel: Outlet) -> bool:
        """Whether to close an idle link: the cluster was formed since, or the node is no member."""
        unformed = self._decreed and channel.welcome.formation is None
        return (unformed or self.retired) and not self._pending and not self._queue

    def _heard(self) -> None:
        if self.late:
            LOG.info("%s answers again", self.endpoint)
        self.heard_at = self._now()
        self.avoid_until = 0.0
        self.late = 0

    # -- what `Pulse` needs

    def expects(self) -> bool:
        """Whether a request waits here."""
        return bool(self._pending or self._queue or self.late)

    def allowance(self) -> float:
        """Seconds that the node may need for the values in flight."""
        return self.weight / BYTES_PER_SECOND

    def ping(self) -> None:
        """Send a ping."""
        self._queue.appendleft(ClientPing(next(self._ids)))
        self.push()

    def fall_silent(self) -> None:
        """Deliver `Silent` to all requests in flight."""
        silent = Silent(Unreachable("it says nothing"))
        for in_flight in self._in_flight():
            self._hand_out(in_flight, silent)

    def _in_flight(self) -> list[InFlightRequest]:
        """All waiting requests in flight, written or not."""
        return [
            *self._pending.values(),
            *(x for x in self._queue if isinstance(x, InFlightRequest)),
        ]

    @staticmethod
    def _hand_out(in_flight: InFlightRequest, news: Event) -> None:
        if not in_flight.withdrawn:
            in_flight.deliver(in_flight, news)
