"""A hold: a term of a lock that is ours, the keep-alives that keep it, and how it ends.

Knows nothing of the code that runs under the lock; `lock` and `sync_lock` wrap it for that.

Invariants kept here:

* validity is computed from the clock alone, so that it is right even if no task of ours gets to run;
* a lapsed validity and a loss are permanent;
* the keep-alives are a task of the client, not of the caller; when that task ends, the lock is lost;
* a lock that was not lost is released, by a task of the client that survives its holder's cancellation;
* an acquire that ends without the lock gives its claim up: from then on this hold is never valid, even
  if a term is decreed to the claim later.
"""

import logging
from collections.abc import Callable
from math import inf

import anyio

from ...registry.clock import now_ms
from ...registry.errors import BadRequest, Closed, DecreedError, LockLost
from ...registry.locks.holding import Holding
from ...registry.locks.secret import Secret
from ...registry.locks.terms import TermClaim, lease_id, term_of
from ...registry.wire.requests import Kept, Superseded
from ..requests.attempt import NodeReply
from ..requests.sender import RequestSender
from ..runtime.forks import this_process
from ..runtime.runtime import CLOSED
from .acquiring import Acquiring, Grant
from .giving_up import GivingUp
from .holder import Holder, holder_of
from .operations import to_keep, to_release

LOG = logging.getLogger(__name__)
KEEPS_PER_TTL = 3
PAUSES_PER_TTL = 20
RELEASE_SECONDS = 2.0
# the event loop's clock may stop while the machine sleeps: check soon after against one that does not
LONGEST_NAP_SECONDS = 1.0
LAPSED = "nobody confirmed it in time"
NOT_HELD = "the lock is not held: its block was left, or not entered yet"


class Hold:
    """One caller's hold of a lock; used once.

    Args:
        sender: sends requests to the cluster.
        lock: the lock's name.
        claim: the claim for the term.
        secret: proves that the claim is ours.
    """

    def __init__(self, sender: RequestSender, lock: str, claim: TermClaim, secret: Secret) -> None:
        self.lock = lock
        self.changed: Callable[[], None] = lambda: None
        """Called in the event loop when validity is confirmed, and when the lock is lost."""
        self._sender, self._claim, self._secret = sender, claim, secret
        self._giving_up = GivingUp(sender, lock, claim, secret)
        self._acquiring: Acquiring | None = None
        self._process = this_process()
        self._holding: Holding | None = None
        self._holder: Holder | None = None
        self._loss = ""
        self._over = False
        self._used = False
        self._keeper: anyio.CancelScope | None = None

    # -- what holders ask, from any thread

    @property
    def holder(self) -> Holder:
        """What the term's decree says.

        Raises:
            LockLost: if no term was granted.
        """
        if self._holder is None:
            raise LockLost(NOT_HELD)
        return self._holder

    @property
    def remaining(self) -> float:
        """Seconds of validity that are left unless it is confirmed again; 0 if it is not held."""
        if self._over or self._loss or self._holding is None or this_process() != self._process:
            return 0.0
        return self._holding.remaining_ms(now_ms()) / 1000

    @property
    def loss(self) -> str:
        """Why the lock was lost; empty if it was not lost."""
        if not (self._loss or self._over) and self._has_lapsed():
            self._loss = LAPSED
        return self._loss

    def ensure_held(self) -> None:
        """Check that the lock is held now.

        Raises:
            LockLost: if it is not held, or is held by another process.
        """
        if this_process() != self._process:
            raise LockLost(
                f"the lock {self.lock!r} is held by the process that this was forked from"
            )
        if self.loss:
            raise self.lost_error()
        if self._over or self._holding is None:
            raise LockLost(NOT_HELD)

    def lapse(self) -> None:
        """Count the lock as lost: its validity is over by the clock of the event loop."""
        if not self._over:
            self._loss = self._loss or LAPSED

    def lost_error(self) -> LockLost:
        """The error that says why the lock was lost."""
        term = f" (term {self._holder.term})" if self._holder else ""
        return LockLost(f"the lock {self.lock!r}{term} was lost: {self._loss}")

    # -- getting and leaving it, in the event loop

    async def acquire(self, wait: float | None) -> None:
        """Get the lock and begin to keep it.

        Args:
            wait: seconds to wait for it; 0 not to wait, None to wait without a limit.

        Raises:
            LockHeld: somebody else holds it; no term was or will be decreed to this claim, or a prepare
                quorum has accepted its give-up.
            Unreachable: no quorum answered in time, and no term was or will be decreed to this claim.
            OutcomeUnknown: a term may have been decreed, and no quorum has accepted the give-up; such a
                term ends by itself, one ttl later.
            LockLost: the lock was granted and could not be confirmed.
            BadRequest: this hold was used before; its claim id stands for one term.
        """
        if self._used:
            raise BadRequest(f"a hold of {self.lock!r} is used once: ask the registry for another")
        self._used = True
        # without a wait for the lock, the nodes have as much time as for any other call
        seconds = inf if wait is None else wait or None
        deadline = self._sender.deadline(seconds)
        acquiring = Acquiring(self._sender, self.lock, self._claim, deadline, wait != 0)
        self._acquiring = acquiring
        try:
            with self._sender.pool.tasks.parting(self._abandon):
                self._take(await acquiring.run())
                await self._begin()
            self.ensure_held()
            self._sender.pool.tasks.spawn(self._keep)
        except DecreedError as error:
            # the client was closed and gave up the claim: report the close, not what followed from it
            reason = Closed(CLOSED) if self._over else error
            final = await self._end_without(acquiring, reason)
            raise final from (error if final is not error else error.__cause__)
        except BaseException:
            await self._give_up()
            raise

    async def release(self) -> None:
        """Stop keeping the lock, and release it if it was not lost; bounded, and never cancelled.

        A release that reaches no node raises no error: the term ends by itself.
        """
        if this_process() != self._process:
            return
        if self._over:
            await self._giving_up.wait()
            return
        lost = bool(self.loss)
        self._over = True
        if self._keeper is not None:
            self._keeper.cancel()
        if self._holder is not None and not lost:
            await self._say_released(self._holder)
        if self._acquiring is not None and len(self._acquiring.asked) > 1:
            # another node may still hold the claim in its queue, and grant it a second term
            self._giving_up.begin(self._acquiring.asked)

    async def _end_without(self, acquiring: Acquiring, error: DecreedError) -> DecreedError:
        """The final error of an acquire that ends without the lock."""
        if self._holder is not None:
            await self._give_up()
            return error
        if not acquiring.doubtful:
            self._over = True
            return error
        return await acquiring.verdict(error, await self._give_up())

    async def _give_up(self) -> bool:
        """Give up the claim; returns whether it certainly can hold nothing now."""
        self._abandon()
        return await self._giving_up.wait()

    def _abandon(self) -> None:
        self._over = True
        assert self._acquiring is not None
        if self._acquiring.asked:
            self._giving_up.begin(self._acquiring.asked)

    async def _say_released(self, holder: Holder) -> None:
        sender, operation = self._sender, to_release(holder.lease_id, self._secret)
        seconds = min(RELEASE_SECONDS, self._claim.ttl_ms / 1000)

        async def say() -> None:
            [result] = await sender.settle([operation], anyio.current_time() + seconds)
            if isinstance(result, DecreedError):
                LOG.debug("the release of %r was not confirmed: %s", self.lock, result)

        said = sender.pool.tasks.say(say)
        with anyio.move_on_after(seconds, shield=True):
            await said.wait()

    def _take(self, grant: Grant) -> None:
        ttl_ms = term_of(grant.decree).ttl_ms
        self._holder = holder_of(grant.decree)
        self._holding = Holding(lease_id(grant.decree), ttl_ms)
        if grant.sent_ms is not None:
            self._holding = self._holding.confirmed(grant.sent_ms, now_ms())

    async def _begin(self) -> None:
        """Start validity by a keep-alive if the grant did not; the grant's own leases last one ttl."""
        assert self._holding is not None
        ends_at = anyio.current_time() + self._holding.ttl_ms / 1000
        while self._holding.until_ms is None and not (self._loss or self._over):
            await self._renew(ends_at)
            if self._holding.until_ms is None and anyio.current_time() >= ends_at:
                self._lose("no quorum confirmed it in time")

    # -- keeping it, as a task of the client

    async def _keep(self) -> None:
        reason = "its keep-alives have stopped"
        try:
            with anyio.CancelScope() as self._keeper:
                await self._keep_on()
        except Exception as error:
            LOG.exception("keeping %r failed", self.lock)
            reason = f"{reason} ({type(error).__name__}: {error})"
        finally:
            self._lose(reason)

    async def _keep_on(self) -> None:
        due = anyio.current_time() + self._period()
        while not self.loss and not self._over:
            now = anyio.current_time()
            await anyio.sleep(max(0.0, min(due - now, self.remaining, LONGEST_NAP_SECONDS)))
            if not self.loss and anyio.current_time() >= due:
                due = anyio.current_time() + self._period()
                await self._renew(anyio.current_time() + self.remaining)

    def _period(self) -> float:
        return self._claim.ttl_ms / 1000 / KEEPS_PER_TTL

    async def _renew(self, ends_at: float) -> None:
        """One keep-alive, sent to one node after another; a later one starts from the beginning."""
        assert self._holding is not None
        deadline = min(ends_at, anyio.current_time() + self._period())
        sent_ms = now_ms()
        operation = to_keep(self._holding.lease_id, self._secret)
        [result] = await self._sender.settle([operation], deadline)
        match result:
            case NodeReply(answer=Kept()):
                self._holding = self._holding.confirmed(sent_ms, now_ms())
                self.changed()
            case NodeReply(answer=Superseded()):
                self._lose("its term is over: it was broken, or another holder's has begun")
            case BadRequest() | Closed():
                self._lose(str(result))
            case _:
                await anyio.sleep(self._claim.ttl_ms / 1000 / PAUSES_PER_TTL)

    def _has_lapsed(self) -> bool:
        begun = self._holding is not None and self._holding.until_ms is not None
        return begun and not self.remaining

    def _lose(self, reason: str) -> None:
        if not self._over:
            self._loss = self.loss or reason
            self.changed()
