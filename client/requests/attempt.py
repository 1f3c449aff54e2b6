"""One operation under way: which node is tried next, when a second one is asked too, how it ends.

A state machine that is driven by `settle`: links put events into its inbox, `advance` handles the
events and the timeouts. It never waits.

Rules kept here:

* The same claim id goes to every node, so trying again is safe. A try after the first says
  ``here``: nothing stalls on a home that does not answer.
* A claim ends as `OutcomeUnknown` if any try of it was written and got no definite answer. It ends
  with another error only if every try was definite.
* If a node falls silent, the next one is asked, and both are listened to: the first answer counts.
  So the late answer to a long wait is not missed.
* Shortly before the deadline a request asks the next node too, so that a node that was just stopped
  is not reported as a quorum that is down.
* An error of the request is raised immediately; after an error of a node the next node is tried.
* A node that is no voter is asked after all others for some time.
* A node that says that it is busy, and for how long, is asked nothing for so long.
* An answer that was on its way when the client left the formation of its node does not count.
"""

import random
from collections.abc import Callable, Sequence
from math import inf

from msgspec import Struct

from ...registry.errors import (
    BadRequest,
    Busy,
    ClaimIdReused,
    Closed,
    Damaged,
    DecreedError,
    Denied,
    Disputed,
    IdentityRefused,
    LockHeld,
    NotFormed,
    NotMember,
    OutcomeUnknown,
    OverQuota,
    ProtocolError,
    StorageFailed,
    TokenRefused,
    Unreachable,
    error_from_wire,
)
from ...registry.wire.gateways import ClientMessage
from ...registry.wire.handshake import ClientWelcome
from ...registry.wire.requests import MAX_TIMEOUT_MS, Answer, Decreed, Failed
from ..transport.framing import NoSuchName, NothingListens
from ..transport.in_flight import Event, InFlightRequest, Lost, Silent
from ..transport.journal import Journal
from ..transport.link import BYTES_PER_SECOND, CONNECT_SECONDS, Link
from .operations import HEDGE_SECONDS, Operation
from .pool import Pool

LOG = Journal(__name__)
SILENT_AVOID_SECONDS = 1.0
NO_VOTER_AVOID_SECONDS = 10.0
# extra time for a node that answers other requests, or already has many late answers: an overloaded
# cluster must not get every request twice
BUSY_EXTRA_SECONDS = 0.75
LOAD_SECONDS = 0.001
# while such a node answers, a large request waits its turn, at most this long
LONGEST_TURN_SECONDS = 20.0
FIRST_LATE = 16
# this long before its deadline an operation asks the next node, if the last one said nothing lately; if
# the whole time is short, its last two thirds are used
LAST_CALL_SECONDS = 0.3
LIGHT_BYTES = 4_096
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
# a claim in no doubt is not sent again so near its deadline: a late answer would put it in doubt
ANSWER_SECONDS = 0.05

_MOVED = (
    "if they have moved or were replaced, connect again, with the addresses that they have now, as"
    " 'decreed member list' shows them"
)

_LEFT = "its node is of an earlier formation of the cluster, which the client has left"

# the same at every node and at any later time, or so definite that no other one need be asked; a node
# with an older policy than others may deny what they would not, and a caller that was granted something
# just now can ask again
_OF_THE_REQUEST = (BadRequest, Denied, Disputed, LockHeld, OverQuota, TokenRefused)
# no node is there
_ABSENT = (NothingListens, NoSuchName, ProtocolError)
# time will not heal the node: worth no second round when all nodes say so
_PERMANENT = (ProtocolError, IdentityRefused, Damaged, StorageFailed)


class NodeReply(Struct, frozen=True):
    """The answer that settled an operation, and the welcome of the node that gave it."""

    answer: Answer | ClientWelcome
    welcome: ClientWelcome


class RequestAttempt:
    """An operation being settled.

    Args:
        operation: what to ask.
        pool: the links to ask.
        wake: called when there is an event.
        deadline: on the runtime's clock.
    """

    __slots__ = (
        "_absent_at",
        "_deadline",
        "_doubtful",
        "_faults",
        "_in_flight",
        "_inbox",
        "_last_try_at",
        "_operation",
        "_pool",
        "_rounds",
        "_tried",
        "_tries",
        "_wake",
        "_wake_at",
        "result",
    )  # fmt: skip

    def __init__(
        self,
        operation: Operation,
        pool: Pool,
        wake: Callable[["RequestAttempt"], None],
        deadline: float,
    ) -> None:
        self.result: NodeReply | DecreedError | None = None
        self._operation, self._pool, self._wake = operation, pool, wake
        self._deadline = deadline
        self._absent_at = self._last_try_at = inf
        self._wake_at = -inf
        self._inbox: list[tuple[InFlightRequest, Event]] = []
        self._in_flight: list[InFlightRequest] = []
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
        """Handle the events, and the timeouts at the time `now`; `result` is set at the end."""
        if self._last_try_at == inf:
            self._last_try_at = self._deadline - min(ANSWER_SECONDS, (self._deadline - now) / 4)
        inbox, self._inbox = self._inbox, []
        for in_flight, news in inbox:
            if self.result is None:
                self._hear(in_flight, news, now)
        if self.result is not None:
            return
        if self._absent_at == inf and self._operation.absent < inf:
            self._absent_at = now + self._operation.absent
        if self._pool.closed:
            self._end(Closed("the client was closed"))
        elif now >= self._deadline:
            self._end(self._out_of_time())
        elif now >= self._wake_at:
            self._press_on(now)

    def withdraw(self) -> None:
        """Withdraw all requests: nobody waits for the result any more."""
        for in_flight in self._in_flight:
            in_flight.link.withdraw(in_flight)
        self._in_flight.clear()

    def _deliver(self, in_flight: InFlightRequest, news: Event) -> None:
        self._inbox.append((in_flight, news))
        self._wake(self)

    def _hear(self, in_flight: InFlightRequest, news: Event, now: float) -> None:
        if isinstance(news, Silent):
            self._faults.setdefault(in_flight.link, news.error)
            self._wake_at = now
            return
        self._in_flight.remove(in_flight)
        welcome = in_flight.link.welcome
        if isinstance(news, Lost):
            self._fault(in_flight.link, news.error, in_flight.written_at is not None, now)
        elif in_flight.link.retired and self._pool.has_left(welcome):
            self._fault(in_flight.link, Unreachable(_LEFT), True, now)
        elif isinstance(news, Failed):
            error = error_from_wire(news.code, news.message, news.wait_ms)
            self._fault(in_flight.link, error, not error.definite, now)
        elif welcome and self._fits(news):
            self.result = NodeReply(news, welcome)
            self.withdraw()
        else:
            error = ProtocolError(f"an answer that does not fit the request: {type(news).__name__}")
            self._fault(in_flight.link, error, True, now)

    def _fits(self, news: Answer | ClientWelcome) -> bool:
        if not isinstance(news, self._operation.expects):
            return False
        return not isinstance(news, Decreed) or self._operation.fits(news.decree)

    def _fault(self, link: Link, error: DecreedError, doubtful: bool, now: float) -> None:
        self._doubtful = self._doubtful or doubtful
        self._faults[link] = error
        if isinstance(error, NotMember) and not self._pool.may_observe(link):
            link.avoid(NO_VOTER_AVOID_SECONDS)
        if isinstance(error, Busy) and error.wait_ms:
            link.wait(error)
        if isinstance(error, _OF_THE_REQUEST):
            self._end(error)
        elif not any(in_flight.link.stalls_at() > now for in_flight in self._in_flight):
            self._wake_at = now

    def _press_on(self, now: float) -> None:
        """Try the next node, unless the last one may have more time."""
        if self._in_flight:
            patience = self._patience(self._in_flight[-1], now)
            if patience > now:
                self._wake_at = patience
                return
        link = self._next_link(now)
        stalls_at = max((in_flight.link.stalls_at() for in_flight in self._in_flight), default=-inf)
        if link is not None and self._tries and self._is_too_late(now):
            self._wake_at = self._deadline
        elif link is not None:
            self._try(link, now)
        elif stalls_at > now:
            self._wake_at = stalls_at
        else:
            self._end_round(now)

    def _patience(self, in_flight: InFlightRequest, now: float) -> float:
        """Until when to wait for `in_flight` alone. Avoids its node from now on if it is silent."""
        link = in_flight.link
        if link.silent or link.retired:
            return now
        if in_flight.written_at is None and not link.up:
            connecting = in_flight.made_at + min(self._operation.hedge, CONNECT_SECONDS)
            return min(connecting, self._last_call(in_flight.made_at))
        hedge = self._operation.hedge + max(link.weight, in_flight.weight) / BYTES_PER_SECOND
        since = in_flight.made_at if in_flight.written_at is None else in_flight.written_at
        heard = link.heard_at > since
        if heard and in_flight.weight > LIGHT_BYTES:
            since = min(link.heard_at, since + LONGEST_TURN_SECONDS)
        if heard and in_flight.written_at is None:
            # the request waits for room in a working connection
            return now + hedge
        if heard or link.late >= FIRST_LATE:
            hedge += BUSY_EXTRA_SECONDS + link.load * LOAD_SECONDS
        if now >= since + hedge and not heard:
            if not link.late:
                LOG.info("%s does not answer: others are asked meanwhile", link.endpoint)
            link.passed_on()
            link.avoid(SILENT_AVOID_SECONDS)
        last_call = self._last_call(in_flight.made_at)
        return min(since + hedge, max(last_call, link.heard_at + HEDGE_SECONDS))

    def _last_call(self, since: float) -> float:
        """When to ask the next node at the latest, if the last one was asked at `since`."""
        return self._deadline - min(LAST_CALL_SECONDS, (self._deadline - since) * 2 / 3)

    def _next_link(self, now: float) -> Link | None:
        operation = self._operation
        if not operation.only and not self._tries:
            first = self._pool.first(operation.key, operation.anywhere)
            if first is not None and not first.busy(now):
                return first
        asked = self._tried.union(in_flight.link for in_flight in self._in_flight)
        for link in self._links():
            if link not in asked:
                busy = link.busy(now)
                if busy is None:
                    return link
                self._faults.setdefault(link, busy)
        return None

    def _links(self) -> Sequence[Link]:
        """The links to ask, in order."""
        operation = self._operation
        if operation.only:
            return [operation.only]
        return self._pool.route(operation.key, operation.prefer, anywhere=operation.anywhere)

    def _try(self, link: Link, now: float) -> None:
        self._tried.add(link)
        self._tries += 1
        here = self._tries > 1
        if here:
            LOG.debug("asking %s, about %s", link.endpoint, self._operation.key or "no key")
        milliseconds = self._milliseconds(now)
        if link.late and not self._pool.avoided(link):
            # this request finds out whether the node answers again; others avoid it until then
            link.late = 1
            link.avoid(SILENT_AVOID_SECONDS)

        def make(id: int) -> ClientMessage | None:
            return self._operation.build(id, milliseconds, here)

        hedge = self._operation.hedge if link.up else min(self._operation.hedge, CONNECT_SECONDS)
        self._wake_at = min(now + hedge, self._last_call(now))
        in_flight = link.submit(make, self._deliver, now)
        self._in_flight.append(in_flight)

    def _milliseconds(self, now: float) -> int:
        """How long the node may try: a little less than we wait, so that its answer is in time."""
        left = self._deadline - now
        seconds = min(left - min(0.1, left / 6), self._operation.longest)
        return max(1, min(int(seconds * 1000), MAX_TIMEOUT_MS))

    def _end_round(self, now: float) -> None:
        """All nodes failed: give up if that is permanent, otherwise pause and try all again."""
        self._rounds += 1
        errors = list(self._faults.values())
        if errors and all(isinstance(error, _PERMANENT) for error in errors):
            self._end(type(errors[-1])(self._reasons()))
        elif errors and all(isinstance(x, _ABSENT) for x in errors) and now >= self._absent_at:
            self._end(self._absent())
        elif self._rounds >= self._operation.rounds:
            self._end(self._out_of_time())
        else:
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._rounds, 10))
            self._tried.clear()
            free_at = min((link.free_at for link in self._links()), default=0.0)
            self._wake_at = max(now + pause * random.uniform(0.5, 1.0), free_at)
            reasons = self._reasons() or "nobody answered"
            LOG.debug("asking all again soon, for all have failed: %s", reasons)
            if not all(isinstance(error, _ABSENT) for error in errors):
                self._absent_at = now + self._operation.absent  # some node is there
            if now < self._absent_at:
                self._wake_at = min(self._wake_at, self._absent_at)

    def _is_too_late(self, now: float) -> bool:
        """Whether a claim that is in no doubt must not be sent again."""
        sure = bool(self._operation.claim) and not self._doubtful
        return sure and now > self._last_try_at

    def _out_of_time(self) -> DecreedError:
        kinds = {type(error) for error in self._faults.values()}
        alike = len(kinds) == 1 and kinds <= {NotFormed, NotMember}
        # of requests or of connections: somebody is there, and says that it has no room
        if kinds == {Busy}:
            return Busy(self._reasons())
        [kind] = kinds if alike else [Unreachable]
        if self._operation.only:
            # of one node, which says nothing about the cluster
            return kind(self._reasons() or f"{self._operation.only.endpoint}: no answer")
        if kinds in ({NothingListens}, {NoSuchName}):
            return self._absent()
        reasons = self._reasons() or "nobody answered"
        if self._pool.introduced and not self._pool.up and kind is Unreachable:
            return kind(
                f"none of the members that this client knows answers: {self._pool.names}"
                f" ({reasons}); {_MOVED}"
            )
        return kind(f"no answer in time ({reasons})")

    def _reasons(self) -> str:
        said = {link.endpoint: str(error) for link, error in self._faults.items()}
        for in_flight in self._in_flight:
            said.setdefault(in_flight.link.endpoint, "no answer")
        return "; ".join(f"{endpoint}: {reason}" for endpoint, reason in said.items())

    def _absent(self) -> DecreedError:
        """There is no cluster where we were told to look."""
        kinds = {type(error) for error in self._faults.values()}
        ends = [link.endpoint for link in self._faults]
        if kinds == {NothingListens}:
            places = " or ".join(map(str, ends))
            if self._pool.introduced:
                return Unreachable(
                    f"nothing listens at {places}, and this client knows no other members than"
                    f" {self._pool.names}: start the cluster's nodes; {_MOVED}"
                )
            return Unreachable(
                f"nothing listens at {places}: start the cluster's nodes, or one on this machine "
                "with 'decreed dev'"
            )
        if kinds == {NoSuchName}:
            names = " or ".join(dict.fromkeys(repr(end.host) for end in ends))
            return Unreachable(f"no address is known for {names}: check how it is written")
        return Unreachable(f"no decreed node is there ({self._reasons()})")

    def _end(self, error: DecreedError) -> None:
        written = any(in_flight.written_at is not None for in_flight in self._in_flight)
        self.withdraw()
        claim = self._operation.claim
        if claim and (self._doubtful or written) and not isinstance(error, ClaimIdReused):
            unknown = OutcomeUnknown(
                f"whether {claim.key!r} was claimed is unknown; ask again with "
                f"{self._operation.again()} ({error})"
            )
            unknown.__cause__ = error
            error = unknown
        self.result = error
