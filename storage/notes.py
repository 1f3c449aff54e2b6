"""`Notes`: which keys are accepted and not learned, so that a start finds them without a scan.

Owns the pages on which these keys are noted. A page names all keys that one batch accepted, and is
part of that batch; mostly it holds their instances, too (`held`). It is free once all of them are
learned or forgotten, durably, and a later batch writes over it. Nothing is ever deleted: on a page may
stand keys that are learned long since, and whoever reads the pages asks the instances. So a note
costs one row for a batch, however many keys it has, and there are as many pages as batches were ever
unsettled at once.

It must not know how pages are stored.

Invariant (R22): a key that is accepted and not learned stands on a page that is on the disk
whenever its instance is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..registry.paxos.instance import Instance
from ..registry.types import Key, KeyText, Value


def unsettled(instance: Instance) -> bool:
    """Whether it has accepted something whose outcome is not known."""
    return instance.accepted is not None and instance.learned is None


class Page(Value, frozen=True):
    """What one batch accepted; the outcome of some of it may be known since.

    Args:
        keys: those whose instances lie in rows of their own.
        held: the instances of the others.
    """

    keys: tuple[KeyText, ...]
    held: tuple[Instance, ...] = ()

    def each_held(self) -> Iterator[tuple[Key, Instance]]:
        """The instances that it holds, by key."""
        for instance in self.held:
            assert instance.accepted is not None, "what is held is accepted"
            yield instance.accepted.decree.key, instance

    def each_key(self) -> Iterator[Key]:
        """All keys on it."""
        yield from self.keys
        for key, _ in self.each_held():
            yield key


class Notes:
    """The notes of one store.

    Args:
        pages: what stands on each page, by number.
        still: the keys among them whose outcome is not known.
    """

    def __init__(self, pages: Mapping[int, Page], still: Iterable[Key]) -> None:
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

    def changed(self, instances: Mapping[Key, Instance]) -> tuple[int, list[Key]] | None:
        """A batch has these instances: the number of a page for it, and the keys to note there."""
        fresh: list[Key] = []
        page_of = self._page_of
        for key, instance in instances.items():
            if instance.accepted is None or instance.learned is not None:
                if key in page_of:
                    self._settle(key)
            elif key not in page_of:
                fresh.append(key)
        return (self._begin(fresh), fresh) if fresh else None

    def forgotten(self, keys: Iterable[Key]) -> None:
        """Nobody asks about the outcome of these any more."""
        for key in keys:
            self._settle(key)

    def synced(self) -> None:
        """All that was written is durable: pages that nobody needs any more may be written over.

        Not before: a power cut may keep a page that was written over and lose what made it free.
        """
        self._free += self._emptied
        self._emptied.clear()

    def _begin(self, keys: Sequence[Key]) -> int:
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
            self._left[page] -= 1
            if not self._left[page]:
                self._emptied.append(page)
