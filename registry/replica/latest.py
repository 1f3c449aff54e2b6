"""The latest term of each lock that this node has learned lately: bounded, and only a shortcut."""

from ..locks.terms import lock_and_term
from ..types import Decree

MAX_LOCKS = 4_096


class LatestTerms:
    """Decrees by lock; those that were not heard of for longest are forgotten first."""

    def __init__(self) -> None:
        self._decrees: dict[str, Decree] = {}

    def of(self, lock: str) -> Decree | None:
        """The latest term of `lock`, None if that is not known here."""
        return self._decrees.get(lock)

    def remember(self, decree: Decree) -> None:
        """A term was learned, or read; an earlier one does not replace a later one."""
        lock, term = lock_and_term(decree.key)
        known = self._decrees.pop(lock, None)
        if known is not None and lock_and_term(known.key)[1] > term:
            decree = known
        self._decrees[lock] = decree
        if len(self._decrees) > MAX_LOCKS:
            del self._decrees[next(iter(self._decrees))]
