"""`CheckedPage`: a part of what lies on a node's disk, read with every checksum on the way."""

from .paxos.instance import Instance
from .types import Key, Value


class DamagedRow(Value, frozen=True):
    """The record of a key that cannot be read.

    Args:
        key: the key.
        message: what is wrong, with the place.
    """

    key: Key
    message: str


class CheckedPage(Value, frozen=True):
    """Everything that lies on the disk between two places.

    Args:
        next: where the next page begins; None: this one reaches the end of the disk.
        size: the bytes of the rows that were read; those that the feed names are read twice.
        prefix: lists have the instances of this page under this prefix; None: none of them is listed.
        complete: whether no instance under the prefix comes after this page.
        instances: those that could be read, in key order.
        damaged: the keys whose records cannot be read, as far as the disk can name them.
        faults: all other damage, in words that name records and files.
        gone: keys that the feed names on this page, and that have no record at all. A term may have
            been forgotten since.
    """

    next: bytes | None
    size: int
    prefix: str | None
    complete: bool
    instances: tuple[tuple[Key, Instance], ...]
    damaged: tuple[DamagedRow, ...]
    faults: tuple[str, ...]
    gone: tuple[Key, ...] = ()
