"""`PendingJournal`: the keys that are accepted but not learned, so that a start finds them without
a scan.

Owns the pages on which these keys are noted. A page names all keys that one batch accepted, and is
part of that batch; usually it holds their instances too (`inline`). A page is free once all its keys
are learned or forgotten durably; then a later batch overwrites it. Pages are never deleted: a page
may name keys that were learned long ago, so readers of pages check the instances. So the notes of a
batch cost one row for any number of keys, and there are as many pages as batches were ever unsettled
at once.

It must not know how pages are stored.

Invariant (R22): a key that is accepted and not learned is named on a page that is on the disk whenever
its instance is.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Raw

from ..registry.disk import AcceptedBatch
from ..registry.paxos.acceptor import accept_first
from ..registry.paxos.instance import Instance
from ..registry.types import Ballot, Decree, Key, KeyText, Value
from ..registry.unserved import DamagedInstance, Unserved


def unsettled(instance: Instance) -> bool:
    """Whether it has accepted something whose outcome is not known."""
    return instance.accepted is not None and instance.learned is None


class BatchOnPage(Value, frozen=True):
    """What was accepted together, in one ballot, by keys that had nothing before."""

    ballot: Ballot
    decrees: tuple[Decree, ...]

    @classmethod
    def of(cls, batch: AcceptedBatch) -> "BatchOnPage":
        """The bytes of its decrees go on the page as they came."""
        return cls(batch.ballot, Raw(batch.decrees.packed))  # pyright: ignore


class JournalPage(Value, frozen=True):
    """The keys that one batch accepted; the outcome of some of them may be known since.

    Args:
        keys: the keys whose instances have rows of their own.
        held: the instances of other keys.
        batches: what was accepted together, without rows.
    """

    keys: tuple[KeyText, ...]
    held: tuple[Instance, ...] = ()
    batches: tuple[BatchOnPage, ...] = ()

    def each_inline(self) -> Iterator[tuple[Key, Instance]]:
        """The instances that it holds, by key."""
        for instance in self.held:
            assert instance.accepted is not None, "what is held is accepted"
            yield instance.accepted.decree.key, instance
        for batch in self.batches:
            yield from accept_first(batch.ballot, batch.decrees).items()

    def each_key(self) -> Iterator[Key]:
        """All keys on it."""
        yield from self.keys
        for key, _ in self.each_inline():
            yield key


class PendingJournal:
    """The notes of one store.

    Args:
        pages: the pages, by number.
        still: the keys on them whose outcome is not known.
    """

    def __init__(self, pages: Mapping[int, JournalPage], still: Iterable[Key]) -> None:
        known = set(still)
        self._page_of = {
            key: number for number, page in pages.items() for key in page.each_key() if key in known
        }
        self._left = dict.fromkeys(pages, 0)
        for page in self._page_of.values():
            self._left[page] += 1
        self._free = [page for page, left in self._left.items() if not left]
        self._emptied: list[int] = []
        self._pages = max(pages, default=-1) + 1

    def changed(
        self, instances: Mapping[Key, Instance], withheld: Collection[Key] = ()
    ) -> tuple[int, list[Key]] | None:
        """The number of a page for a batch with these instances, and the keys to note on it.

        Keys that are `withheld` are noted as if they were accepted: whatever was, is not known (M18).
        """
        fresh: list[Key] = []
        page_of = self._page_of
        for key, instance in instances.items():
            if instance.accepted is None or instance.learned is not None:
                if key in page_of:
                    self._settle(key)
            elif key not in page_of:
                fresh.append(key)
        fresh += [key for key in withheld if key not in page_of]
        return (self.begin(fresh), fresh) if fresh else None

    def has_none(self, keys: Iterable[Key]) -> bool:
        """Whether none of `keys` is noted."""
        return self._page_of.keys().isdisjoint(keys)

    def forgotten(self, keys: Iterable[Key]) -> None:
        """Settle keys that are forgotten."""
        for key in keys:
            self._settle(key)

    def synced(self) -> None:
        """Allow emptied pages to be overwritten, since all writes are durable now.

        Not earlier: a power cut might keep an overwritten page and lose the write that emptied it.
        """
        self._free += self._emptied
        self._emptied.clear()

    def settle_all(self, keys: Iterable[Key]) -> None:
        """Settle those of `keys` that are noted: usually all that is on a page, so a page at a time."""
        page_of = self._page_of
        settled = [page_of.pop(key) for key in keys if key in page_of]
        for page in set(settled):
            self._count_off(page, settled.count(page))

    def begin(self, keys: Sequence[Key]) -> int:
        """A free page, on which these keys are noted from now on; none of them was noted before."""
        if not self._free:
            self._free.append(self._pages)
            self._pages += 1
        page = self._free.pop()
        self._left[page] = len(keys)
        self._page_of.update(dict.fromkeys(keys, page))
        return page

    def _settle(self, key: Key) -> None:
        page = self._page_of.pop(key, None)
        if page is not None:
            self._count_off(page, 1)

    def _count_off(self, page: int, settled: int) -> None:
        self._left[page] -= settled
        if not self._left[page]:
            self._emptied.append(page)


def is_unlearned(found: Instance | Unserved) -> bool:
    """Whether the outcome of a noted key may still be unknown; a forgotten key counts as settled."""
    return unsettled(found) if isinstance(found, Instance) else isinstance(found, DamagedInstance)
