"""One link: the connection to one endpoint, made when first needed and made anew when it broke.

Requests are handed in as tickets and never wait for the caller: a writer task sends what has
gathered, a reader task hands out the answers by id. No task is started for a request.

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

import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from math import inf
from typing import Any

import anyio

from ..registry.errors import BadRequest, Closed, DecreedError, Unreachable
from ..registry.wire.handshake import ClientWelcome
from ..registry.wire.requests import (
    Cancel,
    ClientPing,
    ClientPong,
    Decreed,
    Request,
)
from .bell import Bell
from .channel import Channel
from .endpoints import Endpoint
from .pulse import Pulse
from .ticket import Lost, News, Silent, Ticket

LOG = logging.getLogger(__name__)
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


class Link:
    """The connection to one endpoint, whether it is up or not.

    Args:
        endpoint: where to connect.
        dial: opens a channel; raises `DecreedError`.
        admit: told of each welcome before it is used; raises `DecreedError` to refuse it.
        spawn: starts a task that lives as long as the client.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dial: Callable[[Endpoint], Awaitable[Channel]],
        admit: Callable[[Endpoint, ClientWelcome], None],
        spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
    ) -> None:
        self.endpoint = endpoint
        self.welcome: ClientWelcome | None = None
        # when a request was answered here last, on anyio's clock; a pong says nothing about requests
        self.heard_at = 0.0
        self.avoid_until = 0.0
        # how many requests have been passed on to other nodes since something was heard here
        self.late = 0
        # bytes of the values in the requests that were written and not answered
        self.weight = 0
        self._dial, self._admit, self._spawn = dial, admit, spawn
        self._dialled_at: float | None = None
        self._channel: Channel | None = None
        self._pulse: Pulse | None = None
        self._failures = 0
        self._ids = count(1)
        self._queue: deque[Ticket | Cancel | ClientPing] = deque()
        self._pending: dict[int, Ticket] = {}
        self._bell = Bell()

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
        """From when on nobody should wait for this link alone, on anyio's clock, as far as known."""
        if self.up or self._dialled_at is None:
            return -inf if self.silent else inf
        return self._dialled_at + LATEST_CONNECT_SECONDS

    @property
    def avoided(self) -> bool:
        """Whether others are preferred to this one, for it failed, is silent, or slow to connect."""
        if self.avoid_until > 0.0 and anyio.current_time() < self.avoid_until:
            return True
        if self._pulse is not None:
            return self._pulse.silent
        if self.up or self._dialled_at is None:
            return False
        return anyio.current_time() >= self._dialled_at + CONNECT_SECONDS

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
            self._spawn(self._run)
        elif self._pulse is not None:
            self._pulse.stir()
        return ticket

    def push(self) -> None:
        """Send what was submitted.

        With nothing on its way here it goes at once. Otherwise others are at work too, and the
        writer task, whose turn comes soon, sends all that has gathered until then.
        """
        if not self._queue or self._channel is None:
            return
        if not self._pending and self._channel.idle:
            batch = self._take(self._channel)
            if batch:
                self._channel.send_now(batch)
        if self._queue or not self._channel.idle:
            self._bell.ring()

    def withdraw(self, ticket: Ticket) -> None:
        """Nobody waits for `ticket` any more: it is not sent, or the node is told."""
        ticket.withdrawn = True
        if self._settle(ticket.id) is not None:
            self._queue.appendleft(Cancel(ticket.id))
            self._bell.ring()

    def passed_on(self) -> None:
        """A request was late here and is asked elsewhere too: find out whether the node is there."""
        self.late += 1
        if self._pulse is not None:
            self._pulse.stir()

    def avoid(self, seconds: float) -> None:
        """Prefer other links for about so long, or until something is heard on this one."""
        self.avoid_until = anyio.current_time() + seconds * random.uniform(0.5, 1.0)

    def let_go(self) -> None:
        """In a forked process: give up the connection, which is the parent's."""
        if self._channel is not None:
            self._channel.let_go()

    async def _run(self) -> None:
        error: DecreedError = Closed("the client was closed")
        LOG.debug("connecting to %s", self.endpoint)
        try:
            channel = await self._dial(self.endpoint)
            try:
                self._open(channel)
                error = await self._serve(channel)
            finally:
                await channel.aclose()
        except DecreedError as failure:
            error = failure
        finally:
            self._end(error)

    def _open(self, channel: Channel) -> None:
        self._admit(self.endpoint, channel.welcome)
        self.welcome = channel.welcome
        self._pulse = Pulse(self._ping, self._expects, self._allowance, self._fall_silent)
        self._channel = channel
        LOG.info("connected to %s: %s", self.endpoint, channel.welcome.node)
        self._heard()

    async def _serve(self, channel: Channel) -> DecreedError:
        ends: list[DecreedError] = []

        async def until_it_breaks(work: Callable[[Channel], Awaitable[None]]) -> None:
            try:
                await work(channel)
            except DecreedError as error:
                ends.append(error)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_it_breaks, self._write)
            tasks.start_soon(until_it_breaks, self._watch)
            await until_it_breaks(self._read)
        return ends[0] if ends else Unreachable("the connection is made anew")

    def _end(self, error: DecreedError) -> None:
        """Tell all who wait, and how long to keep away from here."""
        was_up, self._channel, self._pulse, self._dialled_at = self.up, None, None, None
        ours = isinstance(error, Closed) or not was_up
        LOG.log(logging.DEBUG if ours else logging.INFO, "left %s: %s", self.endpoint, error)
        self.late = 0
        self._failures = 0 if was_up else self._failures + 1
        self.avoid(min(LONG_AVOID_SECONDS, SHORT_AVOID_SECONDS * 2 ** min(self._failures, 10)))
        tickets = self._tickets()
        self._pending.clear()
        self._queue.clear()
        self.weight = 0
        for ticket in tickets:
            self._hand_out(ticket, Lost(error))

    async def _write(self, channel: Channel) -> None:
        while True:
            batch = self._take(channel)
            if batch or not channel.idle:
                await channel.send(batch)
            else:
                await self._bell.wait()

    def _take(self, channel: Channel) -> list[bytes]:
        """The encoded requests that may go now."""
        batch: list[bytes] = []
        size = 0
        now = anyio.current_time()
        while self._queue and size < BATCH_BYTES and self._may_go(self._queue[0], channel):
            data = self._encode(self._queue.popleft(), channel, now)
            if data is not None:
                batch.append(data)
                size += len(data)
        return batch

    def _may_go(self, item: Ticket | Cancel | ClientPing, channel: Channel) -> bool:
        if not isinstance(item, Ticket) or not self._pending:
            return True
        fits = not item.weight or self.weight + item.weight <= WINDOW_BYTES
        return fits and len(self._pending) < channel.welcome.max_in_flight

    def _encode(
        self, item: Ticket | Cancel | ClientPing, channel: Channel, now: float
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

    async def _read(self, channel: Channel) -> None:
        pulse = self._pulse
        assert pulse is not None
        decreed = False
        while not (decreed and channel.welcome.formation is None and self._idle()):
            answers = await channel.receive()
            pulse.heard()
            if not all(isinstance(answer, ClientPong) for answer in answers):
                self._heard()
            for answer in answers:
                ticket = self._settle(answer.id)
                # an answer to a withdrawn request, or to a ping, has no ticket
                if ticket is not None:
                    self._hand_out(ticket, answer)
            decreed = decreed or any(isinstance(answer, Decreed) for answer in answers)
            if self._queue:
                # there may be room for what had to wait
                self._bell.ring()

    def _idle(self) -> bool:
        """Nothing is asked here: a welcome from before the cluster formed may be renewed."""
        return not self._pending and not self._queue

    def _heard(self) -> None:
        if self.late:
            LOG.info("%s answers again", self.endpoint)
        self.heard_at = anyio.current_time()
        self.avoid_until = 0.0
        self.late = 0

    # -- whether the node is there

    async def _watch(self, channel: Channel) -> None:
        assert self._pulse is not None
        await self._pulse.watch()

    def _expects(self) -> bool:
        return bool(self._pending or self._queue or self.late)

    def _allowance(self) -> float:
        return self.weight / BYTES_PER_SECOND

    def _ping(self) -> None:
        self._queue.appendleft(ClientPing(next(self._ids)))
        self.push()

    def _fall_silent(self) -> None:
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
