"""The latest term of each lock that is known here: where a lock queue goes on from.

What was learned lately is remembered, within a bound and only as a shortcut; the disk knows the rest.
"""

from collections.abc import Iterable

from ...locks.terms import lease_id, lock_and_term, lock_path
from ...types import Decree, Key
from ..step.effects import ReadLastSlot
from ..step.events import TryNextTerm
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadsDisk
from .lock_queue import LockQueue

MAX_LOCKS = 4_096


class LatestTerms:
    """Decrees by lock; those that were not heard of for longest are forgotten first.

    Args:
        node: gives the disk's searches their numbers.
        reader: is told what they come to.
    """

    def __init__(self, node: Node, reader: ReadsDisk) -> None:
        self._node = node
        self._reader = reader
        self._decrees: dict[str, Decree] = {}
        self._searches: dict[int, LockQueue] = {}

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"searches": self._searches}

    def of(self, lock: str) -> Decree | None:
        """The latest term of `lock`, None if that is not known here."""
        return self._decrees.get(lock)

    def needs(self, lock: str) -> Iterable[Key]:
        """The instances with which a lock queue about `lock` can go on in the same step."""
        latest = self.of(lock)
        return (latest.key, lease_id(latest).next_key) if latest is not None else ()

    def remember(self, decree: Decree) -> None:
        """A term was learned, or read; an earlier one does not replace a later one."""
        lock, term = lock_and_term(decree.key)
        known = self._decrees.pop(lock, None)
        if known is not None and lock_and_term(known.key)[1] > term:
            decree = known
        self._decrees[lock] = decree
        if len(self._decrees) > MAX_LOCKS:
            del self._decrees[next(iter(self._decrees))]

    def forget(self, lock: str) -> None:
        """What is remembered of `lock` is of no use any more."""
        self._decrees.pop(lock, None)

    # -- for a lock queue

    def find(self, step: StepBuilder, queue: LockQueue) -> None:
        """Let the lock queue go on from the latest term that is learned here; later ones will show."""
        if queue.searching is not None:
            return
        latest = self.of(queue.lock)
        if latest is not None:
            step.again(TryNextTerm(queue.lock, lock_and_term(latest.key)[1]))
            return
        token = queue.searching = self._node.tokens.read(self._reader)
        self._searches[token] = queue
        step.read(ReadLastSlot(token, lock_path(queue.lock)))

    def take(self, token: int) -> LockQueue | None:
        """The lock queue that a search of the disk was for, now that the search is over."""
        queue = self._searches.pop(token, None)
        if queue is None or queue.searching != token:
            return None
        queue.searching = None
        return queue

    def drop(self, step: StepBuilder, queue: LockQueue) -> None:
        """Nobody waits for the lock queue's search any more."""
        if queue.searching is not None:
            self._searches.pop(queue.searching, None)
            self._node.tokens.call_off(step, queue.searching)

    def abandon(self) -> None:
        """The disk failed: no search is of use."""
        self._searches.clear()
