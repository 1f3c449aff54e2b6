"""Acquiring a term: asking one node after another, until one grants it or the deadline passes.

A request stays at one node for the whole wait, since each node keeps the order of its waiters.
The lock's home is asked first. If a node falls silent, the request moves to the next one. A wait at
another node than the home is cut into short pieces, so that it moves back to the home.

Invariants kept here:

* one claim id is asked for at all nodes, so that repeating is safe, and is granted at most once;
* it ends with the last error only if every try was definite, or if a prepare quorum has accepted the
  give-up of the claim, which then can hold nothing; otherwise it ends as `OutcomeUnknown`;
* validity counts from the first sending, and only if there was no second one.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from ...registry.clock import now_ms
from ...registry.errors import (
    BadRequest,
    Closed,
    DecreedError,
    Denied,
    Disputed,
    LockHeld,
    OutcomeUnknown,
    ProtocolError,
    TokenRefused,
    Unreachable,
)
from ...registry.keys import homes
from ...registry.locks.terms import TermClaim, lock_and_term
from ...registry.types import Decree
from ...registry.wire.requests import MAX_TIMEOUT_MS, Granted, HeldBy
from ..requests.attempt import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, NodeReply
from ..requests.results import shown_id
from ..requests.sender import RequestSender
from ..transport.link import Link
from .holder import held_error
from .operations import home_key, to_find_holder, to_lock

LONGEST_SECONDS = MAX_TIMEOUT_MS / 1000
AWAY_SECONDS = 5.0
# with less time left than this, no further try is made
SCANT_SECONDS = 0.1
# how long a caller whose wait is over may take to find out who holds the lock
LAST_WORD_SECONDS = 2.0
# how long after the deadline the answer of a node may still arrive
LATE_SECONDS = 1.0
# how long to wait for the outcome of a grant that was under way at the deadline
OUTCOME_SECONDS = 0.25
# how long it may take to find out who holds a lock that was not acquired
HOLDER_SECONDS = 0.5

# every other node would answer the same
_OF_THE_REQUEST = (BadRequest, Closed, Denied, Disputed, TokenRefused)


@dataclass(frozen=True, slots=True)
class Grant:
    """A term that was granted.

    Args:
        decree: of the term.
        sent_ms: when validity begins; None if it has to begin with a keep-alive.
    """

    decree: Decree
    sent_ms: float | None


class Acquiring:
    """One caller's attempt to acquire a term of a lock.

    Args:
        sender: sends requests to the cluster.
        lock: the lock's name.
        claim: the claim for the term; its id is used for nothing else.
        deadline: when to give up, on anyio's clock.
        queue: whether to wait while somebody else holds the lock.

    Attributes:
        asked: the links on which the claim may have been sent, in order.
    """

    def __init__(
        self, sender: RequestSender, lock: str, claim: TermClaim, deadline: float, queue: bool
    ) -> None:
        self._sender, self._lock, self._claim = sender, lock, claim
        self._deadline = deadline
        self._queue = queue
        self._tries = 0
        self._rounds = 0
        self._doubt: OutcomeUnknown | None = None
        self._doubted: Link | None = None
        self._held: HeldBy | None = None
        # of a node that may not say who holds it
        self._held_by_somebody: LockHeld | None = None
        self._last: DecreedError | None = None
        self._asked: dict[Link, None] = {}
        # the link that is being asked, and since when
        self._asking: tuple[Link, float] | None = None

    @property
    def asked(self) -> Sequence[Link]:
        """The links on which the claim may have been sent by now, in order."""
        self._note_asked()
        return tuple(self._asked)

    @property
    def doubtful(self) -> bool:
        """Whether a term may have been decreed, or may yet be, to a claim that was not granted."""
        return self._doubt is not None

    async def run(self) -> Grant:
        """Return once the caller holds the lock.

        Raises:
            LockHeld: somebody else holds it, and the caller does not wait, or its wait is over.
            DecreedError: no quorum answered in time, or the request itself is wrong. If the outcome
                is in doubt, `verdict` says what the error means.
        """
        try:
            return await self._ask_all()
        except Unreachable:
            grant = await self._outcome()
            if grant is None:
                raise
            return grant

    async def verdict(self, error: DecreedError, given_up: bool) -> DecreedError:
        """The final error, when some try was indefinite and no grant came.

        Args:
            error: the last error.
            given_up: whether a prepare quorum has accepted the give-up of the claim.
        """
        if not given_up:
            return self._unknown(error)
        # a quorum is up, so a late answer is not the reason
        return await self._not_got() if isinstance(error, Unreachable | OutcomeUnknown) else error

    async def _ask_all(self) -> Grant:
        soon = anyio.current_time() + LAST_WORD_SECONDS
        await self._sender.meet(max(self._deadline, soon))
        while True:
            for link in self._sender.pool.route(home_key(self._lock)):
                grant = await self._try(link)
                if grant is not None:
                    return grant
            await self._pause()

    async def _outcome(self) -> Grant | None:
        """The deadline passed while a grant may be under way: ask briefly how it ended."""
        if self._doubted is None or not self._doubted.up or self._sender.pool.closed:
            return None
        self._tries += 1
        operation = to_lock(self._lock, self._claim, False, self._doubted, OUTCOME_SECONDS)
        until = anyio.current_time() + OUTCOME_SECONDS
        [result] = await self._sender.settle([operation], until)
        match result:
            case NodeReply(answer=Granted(decree=decree)) if self._is_ours(decree):
                return Grant(decree, None)
            case NodeReply(answer=HeldBy() as held):
                self._note(held)
            case _:
                pass
        return None

    async def _try(self, link: Link) -> Grant | None:
        self._sender.check_open()
        if anyio.current_time() >= self._deadline:
            self._on_time_up()
        sent_ms = now_ms()
        self._tries += 1
        result = await self._ask(link)
        if isinstance(result, NodeReply):
            return self._hear(result, sent_ms)
        self._last = result
        if isinstance(result, _OF_THE_REQUEST):
            raise result
        if isinstance(result, LockHeld):
            self._held_by_somebody = result
            if self._is_over():
                raise result
            self._rounds = 0
        if isinstance(result, OutcomeUnknown):
            self._doubt, self._doubted = result, link
            if self._is_late():
                # another node would start again what this one may be about to complete
                raise self._out_of_time()
        return None

    def _hear(self, reply: NodeReply, sent_ms: float) -> Grant | None:
        match reply.answer:
            case Granted(decree=decree, leased=leased) if self._is_ours(decree):
                # sent long ago, little validity is left: a keep-alive gains more than it costs
                fresh = now_ms() - sent_ms < self._claim.ttl_ms / 3
                alone = leased and self._tries == 1 and fresh
                return Grant(decree, sent_ms if alone else None)
            case HeldBy() as held:
                newest = self._note(held)
                if self._is_over():
                    raise held_error(newest)
                self._rounds = 0
                return None
            case answer:
                raise ProtocolError(f"no answer about a lock: {type(answer).__name__}")

    def _note(self, held: HeldBy) -> HeldBy:
        """The answer that names the newest term: a node may know less than one that spoke before."""
        known = self._held
        if known is None or _term_number(held) >= _term_number(known):
            self._held = known = held
        return known

    def _on_time_up(self) -> None:
        """The wait is over. If no quorum has answered yet, ask once more who holds the lock.

        A busy queue or a short wait may leave no time for an answer about the holder.
        """
        known = self._held or self._held_by_somebody or self._doubt
        if not self._queue or known is not None:
            raise self._out_of_time()
        self._queue = False
        self._deadline = anyio.current_time() + LAST_WORD_SECONDS

    def _out_of_time(self) -> DecreedError:
        """`LockHeld` if a quorum answered during the wait, otherwise `Unreachable`.

        If the outcome is in doubt, a grant may be under way, and `run` asks for its outcome.
        """
        if self._held is not None and self._doubt is None:
            return held_error(self._held)
        if self._held_by_somebody is not None and self._doubt is None:
            return self._held_by_somebody
        return Unreachable(f"no quorum answered in time ({self._last or 'nobody'})")

    def _is_over(self) -> bool:
        return not self._queue or self._is_late()

    def _is_late(self) -> bool:
        return anyio.current_time() >= self._deadline - SCANT_SECONDS

    def _is_ours(self, decree: Decree) -> bool:
        lock, _ = lock_and_term(decree.key)
        return lock == self._lock and decree.claim_id == self._claim.claim_id

    async def _not_got(self) -> DecreedError:
        """The claim can hold nothing: say who has the lock, as far as that is known."""
        until = anyio.current_time() + HOLDER_SECONDS
        # the holder that was named before may have left the lock since
        [result] = await self._sender.settle([to_find_holder(self._lock)], until)
        if isinstance(result, NodeReply) and isinstance(result.answer, HeldBy):
            self._note(result.answer)
        if self._held is not None and not self._is_ours(self._held.decree):
            return held_error(self._held)
        return LockHeld(
            f"{self._lock!r} was not got in time: it was about to be handed over, and was given up"
        )

    def _unknown(self, error: DecreedError) -> DecreedError:
        """Nobody can say whether a term was, or will be, decreed."""
        if isinstance(error, OutcomeUnknown):
            return error
        return OutcomeUnknown(
            f"whether a term of {self._lock!r} was decreed to the claim id "
            f"{shown_id(self._claim.claim_id)} is unknown; if it was, it ends by itself "
            f"{self._claim.ttl_ms / 1000:g} s later ({error})"
        )

    # -- one node

    async def _ask(self, link: Link) -> NodeReply | DecreedError:
        """Ask one node, for as long as is useful; give up on it if it falls silent."""
        self._asking = link, anyio.current_time()
        self._note_asked()
        try:
            return await self._ask_for(link, self._longest(link))
        finally:
            self._note_asked()
            self._asking = None

    def _note_asked(self) -> None:
        """Note the link if it is up; called at each use, since it may have come up in between."""
        if self._asking is not None:
            link, began = self._asking
            if link.up or link.heard_at >= began:
                self._asked[link] = None

    async def _ask_for(self, link: Link, seconds: float) -> NodeReply | DecreedError:
        operation = to_lock(self._lock, self._claim, self._queue, link, seconds)
        [result] = await self._sender.settle([operation], self._deadline + LATE_SECONDS)
        return result

    def _longest(self, link: Link) -> float:
        pool = self._sender.pool
        home = homes(home_key(self._lock), pool.addresses)[0]
        at_home = link.welcome is None or link.welcome.node == home
        left = max(0.001, self._deadline - anyio.current_time())
        return min(left, LONGEST_SECONDS if at_home else AWAY_SECONDS)

    async def _pause(self) -> None:
        self._rounds += 1
        seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._rounds, 10))
        left = max(0.0, self._deadline - anyio.current_time())
        await anyio.sleep(min(left, seconds * random.uniform(0.5, 1.0)))


def _term_number(held: HeldBy) -> int:
    return lock_and_term(held.decree.key)[1]
