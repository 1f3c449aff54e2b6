"""A lock for blocking callers: a block whose lock is kept by the client's own thread.

Nothing can stop blocking code from outside. So the code calls `Lock.ensure_held` before work that two
must not do at once, or is told by `on_lost`. That is called from a thread that waits only for the end
of validity, so that the loss is reported even if the client's thread hangs.
"""

import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ClassVar, Protocol

from ..registry.documents import shown
from ..registry.errors import BadRequest, Closed, LockLost
from . import registry as aio
from .locks.lease import LONGEST_NAP_SECONDS, Hold
from .locks.lock import HeldLock, Owner, Owners, Unentered, enlist
from .runtime.forks import this_process

LOG = logging.getLogger(__name__)

OnLost = Callable[[str], object]


class Runs(Protocol):
    """Runs work in the event loop of the client, and waits for its end."""

    def run(self, work: Callable[[aio.Registry], Awaitable[Any]]) -> Any: ...


class Lock(HeldLock):
    """A lock that is held, as the blocking code under it sees it; usable from any thread.

    Args:
        hold: the hold that it is about.
        release: releases it.
    """

    def __init__(self, hold: Hold, release: Callable[[], None]) -> None:
        super().__init__(hold)
        self.lost = threading.Event()
        """Set when the lock is lost."""
        self._release = release

    def release(self) -> None:
        """Release the lock; any thread of this process may. Does nothing the second time.

        Raises:
            LockLost: if it was lost before.
        """
        self._release()


class Locked(Unentered, AbstractContextManager[Lock]):
    """What `Registry.lock` returns: use it in ``with``, or `acquire` it; once.

    Args:
        registry: kept, since it is closed when nobody has it any more.
        loop: where the lock is got and kept.
        hold: what gets and keeps it.
        wait: seconds to wait for it; 0 not to wait, None to wait forever.
        owners: who else uses locks of this client.
        on_lost: called with the reason, in a thread of its own, when the lock is lost.
    """

    how: ClassVar[str] = "write `with registry.lock(…) as lock:`, or `….acquire()`"

    def __init__(
        self,
        registry: object,
        loop: Runs,
        hold: Hold,
        wait: float | None,
        owners: Owners,
        on_lost: OnLost | None,
    ) -> None:
        self._registry = registry
        self._loop, self._hold, self._wait = loop, hold, wait
        self._owners = owners
        self._on_lost = on_lost
        self._owner: Owner | None = None
        self._lock: Lock | None = None
        self._process = this_process()
        self._wake = threading.Event()
        self._used = self._left = False

    def acquire(self) -> Lock:
        """Get the lock without a block.

        It is kept until it is released or the client is closed.

        Returns:
            The lock, held. Give it to those who work under it and to those who release it.

        Raises:
            DecreedError: as `Registry.lock` says. A second `acquire` by the same thread is not
                `Reentrant`: another thread may release the first.
        """
        lock = self._enter()
        self._disown()
        return lock

    def release(self) -> None:
        """Release the lock that `acquire` got; see `Lock.release`.

        Raises:
            LockLost: if it was lost before, or was never held.
        """
        if self._lock is None:
            raise LockLost(f"the lock is not held: {self.how}")
        self._lock.release()

    def __repr__(self) -> str:
        return f"<lock {shown(self._hold.lock)}, for use in `with`>"

    def __enter__(self) -> Lock:
        return self._enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # the lock does not belong to a forked process
        if self._is_foreign:
            return
        loss = self._hold.lost_error() if self._hold.loss else None
        self._leave()
        if loss is not None and error is not None:
            error.add_note(str(loss))
        elif loss is not None:
            raise loss

    @property
    def _is_foreign(self) -> bool:
        return self._process != this_process()

    def _enter(self) -> Lock:
        if self._used:
            raise BadRequest("this block was entered before: ask the registry for another lock")
        self._used = True
        self._owner = enlist(self._owners, self._hold.lock, threading.current_thread(), "thread")
        try:
            self._loop.run(lambda _: self._hold.acquire(self._wait))
            self._lock = Lock(self._hold, self._release)
            self._hold.changed = self._wake.set
            self._start_watching(self._lock)
        except BaseException:
            self._leave()
            raise
        return self._lock

    def _release(self) -> None:
        if self._is_foreign:
            # raises the error that says who holds it
            self._hold.ensure_held()
        if self._left:
            return
        loss = self._hold.lost_error() if self._hold.loss else None
        self._leave()
        if loss is not None:
            raise loss

    def _disown(self) -> None:
        if self._owner is not None:
            self._owners.pop(self._owner, None)

    def _leave(self) -> None:
        self._left = True
        self._wake.set()
        try:
            self._loop.run(lambda _: self._hold.release())
        except Closed:
            LOG.debug(
                "the client of the lock %r is closed: its term ends by itself", self._hold.lock
            )
        finally:
            self._disown()

    def _start_watching(self, lock: Lock) -> None:
        threading.Thread(
            target=self._watch, args=(lock,), name=f"decreed-lock-{lock.token}", daemon=True
        ).start()

    def _watch(self, lock: Lock) -> None:
        """Wait for the loss of the lock, or for the end of the block."""
        while not self._left:
            if self._hold.loss:
                lock.lost.set()
                self._tell(self._hold.loss)
                return
            self._wake.wait(min(LONGEST_NAP_SECONDS, self._hold.remaining + 0.001))
            self._wake.clear()

    def _tell(self, reason: str) -> None:
        if self._on_lost is None:
            return
        try:
            self._on_lost(reason)
        except Exception:
            LOG.exception("on_lost of the lock %r failed", self._hold.lock)
