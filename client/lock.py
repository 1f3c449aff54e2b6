"""A lock as asynchronous callers use it: a block that runs while the lock is held, and no longer.

The block runs in a cancel scope whose deadline is the end of validity, moved by each confirmation. So
a program that was stopped for a while is cancelled at its next await, before any task of ours ran.
"""

from collections.abc import Generator
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import anyio

from ..registry.errors import BadRequest, Reentrant
from .hold import Hold
from .holder import Holder

Owners = dict[tuple[str, int], None]
"""Who holds or asks for which lock: its name, and the number of a task or thread."""


class Loss:
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


class HeldLock:
    """A lock that is held, as the code under it sees it, asynchronous or blocking.

    Args:
        hold: the hold that it is about.
    """

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    @property
    def holder(self) -> Holder:
        """What everybody can read about this hold."""
        return self._hold.holder

    @property
    def token(self) -> int:
        """The fencing token: it grows with every term. Give it to whatever the lock protects."""
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
    """

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold)
        self.lost = Loss(hold)
        """Awaitable: returns, with the reason, when the lock is lost."""


class Locked(AbstractAsyncContextManager[Lock]):
    """``async with registry.lock(…)``; made by the registry, entered once.

    Args:
        hold: what gets and keeps the lock.
        wait: seconds to wait for it; 0 not to wait, None for ever.
        owners: who else uses locks of this client, to refuse those who would wait for themselves.
    """

    def __init__(self, hold: Hold, wait: float | None, owners: Owners) -> None:
        self._hold = hold
        self._wait = wait
        self._owners = owners
        self._owner: tuple[str, int] | None = None
        self._scope = anyio.CancelScope()
        self._lock: Lock | None = None

    async def __aenter__(self) -> Lock:
        if self._owner is not None:
            raise BadRequest("this block was entered before: ask the registry for another lock")
        self._owner = enlist(self._owners, self._hold.lock, anyio.get_current_task().id, "task")
        try:
            await self._hold.acquire(self._wait)
        except BaseException:
            self._leave()
            raise
        self._lock = Lock(self._hold)
        self._hold.changed = self._on_change
        self._scope.__enter__()
        self._on_change()
        return self._lock

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        try:
            stopped = bool(self._scope.__exit__(kind, error, trace))
        finally:
            if self._scope.cancel_called:
                self._hold.lapse()
            lost = bool(self._hold.loss)
            self._leave()
            await self._hold.release()
        if lost and (error is None or stopped):
            raise self._hold.lost_error()
        if lost and error is not None:
            error.add_note(str(self._hold.lost_error()))
        return stopped

    def _leave(self) -> None:
        if self._owner is not None:
            self._owners.pop(self._owner, None)

    def _on_change(self) -> None:
        """Validity was confirmed, or the lock was lost."""
        if self._hold.loss:
            self._scope.cancel()
            if self._lock is not None:
                self._lock.lost.tell()
        else:
            self._scope.deadline = anyio.current_time() + self._hold.remaining


def enlist(owners: Owners, lock: str, number: int, kind: str) -> tuple[str, int]:
    """Note that a task or thread asks for a lock; returns what to take away when it is done.

    Raises:
        Reentrant: if it has asked for it already.
    """
    owner = (lock, number)
    if owner in owners:
        raise Reentrant(f"this {kind} has the lock {lock!r} already: it would wait for itself")
    owners[owner] = None
    return owner
