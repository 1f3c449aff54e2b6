"""`Withheld`: the row of an instance about which the node is silent until it learns the decree (M18).

Owns the form of that row, and how a row of `Table.INSTANCES` is read as one or the other. The key is
withheld since the node took an epoch over and nobody could show it soundly what was accepted for it, or
since a feed said that it is decided and nobody could show the decree. That feed may be the node's own:
then the record of the decree was here, and is gone.

Invariants:

* R13, R14: what the node itself had promised and accepted stays in the row.
* The row is no instance: reading it as one is an error, so no list and no vote passes over it.
"""

from ..registry.disk import WithheldRecord
from ..registry.errors import Damaged
from ..registry.paxos.instance import Instance
from ..registry.types import Counter, Value
from ..registry.unserved import DamagedInstance, Unserved, WithheldInstance
from .layout import describe
from .records import unpack


class Withheld(Value, frozen=True, tag=1):
    """Stands at the key of an instance.

    Args:
        epoch: the epoch that was taken over.
        instance: what the node held for the key; None if it could not read that.
        digest: of the decree, if the key is known to be decided; otherwise empty.
        in_feed: whether the node's own feed says so.
    """

    epoch: Counter
    instance: Instance | None
    digest: bytes = b""
    in_feed: bool = False


def withheld(record: WithheldRecord, found: Instance | Unserved) -> Withheld:
    """The row for a key that is withheld from now on: what the node held for it stays."""
    own = found.held if isinstance(found, WithheldInstance) else found
    held = own if isinstance(own, Instance) else None
    return Withheld(record.epoch, held, record.digest, record.in_feed)


def may_be_withheld(found: Instance | Unserved) -> bool:
    """Whether no decree is learned for a key, and it is not forgotten: those need no silence."""
    if isinstance(found, Instance):
        return found.learned is None
    return isinstance(found, DamagedInstance)


def unserved(stored: bytes, data: bytes, where: str, error: Damaged) -> DamagedInstance:
    """What stands in for the row at `stored`, which is no instance: `error` says why not."""
    try:
        row = unpack(stored, data, Withheld, where)
    except Damaged:
        return DamagedInstance(str(error))
    what = f"{describe(stored)} in {where}"
    return WithheldInstance.since(row.epoch, what, row.instance, row.digest, in_feed=row.in_feed)
