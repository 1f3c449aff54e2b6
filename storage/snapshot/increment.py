"""`KnownDecrees`: what an increment need not have, since the snapshots that it continues have it."""

from collections.abc import Iterable, Iterator, Sequence

from ...registry.errors import Damaged, Disputed
from ...registry.keys import sort_key
from ...registry.locks.terms import is_term
from ...registry.types import Decree


class KnownDecrees:
    """The decrees of a chain, which go along with the pages of a new snapshot.

    A decree is final, so the new pages must have each of them again; only old terms of locks may have
    been forgotten.

    Args:
        decrees: the union of the chain, in order of key.
        after: where the pages begin: behind this key.
    """

    def __init__(self, decrees: Iterable[Decree], after: str = "") -> None:
        self._decrees: Iterator[Decree] = iter(decrees)
        self._next = next(self._decrees, None)
        while self._next is not None and after and not _is_behind(self._next, after):
            self._next = next(self._decrees, None)

    def lacking(self, page: Sequence[Decree]) -> tuple[Decree, ...]:
        """The decrees of a page that the chain does not have.

        Raises:
            Damaged: if the chain has a key that the cluster has lost.
            Disputed: if it has another decree for a key.
        """
        if self._next is None:
            return tuple(page)
        return tuple([decree for decree in page if not self._has(decree)])

    def finish(self) -> None:
        """Read the rest of the chain, which the cluster must not have had.

        Raises:
            Damaged: if it has a key that the cluster has lost.
        """
        while self._next is not None:
            self._pass()

    def _has(self, decree: Decree) -> bool:
        while self._next is not None and _is_behind(decree, self._next.key):
            self._pass()
        if self._next is None or self._next.key != decree.key:
            return False
        if self._next != decree:
            raise Disputed(f"{decree.key!r} has another decree in the snapshot that is continued")
        self._next = next(self._decrees, None)
        return True

    def _pass(self) -> None:
        """Go on from a decree that the cluster does not have."""
        assert self._next is not None
        if not is_term(self._next.key):
            raise Damaged(
                f"the cluster has lost {self._next.key!r}, which the snapshot that is continued has:"
                " look for what happened; keep that snapshot, and save a full one"
            )
        self._next = next(self._decrees, None)


def _is_behind(decree: Decree, key: str) -> bool:
    return sort_key(decree.key) > sort_key(key)
