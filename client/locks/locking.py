"""The part of the registry that is about locks: each method checks, asks, and returns the answer."""

import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio

from ...registry.errors import BadRequest, LockLost, OutcomeUnknown, Unreachable
from ...registry.keys import LOCKS
from ...registry.locks.secret import SECRET_BYTES, Secret
from ...registry.locks.terms import (
    MAX_INFO_BYTES,
    Ending,
    How,
    LeaseId,
    TermClaim,
    lease_id,
    lock_and_term,
    lock_path,
)
from ...registry.types import MAX_NOTE_CHARS, Decree
from ...registry.wire.requests import HeldBy
from ..requests import arguments
from ..requests.arguments import Seconds
from ..requests.listing import Listing
from ..requests.sender import RequestSender
from .holder import (
    Holder,
    LockState,
    PastTerm,
    checked_lease_id,
    holder_text,
    lock_state_of,
    past_terms,
)
from .lease import Hold
from .lock import Lock, Locked, Owners
from .observing import Observing
from .operations import is_term_of, to_break, to_find_holder

LOG = logging.getLogger(__name__)
DEFAULT_TTL = 15.0
DEFAULT_WAIT = 60.0
BREAK_PAUSE = 0.05


class Locking:
    """Locks and leaders of a cluster; `Registry` has all of this.

    Args:
        sender: sends requests to the cluster.
        claimant: the name in terms, to which host and process are added.
    """

    def __init__(self, sender: RequestSender, claimant: str) -> None:
        self._sender = sender
        self._claimant = claimant
        self._owners: Owners = {}

    def lock(
        self,
        name: str,
        *,
        ttl: Seconds = DEFAULT_TTL,
        wait: Seconds | None = DEFAULT_WAIT,
        note: str = "",
        info: bytes = b"",
    ) -> Locked:
        """Hold a lock while the block runs: ``async with registry.lock("migrate") as lock: …``.

        When the lock is lost, the block is cancelled at its next await. `LockLost` is raised after it,
        unless the block raises an error of its own. Code that does not await must call
        `Lock.ensure_held`. Work that two must never do at once should also check `Lock.token`.

        Where no block fits, as in start and stop hooks, use
        ``lock = await registry.lock("migrate").acquire()`` and ``await lock.release()``, which any
        task may do; see `Locked.acquire`.

        Args:
            name: the lock's name, such as ``prod/migrate``.
            ttl: seconds (or a `timedelta`) after which the lock is free again if this process dies;
                0.1 to 3600.
            wait: seconds (or a `timedelta`) to wait for it; 0 not to wait at all, None to wait forever.
            note: free text for those who find the lock held.
            info: bytes to publish while it is held, at most 16384.

        Returns:
            What gets the lock: enter it once, or `Locked.acquire` it. Nothing is sent before that,
            and the errors below come from there.

        Raises:
            LockHeld: somebody else holds it; the error says who.
            LockLost: it was lost before the block's end.
            Reentrant: this task holds it already.
            OutcomeUnknown: it may have been decreed to this call; then it is free again after one ttl.
            Unreachable: no quorum answered in time.
        """
        seconds = arguments.seconds_or_none("wait", wait)
        return Locked(self.hold(name, ttl, note, info), seconds, self._owners)

    def lead(
        self,
        name: str,
        *,
        info: Any = None,
        ttl: Seconds = DEFAULT_TTL,
        wait: Seconds | None = None,
        note: str = "",
    ) -> Locked:
        """Lead while the block runs; the same as `lock`, but it waits forever by default.

        Args:
            name: what to lead. A lock of the same name is the same lock.
            info: anything that can be written as JSON, for callers that look for the leader.
            ttl, wait, note: as for `lock`.

        Returns:
            What gets the lock, as `lock` does.

        Raises:
            DecreedError: as `lock` does.
        """
        return self.lock(name, ttl=ttl, wait=wait, note=note, info=json_bytes(info))

    async def keep_leading(
        self,
        name: str,
        work: Callable[[Lock], Awaitable[object]],
        *,
        info: Any = None,
        ttl: Seconds = DEFAULT_TTL,
        note: str = "",
        pause: Seconds = 1.0,
    ) -> None:
        """Run `work` whenever this program leads, and campaign again whenever it stops leading.

        `work` is called with each new term; it is cancelled when the term is lost. When it returns,
        this resigns and returns. Its errors are raised, except `LockLost`.

        Args:
            name, info, ttl, note: as for `lead`.
            work: what the leader does.
            pause: seconds between two campaigns.

        Raises:
            BadRequest: an argument is malformed.
            Unreachable: no quorum answered a call of `work`; while it campaigns this is waited out.
        """
        arguments.function("work", work)
        seconds = arguments.seconds("pause", pause)
        while True:
            led = False
            try:
                async with self.lead(name, info=info, ttl=ttl, note=note) as term:
                    led = True
                    await work(term)
                return
            except LockLost as error:
                LOG.info("no leader of %r any more: %s", name, error)
            except (Unreachable, OutcomeUnknown) as error:
                if led:
                    raise
                LOG.info("no leader of %r yet: %s", name, error)
            await anyio.sleep(seconds)

    def observe(self, name: str) -> AsyncIterator[Holder]:
        """The leader of `name`, and each new one as its term begins; never ends by itself.

        A leader that comes and goes while nobody answers may be left out; terms never go back.
        That a leader's term has begun does not say that it is alive: ask `lock_state` for that.

        Args:
            name: of what is led.

        Returns:
            An asynchronous iterator of `Holder`.
        """
        self._sender.check_open()
        return Observing(self._sender, arguments.lock_name(name))

    async def lock_state(self, name: str, *, timeout: Seconds | None = None) -> LockState | None:
        """Who holds the lock `name`, as a quorum says; None if nobody ever held it.

        Args:
            name: the lock's name.
            timeout: seconds; None for the time given to `connect`.

        Returns:
            The holder of the latest term, and for how long the lock is taken.

        Raises:
            Unreachable: no quorum answered in time.
        """
        deadline = self._sender.deadline(timeout)
        reply = await self._sender.ask(to_find_holder(arguments.lock_name(name)), deadline)
        return lock_state_of(reply.answer) if isinstance(reply.answer, HeldBy) else None

    async def lock_names(self, *, timeout: Seconds | None = None) -> list[str]:
        """The names of all locks that were ever held, in order.

        Args:
            timeout: seconds for each page of terms; None for the time given to `connect`.

        Returns:
            The names, sorted.
        """
        names: dict[str, None] = {}
        seconds = arguments.seconds_or_none("timeout", timeout)
        async for decree in Listing(self._sender, LOCKS, seconds):
            names[lock_and_term(decree.key)[0]] = None
        return sorted(names)

    async def lock_history(self, name: str, *, timeout: Seconds | None = None) -> list[PastTerm]:
        """All terms of the lock `name` that are still stored, oldest first.

        Args:
            name: the lock's name.
            timeout: seconds for each page of terms; None for the time given to `connect`.

        Returns:
            One entry for each term. Old terms are forgotten, so it need not begin with the first.
        """
        lock = arguments.lock_name(name)
        seconds = arguments.seconds_or_none("timeout", timeout)
        ours = is_term_of(lock)
        terms: list[Decree] = []
        async for decree in Listing(self._sender, lock_path(lock), seconds):
            if ours(decree.key):
                terms.append(decree)
        return past_terms(terms)

    async def break_lock(
        self, holder: Holder, reason: str, *, force: bool = False, timeout: Seconds | None = None
    ) -> None:
        """End somebody's term: its renewals are refused; the next term records who broke it and why.

        Args:
            holder: the holder of the term, as `lock_state` returned it.
            reason: kept in the history of the lock.
            force: do not wait until its lease has run out. The holder may still be at work then;
                only fencing tokens keep the two apart.
            timeout: seconds; None for the time given to `connect`.

        Raises:
            BadRequest: the term is not that holder's.
            Unreachable: no quorum has said in time that it knows.
        """
        deadline = self._sender.deadline(timeout)
        broken = checked_lease_id(holder)
        how = How.FORCED if arguments.flag("force", force) else How.BROKEN
        reason = arguments.text("reason", reason, MAX_NOTE_CHARS)
        ending = Ending(how, holder_text(self._claimant), reason)
        while True:
            await self._sender.ask(to_break(broken, ending), deadline)
            # the node that accepted it may be partitioned: a quorum must know of it
            reply = await self._sender.ask(to_find_holder(broken.lock), deadline)
            if isinstance(reply.answer, HeldBy) and _is_over(reply.answer, broken):
                return
            await anyio.sleep(BREAK_PAUSE)

    def hold(self, name: str, ttl: Seconds, note: str, info: bytes) -> Hold:
        """A hold that is not begun yet, for callers that build their own block around it.

        Raises:
            BadRequest: if an argument is malformed or over its bound.
        """
        self._sender.check_open()
        secret = Secret(os.urandom(SECRET_BYTES))
        claim = TermClaim(
            holder_text(self._claimant),
            os.urandom(16),
            arguments.ttl_ms(ttl),
            secret.hash,
            arguments.text("note", note, MAX_NOTE_CHARS),
            arguments.data("info", info, MAX_INFO_BYTES),
        )
        return Hold(self._sender, arguments.lock_name(name), claim, secret)


def _is_over(held: HeldBy, broken: LeaseId) -> bool:
    """Whether a quorum knows that a term was ended, or knows a later term."""
    return held.ending is not None or lease_id(held.decree) != broken


def json_bytes(info: Any) -> bytes:
    """`info` as JSON; empty for None.

    Raises:
        BadRequest: if it cannot be written as JSON.
    """
    if info is None:
        return b""
    try:
        return json.dumps(info, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"info cannot be written as JSON: {error}") from error
