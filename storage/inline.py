"""`InlineInstances`: instances that are stored on a page of the notes, without a row of their own.

A key is usually accepted in one batch and learned in one of the next. Writing two rows for it would be
expensive. So the accepted instances of keys that were blank are stored together on the page that notes
the batch's keys anyway (`pending_journal`). An instance gets a row when it changes again.

Owns these instances in memory, since an instance on a page cannot be found by its key.

Invariants:

* R14: the page is part of the batch that accepts, and is overwritten only after all keys on it are
  settled durably.
* A key without a row is held as long as it has no row, even if rows cannot be read meanwhile.
* A row is newer than a page's instance of the same key: a key is held only if it was blank, and never
  again once it got a row. So if both exist, the row counts, even if it cannot be read.
"""

from collections.abc import Collection, Iterable, Mapping
from operator import itemgetter

from ..registry.keys import RESERVED
from ..registry.paxos.decrees import Decrees
from ..registry.paxos.instance import Instance
from ..registry.types import Key
from ..registry.unserved import DamagedInstance
from . import layout
from .bytestore import Range
from .pending_journal import JournalPage

MAX_INLINE = 4_096
"""How many instances may be held at once; they take memory until their outcome is known."""
MAX_VALUE_BYTES = 4_096
"""Larger values have rows of their own."""


class InlineInstances:
    """The instances of one store that have no rows. Threads may list them concurrently.

    Args:
        pages: the pages that were found; the instances on them may have rows nevertheless.
        limit: how many instances may be held at once.
    """

    def __init__(self, pages: Iterable[JournalPage], limit: int) -> None:
        self._limit = limit
        self._kept = {key: instance for page in pages for key, instance in page.each_inline()}

    def get(self, key: Key) -> Instance | None:
        """The instance of a key that has no row."""
        return self._kept.get(key)

    def has_none(self, keys: Iterable[Key]) -> bool:
        """Whether none of `keys` is held."""
        return self._kept.keys().isdisjoint(keys)

    def keep(self, found: Mapping[Key, object]) -> None:
        """Drop the instances whose keys were `found` to have a row, or to be forgotten.

        A key that could not be read stays: if it has no row, its instance is stored only on a page.
        """
        self._kept = {k: one for k, one in self._kept.items() if _may_lack_row(one, found[k])}

    def has_room_for(self, decrees: Decrees) -> bool:
        """Whether all of an accepted batch may be held: each is small, and no term of a lock."""
        if len(self._kept) + len(decrees) > self._limit:
            return False
        if max(map(len, decrees.bodies)) > MAX_VALUE_BYTES:
            return False
        return not [each for each in decrees if each.key[0] == RESERVED]

    def chosen(self, blank: Mapping[Key, Instance]) -> dict[Key, Instance]:
        """The ones of these accepted instances without rows that get no row, but are held."""
        if len(self._kept) + len(blank) > self._limit:
            return {}
        return {key: one for key, one in blank.items() if _is_light(key, one)}

    def written(self, keys: Collection[Key], held: Mapping[Key, Instance]) -> None:
        """Update after a write: of these `keys`, some are `held`, and all others have rows."""
        kept = self._kept
        for key in keys if kept else ():
            if key in kept:
                del kept[key]
        kept.update(held)

    def within(self, within: Range) -> list[tuple[bytes, Instance, int]]:
        """The held instances of a range of rows, in order: stored key, instance, approximate bytes."""
        each = [(layout.instance_key(key), one) for key, one in self._kept.copy().items()]
        inside = [pair for pair in each if within[0] <= pair[0] < within[1]]
        return [(stored, one, _length(one)) for stored, one in sorted(inside, key=itemgetter(0))]


def _may_lack_row(held: Instance, found: object) -> bool:
    return found is held or isinstance(found, DamagedInstance)


def _is_light(key: Key, instance: Instance) -> bool:
    """Whether it is small, and never deleted by a floor."""
    return _length(instance) <= MAX_VALUE_BYTES and not layout.is_term(key)


def _length(instance: Instance) -> int:
    assert instance.accepted is not None, "what is held is accepted"
    return len(instance.accepted.decree.value)
