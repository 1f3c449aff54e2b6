"""One errand on its way: which node is tried next, when a second one is asked too, how it ends.

A state machine that its driver (`settle`) turns: links put news into its inbox, `advance` does
whatever the news and the clock ask for. It never waits.

Rules kept here:

* The same claim id goes to every node, so trying again is safe. A try after the first says
  ``here``: nothing stalls on a home that does not answer.
* A claim ends as `OutcomeUnknown` if one single try of it was written and did not come back with a
  definite answer. Only if every try was definite may it end as another error.
* What is wrong with the request is raised at once; what is wrong with a node is tried elsewhere.
"""

import random
from collections.abc import Callable
from math import inf

from msgspec import Struct

from ..registry.errors import (
    BadRequest,
    ClaimIdReused,
    Closed,
    Damaged,
    DecreedError,
    Disputed,
    IdentityRefused,
    NotFormed,
    OutcomeUnknown,
    ProtocolError,
    StorageFailed,
    Unreachable,
    error_from_wire,
)
from ..registry.wire.handshake import ClientWelcome
from ..registry.wire.requests import MAX_TIMEOUT_MS, Answer, Decreed, Failed, Request
from .errands import Errand
from .link import Link, Lost, News, Ticket
from .pool import Pool

SILENT_AVOID_SECONDS = 1.0
# a node that answers others, or has many late answers already, is given more time: an overloaded
# cluster must not be asked everything twice
BUSY_EXTRA_SECONDS = 0.75
LOAD_SECONDS = 0.001
# and one that has megabytes to freeze: so many of them in a second, at the least
BYTES_PER_SECOND = 2 * 1024 * 1024
# while such a node answers, a large request waits its turn, but not longer than this
LONGEST_TURN_SECONDS = 20.0
FIRST_LATE = 16
LIGHT_BYTES = 4_096
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

# no node and no later time would make a difference
_OF_THE_REQUEST = (BadRequest, Disputed)
# time will not heal the node: worth no second round when all nodes say so
_PERMANENT = (ProtocolError, IdentityRefused, Damaged, StorageFailed)


class Reply(Struct, frozen=True):
    """What settled an errand, and the welcome of the node that said it."""

    answer: Answer | ClientWelcome
    welcome: ClientWelcome


class Attempt:
    """An errand being settled.

    Args:
        errand: what to ask.
        pool: whom to ask.
        wake: called when there is news.
        deadline: on the runtime's clock.
    """

    __slots__ = (
        "_deadline", "_doubtful", "_errand", "_faults", "_inbox", "_pool", "_rounds", "_tickets",
        "_tried", "_tries", "_wake", "_wake_at", "result",
    )  # fmt: skip

    def __init__(
        self, errand: Errand, pool: Pool, wake: Callable[["Attempt"], None], deadline: float
    ) -> None:
        self.result: Reply | DecreedError | None = None
        self._errand, self._pool, self._wake = errand, pool, wake
        self._deadline = deadline
        self._wake_at = -inf
        self._inbox: list[tuple[Ticket, News]] = []
        self._tickets: list[Ticket] = []
        self._tried: set[Link] = set()
        self._faults: dict[Link, DecreedError] = {}
        self._rounds = 0
        self._tries = 0
        self._doubtful = False

    @property
    def wake_at(self) -> float:
        """When to call `advance` again at the latest, on the runtime's clock."""
        return min(self._wake_at, self._deadline)

    def advance(self, now: float) -> None:
        """Do whatever the news and the time `now` ask for; `result` is set at the end."""
        inbox, self._inbox = self._inbox, []
        for ticket, news in inbox:
            if self.result is None:
                self._hear(ticket, news, now)
        if self.result is not None:
            return
        if self._pool.closed:
            self._end(Closed("the client was closed"))
        elif now >= self._deadline:
            self._end(self._out_of_time())
        elif now >= self._wake_at:
            self._press_on(now)

    def withdraw(self) -> None:
        """Nobody waits for the result any more."""
        for ticket in self._tickets:
            ticket.link.withdraw(ticket)
        self._tickets.clear()

    def _deliver(self, ticket: Ticket, news: News) -> None:
        self._inbox.append((ticket, news))
        self._wake(self)

    def _hear(self, ticket: Ticket, news: News, now: float) -> None:
        self._tickets.remove(ticket)
        welcome = ticket.link.welcome
        if isinstance(news, Lost):
            self._fault(ticket.link, news.error, ticket.written_at is not None, now)
        elif isinstance(news, Failed):
            error = error_from_wire(news.code, news.message)
            self._fault(ticket.link, error, not _is_definite(error), now)
        elif welcome and self._fits(news):
            self.result = Reply(news, welcome)
            self.withdraw()
        else:
            error = ProtocolError(f"an answer that does not fit the request: {type(news).__name__}")
            self._fault(ticket.link, error, True, now)

    def _fits(self, news: Answer | ClientWelcome) -> bool:
        if not isinstance(news, self._errand.expects):
            return False
        return not isinstance(news, Decreed) or self._errand.fits(news.decree)

    def _fault(self, link: Link, error: DecreedError, doubtful: bool, now: float) -> None:
        self._doubtful = self._doubtful or doubtful
        self._faults[link] = error
        if isinstance(error, _OF_THE_REQUEST):
            self._end(error)
        elif not self._tickets:
            self._wake_at = now

    def _press_on(self, now: float) -> None:
        """It is time to try the next node: the last one failed, or is late."""
        if self._tickets:
            patience = self._patience(self._tickets[-1], now)
            if patience > now:
                self._wake_at = patience
                return
        link = self._next_link()
        if link is not None:
            self._try(link, now)
        elif self._tickets:
            self._wake_at = inf
        else:
            self._end_round(now)

    def _patience(self, ticket: Ticket, now: float) -> float:
        """Until when to wait for `ticket` alone. Keeps off a node that is silent."""
        link = ticket.link
        if ticket.written_at is None and not link.up:
            return now
        hedge = self._errand.hedge + max(link.weight, ticket.weight) / BYTES_PER_SECOND
        since = ticket.made_at if ticket.written_at is None else ticket.written_at
        heard = link.heard_at > since
        if heard and ticket.weight > LIGHT_BYTES:
            since = min(link.heard_at, since + LONGEST_TURN_SECONDS)
        if heard and ticket.written_at is None:
            # it waits for room in a connection that works
            return now + hedge
        if heard or link.late >= FIRST_LATE:
            hedge += BUSY_EXTRA_SECONDS + link.load * LOAD_SECONDS
        if now >= since + hedge and not heard:
            link.late += 1
            link.avoid(SILENT_AVOID_SECONDS)
        return since + hedge

    def _next_link(self) -> Link | None:
        if self._errand.only:
            links = [self._errand.only]
        elif not self._tries and (home := self._pool.home(self._errand.key)):
            return home
        else:
            links = self._pool.route(self._errand.key, self._errand.prefer)
        return next((link for link in links if link not in self._tried), None)

    def _try(self, link: Link, now: float) -> None:
        self._tried.add(link)
        self._tries += 1
        here = self._tries > 1
        milliseconds = self._milliseconds(now)
        if link.late and not self._pool.avoided(link):
            # one request finds out whether it speaks again; others keep away until then
            link.late = 1
            link.avoid(SILENT_AVOID_SECONDS)

        def make(id: int) -> Request | None:
            return self._errand.build(id, milliseconds, here)

        self._wake_at = now + self._errand.hedge
        ticket = link.submit(make, self._deliver, now)
        self._tickets.append(ticket)

    def _milliseconds(self, now: float) -> int:
        """How long the node may try: a little less than we wait, so that its answer comes first."""
        left = self._deadline - now
        seconds = min(left - min(0.1, left / 6), self._errand.longest)
        return max(1, min(int(seconds * 1000), MAX_TIMEOUT_MS))

    def _end_round(self, now: float) -> None:
        """All nodes failed: give up if that will not change, or pause and start anew."""
        self._rounds += 1
        errors = list(self._faults.values())
        if errors and all(isinstance(error, _PERMANENT) for error in errors):
            self._end(errors[-1])
        elif self._rounds >= self._errand.rounds:
            self._end(self._out_of_time())
        else:
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._rounds, 10))
            self._tried.clear()
            self._wake_at = now + pause * random.uniform(0.5, 1.0)

    def _out_of_time(self) -> DecreedError:
        reasons = "; ".join(f"{link.endpoint}: {error}" for link, error in self._faults.items())
        kinds = {type(error) for error in self._faults.values()}
        kind = NotFormed if kinds == {NotFormed} else Unreachable
        return kind(f"no answer in time ({reasons or 'nobody answered'})")

    def _end(self, error: DecreedError) -> None:
        written = any(ticket.written_at is not None for ticket in self._tickets)
        self.withdraw()
        claim = self._errand.claim
        if claim and (self._doubtful or written) and not isinstance(error, ClaimIdReused):
            error = OutcomeUnknown(
                f"whether {claim.key!r} was claimed is unknown; ask again with "
                f"{self._errand.again()} ({error})"
            )
        self.result = error


def _is_definite(error: DecreedError) -> bool:
    # a node that met an error without a name cannot know what it had sent before
    return error.definite and type(error) is not DecreedError
