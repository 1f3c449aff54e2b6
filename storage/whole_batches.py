"""`WholeBatches`: batches of keys that are written as they came, from the vote to the learned rows.

An accepted batch is one page of the journal, and the page holds its bytes; a learned one is a row for
each key, sealed around the decree's body. Both are as many bytes as single keys would be, and none of
them is encoded here. It must not know what else is in the write.

Invariants:

* R14: a batch is held without rows only if none of its keys had anything before, noted or stored.
  Otherwise its keys are written one by one.
* R22: all its keys are noted by the page that holds them.
"""

from collections.abc import Sequence

from ..registry.disk import AcceptedBatch, LearnedBatch
from . import layout
from .batch import WriteBatch
from .cache import InstanceCache
from .inline import InlineInstances
from .lost import LostRecords
from .pending_journal import BatchOnPage, JournalPage, PendingJournal
from .records import sealed_learned


class WholeBatches:
    """Writes whole batches for one store.

    Args:
        cache: knows which keys have nothing.
        held: holds what has no rows.
        notes: has the pages.
        lost: what the disk has lost, until it is written again.
    """

    def __init__(
        self,
        cache: InstanceCache,
        held: InlineInstances,
        notes: PendingJournal,
        lost: LostRecords,
    ) -> None:
        self._cache = cache
        self._held = held
        self._notes = notes
        self._lost = lost

    def hold(self, batch: WriteBatch) -> Sequence[AcceptedBatch]:
        """Give each accepted batch a page of its own; the keys of others become single instances.

        Returns:
            The batches that are on pages.
        """
        whole: list[AcceptedBatch] = []
        for one in batch.accepted:
            if batch.withheld or not self._may_hold(one):
                batch.instances.update(one.instances)
                continue
            number = self._notes.begin(one.decrees.keys)
            page = JournalPage((), (), (BatchOnPage.of(one),))
            batch.rows[layout.journal_key(number)] = page
            whole.append(one)
        return whole

    def _may_hold(self, one: AcceptedBatch) -> bool:
        keys = one.decrees.keys
        is_blank = len(self._cache.blank(keys)) == len(keys) and self._notes.has_none(keys)
        return is_blank and self._held.has_room_for(one.decrees)

    def learned_rows(self, batch: WriteBatch) -> dict[bytes, bytes | None]:
        """The rows of learned batches, which settle what is noted of them."""
        rows: dict[bytes, bytes | None] = {}
        for one in batch.learned:
            self._notes.settle_all(one.decrees.keys)
            stored = layout.instance_keys(one.decrees.keys)
            rows.update(sealed_learned(stored, one.decrees.bodies))
        return rows

    def written(self, *batches: AcceptedBatch | LearnedBatch) -> None:
        """These are written: a batch is held if it was accepted, and has rows if it was learned."""
        for one in batches:
            if isinstance(one, AcceptedBatch):
                self._held.written((), one.instances)
            else:
                self._held.written(one.decrees.keys, {})
                self._lost.written(one.decrees.keys)
            self._cache.written_whole(one.instances, max(map(len, one.decrees.bodies)))
