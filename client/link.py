"""One link: the connection to one endpoint, made when first needed and made anew when it broke.

Requests are handed in as tickets and never wait for the caller: a writer task sends what has
gathered, a reader task hands out the answers by id. No task is started for a request.

Invariants kept here:

* Each ticket that is not withdrawn hears exactly once: an answer, the welcome, or `Lost`.
* `Ticket.written_at` is set before the first byte goes to the socket. A ticket without it was
  certainly never seen by a node.
* At most ``max_in_flight`` of the node's requests are unanswered at a time, and `WINDOW_BYTES` of
  values; the rest waits here. So a node that is busy with megabytes is not sent more of them, and
  `Link.weight` tells how long an answer may well take.
"""

import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any

import anyio
from msgspec import Struct

from ..registry.errors import BadRequest, Closed, DecreedError, Unreachable
from ..registry.wire.handshake import ClientWelcome
from ..registry.wire.requests import (
    Answer,
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Request,
)
from .bell import Bell
from .channel import Channel
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
        now: on anyio's clock.
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
        self.heard_at = 0.0
        self.avoid_until = 0.0
        # how many requests have been passed on to other nodes since something was heard here
        self.late = 0
        # bytes of the values in the requests that were written and not answered
        self.weight = 0
        self._dial, self._admit, self._spawn = dial, admit, spawn
        self._running = False
        self._channel: Channel | None = None
        self._failures = 0
        self._ids = count(1)
        self._queue: deque[Ticket | Cancel] = deque()
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
            self._spawn(self._run)
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

    def avoid(self, seconds: float) -> None:
        """Prefer other links for about so long, or until something is heard on this one."""
        self.avoid_until = anyio.current_time() + seconds * random.uniform(0.5, 1.0)

    def let_go(self) -> None:
        """In a forked process: give up the connection, which is the parent's."""
        if self._channel is not None:
            self._channel.let_go()

    async def _run(self) -> None:
        error: DecreedError = Closed("the client was closed")
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
        self._channel = channel
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
            await until_it_breaks(self._read)
        return ends[0] if ends else Unreachable("the connection is made anew")

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

    def _may_go(self, item: Ticket | Cancel, channel: Channel) -> bool:
        if isinstance(item, Cancel) or not self._pending:
            return True
        fits = not item.weight or self.weight + item.weight <= WINDOW_BYTES
        return fits and len(self._pending) < channel.welcome.max_in_flight

    def _encode(self, item: Ticket | Cancel, channel: Channel, now: float) -> bytes | None:
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

    async def _read(self, channel: Channel) -> None:
        decreed = False
        while not (decreed and channel.welcome.formation is None and self._idle()):
            answers = await channel.receive()
            self._heard()
            for answer in answers:
                ticket = self._settle(answer.id)
                # an answer to a withdrawn request has no ticket any more
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
        self.heard_at = anyio.current_time()
        self.avoid_until = 0.0
        self.late = 0

    @staticmethod
    def _hand_out(ticket: Ticket, news: News) -> None:
        if not ticket.withdrawn:
            ticket.deliver(ticket, news)


def _weight(request: Request | None) -> int:
    """The bytes of the value that `request` carries, if it is a claim."""
    return len(request.claim.value) if isinstance(request, AnyClaim) else 0
