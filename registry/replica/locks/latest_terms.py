"""The latest term of each lock that is known here, from which a lock queue continues.

It is a bounded cache in memory; the disk has the rest.
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
    """The latest terms by lock, least recently learned evicted first.

    Args:
        node: gives searches of the disk their tokens.
        reader: gets the results of the searches.
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
        """The latest term of `lock`; None if the cache has none."""
        return self._decrees.get(lock)

    def needs(self, lock: str) -> Iterable[Key]:
        """The keys whose instances let the queue of `lock` continue in the same step."""
        latest = self.of(lock)
        return (latest.key, lease_id(latest).next_key) if latest is not None else ()

    def remember(self, decree: Decree) -> None:
        """Keep a term that was learned or read, unless a later one is known."""
        lock, term = lock_and_term(decree.key)
        known = self._decrees.pop(lock, None)
        if known is not None and lock_and_term(known.key)[1] > term:
            decree = known
        self._decrees[lock] = decree
        if len(self._decrees) > MAX_LOCKS:
            del self._decrees[next(iter(self._decrees))]

    def forget(self, lock: str) -> None:
        """Drop the term of `lock`."""
        self._decrees.pop(lock, None)

    # -- for a lock queue

    def find(self, step: StepBuilder, queue: LockQueue) -> None:
        """Continue a queue from the latest term learned here, after a search of the disk if needed."""
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
        """Remove and return the queue that a finished search was for."""
        queue = self._searches.pop(token, None)
        if queue is None or queue.searching != token:
            return None
        queue.searching = None
        return queue

    def drop(self, step: StepBuilder, queue: LockQueue) -> None:
        """Drop the search of a queue that closes."""
        if queue.searching is not None:
            self._searches.pop(queue.searching, None)
            self._node.tokens.call_off(step, queue.searching)

    def abandon(self) -> None:
        """Drop everything, since the disk failed."""
        self._searches.clear()
