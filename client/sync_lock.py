"""A lock as blocking callers use it: a block whose lock is kept by the client's own thread.

Nothing can stop blocking code from outside. So it asks `Lock.ensure_held` before whatever must not be
done by two, or is told by `on_lost`, from a thread that waits for nothing but the end of validity:
also a client whose thread hangs cannot lose a lock in silence.
"""

import logging
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol

from ..registry.errors import BadRequest, Closed
from . import cluster as aio
from .hold import LONGEST_NAP_SECONDS, Hold
from .lock import HeldLock, Owners, enlist

LOG = logging.getLogger(__name__)

OnLost = Callable[[str], object]


class Runs(Protocol):
    """Runs work in the event loop of the client, and waits for its end."""

    def run(self, work: Callable[[aio.Registry], Awaitable[Any]]) -> Any: ...


class Lock(HeldLock):
    """A lock that is held, as the blocking code under it sees it; any thread may ask.

    Args:
        hold: the hold that it is about.
    """

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold)
        self.lost = threading.Event()
        """Set when the lock is lost."""


class Locked(AbstractContextManager[Lock]):
    """``with registry.lock(…)``; made by the registry, entered once.

    Args:
        loop: where the lock is got and kept.
        hold: what gets and keeps it.
        wait: seconds to wait for it; 0 not to wait, None for ever.
        owners: who else uses locks of this client.
        on_lost: called with the reason, in a thread of its own, when the lock is lost.
    """

    def __init__(
        self,
        loop: Runs,
        hold: Hold,
        wait: float | None,
        owners: Owners,
        on_lost: OnLost | None,
    ) -> None:
        self._loop, self._hold, self._wait = loop, hold, wait
        self._owners = owners
        self._on_lost = on_lost
        self._owner: tuple[str, int] | None = None
        self._process = os.getpid()
        self._wake = threading.Event()
        self._left = False

    def __enter__(self) -> Lock:
        if self._owner is not None:
            raise BadRequest("this block was entered before: ask the registry for another lock")
        self._owner = enlist(self._owners, self._hold.lock, threading.get_ident(), "thread")
        try:
            self._loop.run(lambda _: self._hold.acquire(self._wait))
            lock = Lock(self._hold)
            self._hold.changed = self._wake.set
            self._start_watching(lock)
        except BaseException:
            self._leave()
            raise
        return lock

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # the lock is not a forked process's own
        if os.getpid() != self._process:
            return
        loss = self._hold.lost_error() if self._hold.loss else None
        self._leave()
        if loss is not None and error is not None:
            error.add_note(str(loss))
        elif loss is not None:
            raise loss

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
            if self._owner is not None:
                self._owners.pop(self._owner, None)

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
