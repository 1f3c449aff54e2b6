"""`LostRecords`: the keys that are noted as accepted and have no row, so that the disk has lost it.

A batch that notes a key on a page writes its row too, even a blank one, unless the page has the
instance itself (`pending_journal`, `inline`). So a noted key without either was accepted, or withheld,
and nobody can say what was accepted.

Invariant (R14): such a key reads back as damaged, so the node gives no vote on it, until it is written
again. At the next start it is found once more, since its note stays as long as it is not settled.
"""

from collections.abc import Collection, Iterable, Mapping

from ..registry.checked import CheckedPage, DamagedRow
from ..registry.paxos.instance import EMPTY, Instance
from ..registry.types import Key
from ..registry.unserved import DamagedInstance, Unserved
from . import layout
from .bytestore import ByteStore


class LostRecords:
    """The lost records of one store. Threads may read them concurrently.

    Args:
        data: where the rows would be.
    """

    def __init__(self, data: ByteStore) -> None:
        self._data = data
        self._found: dict[Key, DamagedInstance] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def look_for(
        self, noted: Iterable[Key], found: Mapping[Key, Instance | Unserved]
    ) -> Mapping[Key, DamagedInstance]:
        """Find those of the noted keys that have nothing; `found` is what was read for each of them."""
        blank = [key for key in noted if found[key] == EMPTY]
        gone = [key for key in blank if self._data.get(layout.instance_key(key)) is None]
        self._found = {key: self._instance(key) for key in gone}
        return self._found

    def get(self, key: Key) -> DamagedInstance | None:
        """What stands in for the record of a key; None if that is not lost."""
        return self._found.get(key)

    def written(self, keys: Collection[Key]) -> None:
        """These keys have rows again."""
        for key in keys if self._found else ():
            self._found.pop(key, None)

    def told_on(self, page: CheckedPage) -> CheckedPage:
        """A page of a check that tells them too: no row shows that they are lost."""
        rows = [DamagedRow(key, one.message) for key, one in self._found.copy().items()]
        return CheckedPage(
            *(page.next, page.size, page.prefix, page.complete, page.instances),
            (*rows, *page.damaged),
            *(page.faults, page.gone),
        )

    def _instance(self, key: Key) -> DamagedInstance:
        what = layout.describe(layout.instance_key(key))
        return DamagedInstance(
            f"{what} in {self._data.where} is gone: the notes say that something was accepted for the"
            " key, and the disk has lost what it had synced"
        )
