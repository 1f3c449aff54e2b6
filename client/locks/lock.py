"""A lock for asynchronous callers: a block that runs only while the lock is held.

The block runs in a cancel scope whose deadline is the end of validity, which each confirmation moves.
So a program that was suspended for a while is cancelled at its next await, even before a task of ours
runs.

A lock that is acquired with `acquire` has no block that could be cancelled: any task may release it,
and code under it must check that it is still held.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, NoReturn

import anyio

from ...registry.documents import shown
from ...registry.errors import BadRequest, LockLost, Reentrant
from ..runtime.copying import NotCopied
from ..transport.loops import current_task
from .holder import Holder
from .lease import Hold
from .stopping import Stop

Owners = dict[tuple[str, int], object]
"""Who holds or asks for which lock: its name, and the id of the task or thread. The object is kept
too, so that its id is not used again."""
Owner = tuple[str, int]


class NotHeld(LockLost, AttributeError):
    """A lock was used that was not entered and not acquired."""


class Loss(NotCopied):
    """The loss of a lock, to be awaited: ``reason = await lock.lost``."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._event = anyio.Event()

    def __await__(self) -> Generator[None, None, str]:
        yield from self._event.wait().__await__()
        return self._hold.loss

    def tell(self) -> None:
        """The lock is lost: wake who waits."""
        self._event.set()


class HeldLock(NotCopied):
    """A lock that is held, as the code under it sees it, asynchronous or blocking.

    Args:
        hold: the hold that it is about.
    """

    instead: ClassVar[str] = (
        "it is held by this process, and kept by its client. Give the other process the token"
    )

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    def __repr__(self) -> str:
        left = self._hold.remaining
        lost = f"lost: {self._hold.loss}" if self._hold.loss else "not held any more"
        state = f"held for {left:.1f} s more" if left else lost
        return f"<Lock {shown(self._hold.lock)}, term {self.token}: {state}>"

    @property
    def holder(self) -> Holder:
        """What everybody can read about this hold."""
        return self._hold.holder

    @property
    def token(self) -> int:
        """The fencing token, which grows with every term. Give it to whatever the lock protects."""
        return self._hold.holder.term

    @property
    def term(self) -> int:
        """The number of the term, which is the fencing token."""
        return self._hold.holder.term

    @property
    def remaining(self) -> float:
        """Seconds for which the lock is surely held, if nothing confirms it again."""
        return self._hold.remaining

    def ensure_held(self) -> None:
        """Check, by the clock alone, that the lock is held now, and by this process.

        Raises:
            LockLost: if it is not.
        """
        self._hold.ensure_held()


class Lock(HeldLock):
    """A lock that is held, as the block under it sees it.

    Args:
        hold: the hold that it is about.
        release: releases it.
    """

    def __init__(self, hold: Hold, release: Callable[[], Awaitable[None]]) -> None:
        super().__init__(hold)
        self.lost = Loss(hold)
        """Awaitable: returns, with the reason, when the lock is lost."""
        self._release = release

    async def release(self) -> None:
        """Release the lock; any task of the event loop may. Does nothing the second time.

        Raises:
            LockLost: if it was lost before.
        """
        await self._release()


class Unentered(NotCopied):
    """What a lock is before it is held: all that it says is how to get it."""

    instead: ClassVar[str] = (
        "it belongs to the client that made it. Let the other process ask for the lock itself"
    )
    how: ClassVar[str]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_") or (name != "lost" and not hasattr(HeldLock, name)):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            raise NotHeld(f"the lock is not held yet: {self.how}, and ask that lock for {name!r}")


class Locked(Unentered, AbstractAsyncContextManager[Lock]):
    """What `Registry.lock` returns: ``async with`` it, or `acquire` it; once.

    Args:
        hold: what gets and keeps the lock.
        wait: seconds to wait for it; 0 not to wait, None to wait forever.
        owners: who else uses locks of this client, to refuse those who would wait for themselves.
    """

    how: ClassVar[str] = "write `async with registry.lock(…) as lock:`, or `await ….acquire()`"

    def __init__(self, hold: Hold, wait: float | None, owners: Owners) -> None:
        self._hold = hold
        self._wait = wait
        self._owners = owners
        self._owner: Owner | None = None
        self._used = False
        self._released = False
        self._stop: Stop | None = None
        self._lock: Lock | None = None

    def __repr__(self) -> str:
        return f"<lock {shown(self._hold.lock)}, for use in `async with`>"

    async def acquire(self) -> Lock:
        """Get the lock without a block.

        Any task may release it, and in any order. But there is no block that could be cancelled
        when the lock is lost: the code under it asks `Lock.ensure_held`, or awaits
        `Lock.lost`. It is kept until it is released or the client is closed.

        Returns:
            The lock, held. Give it to those who work under it and to those who release it.

        Raises:
            DecreedError: as `Registry.lock` says. A second `acquire` by the same task is not
                `Reentrant`: another task may release the first.
        """
        self._use()
        self._owner = enlist(self._owners, self._hold.lock, current_task(), "task")
        try:
            return await self._acquire()
        finally:
            self._leave()

    async def release(self) -> None:
        """Release the lock that `acquire` got; see `Lock.release`.

        Raises:
            LockLost: if it was lost before, or was never held.
        """
        if self._lock is None:
            raise LockLost(f"the lock is not held: {self.how}")
        await self._lock.release()

    async def __aenter__(self) -> Lock:
        self._use()
        self._owner = enlist(self._owners, self._hold.lock, current_task(), "task")
        try:
            lock = await self._acquire()
        except BaseException:
            self._leave()
            raise
        self._stop = Stop()
        self._stop.enter()
        self._on_change()
        return lock

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._stop is not None
        try:
            stopped = self._leave_block(self._stop, kind, error, trace)
        finally:
            if self._stop.was_called:
                self._hold.lapse()
            lost = bool(self._hold.loss)
            self._leave()
            await self._hold.release()
        if lost and (error is None or stopped):
            raise self._hold.lost_error()
        if lost and error is not None:
            error.add_note(str(self._hold.lost_error()))
        return stopped

    def _leave_block(
        self,
        stop: Stop,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        try:
            return stop.leave(kind, error, trace)
        except RuntimeError as failure:
            if error is not None:
                # the block's own error tells more
                error.add_note(str(failure))
                return False
            raise BadRequest(
                f"the block under the lock {self._hold.lock!r} was left by another task than "
                "entered it, or before a block inside it; the lock is released. Use "
                "`lock = await registry.lock(…).acquire()` and `await lock.release()` for that"
            ) from failure

    def _use(self) -> None:
        if self._used:
            raise BadRequest("this block was entered before: ask the registry for another lock")
        self._used = True

    async def _acquire(self) -> Lock:
        await self._hold.acquire(self._wait)
        self._lock = Lock(self._hold, self._release)
        self._hold.changed = self._on_change
        return self._lock

    async def _release(self) -> None:
        if self._released:
            return
        self._released, lost = True, bool(self._hold.loss)
        await self._hold.release()
        self._on_change()
        if lost:
            raise self._hold.lost_error()

    def _leave(self) -> None:
        if self._owner is not None:
            self._owners.pop(self._owner, None)

    def _on_change(self) -> None:
        """Called when validity was confirmed, or the lock was lost or released."""
        if self._hold.loss:
            if self._stop is not None:
                self._stop.now()
            if self._lock is not None:
                self._lock.lost.tell()
        elif self._stop is not None:
            left = self._hold.remaining
            self._stop.at(anyio.current_time() + left if left else inf)


def enlist(owners: Owners, lock: str, who: object, kind: str) -> Owner:
    """Note that a task or thread asks for a lock; returns what to take away when it is done.

    Raises:
        Reentrant: if it has asked for it already.
    """
    owner = (lock, id(who))
    if owner in owners:
        raise Reentrant(f"this {kind} has the lock {lock!r} already: it would wait for itself")
    owners[owner] = who
    return owner
