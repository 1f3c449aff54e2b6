"""`Held`: instances that lie on a page of the notes, and in no row of their own.

A key is accepted in one batch and learned in one of the next, as a rule. To write its instance twice
would be dear, so what was blank before goes with all others of its batch onto the page that notes
them anyway (`notes`), and gets a row when it changes again.

Owns these instances in memory, for nobody could find one on its page by its key.

Invariants:

* R14: the page is part of the batch that accepts, and is not written over before all keys on it are
  settled, durably.
* A key that has no row is held for as long as that is so, whatever cannot be read meanwhile.
* A row is newer than what a page holds of its key: a key is held only if it was blank, and never again
  once it got a row. So wherever both are found, the row counts, also if it cannot be read.
"""

from collections.abc import Iterable, Mapping
from operator import itemgetter

from ..registry.disk import Damaged
from ..registry.paxos.instance import Instance
from ..registry.types import Key
from . import layout
from .bytestore import Range
from .notes import Page

MAX_HELD = 4_096
"""How many there may be at once; they take memory until their outcome is known."""
MAX_VALUE_BYTES = 4_096
"""Larger values have rows of their own."""


class Held:
    """The instances of one store that have no rows. Threads may list them side by side.

    Args:
        pages: what was found; the instances on them may have rows nevertheless.
        limit: how many there may be at once.
    """

    def __init__(self, pages: Iterable[Page], limit: int) -> None:
        self._limit = limit
        self._kept = {key: instance for page in pages for key, instance in page.each_held()}

    def get(self, key: Key) -> Instance | None:
        """The instance of a key that has no row."""
        return self._kept.get(key)

    def keep(self, found: Mapping[Key, object]) -> None:
        """Of those on the pages let go what was `found` to have a row, or to be forgotten.

        What could not be looked up stays: if it has no row, it lies here and nowhere else.
        """
        self._kept = {k: one for k, one in self._kept.items() if _may_lack_row(one, found[k])}

    def chosen(self, blank: Mapping[Key, Instance]) -> dict[Key, Instance]:
        """Which of these accepted instances, which have no rows, shall go without one."""
        if len(self._kept) + len(blank) > self._limit:
            return {}
        return {key: one for key, one in blank.items() if _is_light(key, one)}

    def written(self, instances: Mapping[Key, Instance], held: Mapping[Key, Instance]) -> None:
        """A batch is written: these are `held`, and all its other instances have rows."""
        for key in instances if self._kept else ():
            self._kept.pop(key, None)
        self._kept.update(held)

    def within(self, within: Range) -> list[tuple[bytes, Instance, int]]:
        """Those whose rows would lie in a range, by where, each with about how many bytes it has."""
        each = [(layout.instance_key(key), one) for key, one in self._kept.copy().items()]
        inside = [pair for pair in each if within[0] <= pair[0] < within[1]]
        return [(stored, one, _length(one)) for stored, one in sorted(inside, key=itemgetter(0))]


def _may_lack_row(held: Instance, found: object) -> bool:
    return found is held or isinstance(found, Damaged)


def _is_light(key: Key, instance: Instance) -> bool:
    """Whether its bytes are few, and no floor may ever delete it."""
    return _length(instance) <= MAX_VALUE_BYTES and not layout.is_term(key)


def _length(instance: Instance) -> int:
    assert instance.accepted is not None, "what is held is accepted"
    return len(instance.accepted.decree.value)
