"""What a directory says of epochs: the node's own seat, the decree behind it, the seats of peers."""

from collections.abc import Callable, Collection, Iterator, Mapping

from ..registry.disk import EpochRecord, PeerSeatRecord
from ..registry.keys import MEMBERS
from ..registry.members import members_key
from ..registry.paxos.instance import Instance
from ..registry.types import Decree, Key
from ..registry.unserved import Unserved
from . import layout
from .bytestore import ByteStore
from .layout import Table
from .recovery.salvage import Salvage
from .rows import Rows

Load = Callable[[Collection[Key]], Mapping[Key, Instance | Unserved]]


def own_seat(rows: Rows) -> EpochRecord | None:
    """The node's own seat; None in epoch 0.

    Raises:
        Damaged: if it cannot be read: it may be a seal, so the node must not start without it.
    """
    own = (layout.EPOCH_KEY, layout.EPOCH_KEY + b"\0")
    return next((rows.unpack(*pair, EpochRecord) for pair in rows.each(own)), None)


def members(seat: EpochRecord | None, load: Load) -> Decree | None:
    """The decree behind the seat; None if it cannot be read, or if there are two of it."""
    if seat is None or not seat.known:
        return None
    key = members_key(seat.known)
    found = load([key])[key]
    return found.learned if isinstance(found, Instance) and found.disputed is None else None


def disputed(data: ByteStore, load: Load) -> tuple[Key, ...]:
    """M21: all changes of members with two decrees; the one that the seat knows may be a later one.

    What cannot be read is passed over, and hides none of the others.
    """
    rows = Salvage(data).each(layout.slots_range(MEMBERS))
    found = load([layout.key_of(stored) for stored, _ in rows]).items()
    return tuple(key for key, one in found if isinstance(one, Instance) and one.disputed)


def peer_seats(rows: Rows) -> Iterator[PeerSeatRecord]:
    """What peers have told of their seats."""
    told = (layout.EPOCH_KEY + b"\0", layout.table_range(Table.EPOCHS)[1])
    for stored, data in rows.each(told):
        yield rows.unpack(stored, data, PeerSeatRecord)
