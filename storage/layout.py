"""The keys of the byte store, in an order that makes reads short.

Owns the first byte of every stored key, which names a table, and the rest of it::

    i  instances   sort_key(key)            lists page in order, the slots of a series by number
    n  notes       4 bytes, big-endian      pages of keys that were accepted, see `pending_journal`
    f  feed        8 bytes, big-endian      runs of entries, each at its first, see `runs`
    t  terms       sort_key(key)            the position of a lock's term in the feed
    o  floors      the path of a series     the slot below which it is forgotten
    k  classes     the name of the home that got the class promise
    p  peers       the node's name
    c  cursors     the node's name
    m  identity    nothing
    e  epochs      nothing for the node's own seat, else the name of the peer that told its seat
    r  restoration nothing                  how the formation was restored, if it was
    l  nonces      8 bytes, big-endian      pages of the nonces of all incarnations, in order

It knows nothing of the values. The order of the bytes is the order of `decreed.registry.keys.sort_key`,
and every stored key can be decoded.
"""

from collections.abc import Iterable, Sequence
from enum import Enum

from ..registry.keys import LOCKS, slot_key, sort_key
from ..registry.types import Key
from .bytestore import Range


class Table(Enum):
    """The first byte of a stored key."""

    INSTANCES = b"i"
    PENDING_JOURNAL = b"n"
    FEED = b"f"
    TERMS = b"t"
    FLOORS = b"o"
    CLASSES = b"k"
    PEERS = b"p"
    CURSORS = b"c"
    IDENTITY = b"m"
    EPOCHS = b"e"
    INCARNATIONS = b"l"
    RESTORATION = b"r"


_INSTANCES = Table.INSTANCES.value
_FEED = Table.FEED.value
_ZERO = b"\0"
_TERMS = LOCKS + "/"
_BEHIND_LOCKS = bytes([LOCKS.encode()[0] + 1])
IDENTITY_KEY = Table.IDENTITY.value
EPOCH_KEY = Table.EPOCHS.value
RESTORATION_KEY = Table.RESTORATION.value


def table_range(table: Table) -> Range:
    """All keys of a table."""
    return table.value, bytes([table.value[0] + 1])


def instance_key(key: str) -> bytes:
    """The stored key of the instance of `key`."""
    # called several times a claim: most keys are not slots, and reading the value of an enum is slow
    return _INSTANCES + (sort_key(key) if "@" in key else key.encode())


def instance_keys(keys: Sequence[str]) -> list[bytes]:
    """The stored keys of the instances of `keys`, in their order."""
    return [b"i" + (sort_key(key) if "@" in key else key.encode()) for key in keys]


def journal_key(page: int) -> bytes:
    """The stored key of a page of notes."""
    return Table.PENDING_JOURNAL.value + page.to_bytes(4, "big")


def journal_page(stored: bytes) -> int:
    """The number of the page of notes at `stored`."""
    return int.from_bytes(stored[1:], "big")


def is_instance(stored: bytes) -> bool:
    """Whether `stored` is the stored key of an instance."""
    return stored.startswith(_INSTANCES)


def key_of(stored: bytes) -> Key:
    """The registry's key of the stored key of an instance."""
    path, at, slot = stored[1:].partition(b"@")
    return slot_key(path.decode(), int(slot[1:])) if at else Key(path.decode())


def feed_key(index: int) -> bytes:
    """The stored key of the run of the feed that begins with entry `index`."""
    return _FEED + index.to_bytes(8, "big")


def feed_index(stored: bytes) -> int:
    """The index of the first entry of the run at `stored`."""
    return int.from_bytes(stored[1:], "big")


def feed_range(start: int) -> Range:
    """The runs of the feed that begin with entry `start` or later."""
    return feed_key(start), table_range(Table.FEED)[1]


def term_key(key: str) -> bytes:
    """The stored key of the feed position of a term."""
    return Table.TERMS.value + sort_key(key)


def is_term(key: str) -> bool:
    """Whether `key` is a term of a lock, which may be forgotten later."""
    return key.startswith(_TERMS)


def floor_key(series: str) -> bytes:
    """The stored key of the floor of a series."""
    return Table.FLOORS.value + series.encode()


def class_key(home: str) -> bytes:
    """The stored key of the class promise to a home."""
    return Table.CLASSES.value + home.encode()


def peer_key(node: str) -> bytes:
    """The stored key of the record of a peer."""
    return Table.PEERS.value + node.encode()


def cursor_key(node: str) -> bytes:
    """The stored key of the cursor into a peer's feed."""
    return Table.CURSORS.value + node.encode()


def peer_seat_key(node: str) -> bytes:
    """The stored key of the seat that a peer told."""
    return Table.EPOCHS.value + node.encode()


def incarnations_key(page: int) -> bytes:
    """The stored key of a page of the directory's incarnations."""
    return Table.INCARNATIONS.value + page.to_bytes(8, "big")


def slots_range(series: str, start: int = 0) -> Range:
    """All slots of a series from `start` on, in order of their numbers."""
    path = Table.INSTANCES.value + series.encode()
    return instance_key(slot_key(series, start)) if start else path + b"@", path + b"A"


def forgotten_range(table: Table, series: str, start: int, floor: int) -> Range:
    """The slots from `start` up to `floor` in a table that is sorted by keys."""
    first, behind = (sort_key(slot_key(series, slot)) for slot in (start, floor))
    return table.value + first, table.value + behind


def scan_ranges(prefix: str, after: str, until: str = "") -> list[Range]:
    """The ranges of exactly the keys under `prefix`, after `after` and up to `until`, in order.

    Under ``p`` are ``p`` itself, ``p/…`` and ``p@…``. Siblings such as ``p-x`` and ``p0`` sort between
    them, and are skipped without a read. Terms of locks come before all other keys, and are listed only
    under prefixes that name them.
    """
    ranges = [(Table.INSTANCES.value + _BEHIND_LOCKS, table_range(Table.INSTANCES)[1])]
    if prefix:
        path = Table.INSTANCES.value + prefix.encode()
        ranges = [(path, path + b"\0"), (path + b"/", path + b"0"), slots_range(prefix)]
    first = instance_key(after) + b"\0" if after else b""
    behind = instance_key(until) + b"\0" if until else ranges[-1][1]
    cut = [(max(start, first), min(end, behind)) for start, end in ranges]
    return [(start, end) for start, end in cut if start < end]


def ranges_of_all(prefixes: Iterable[str], after: str, until: str = "") -> list[Range]:
    """The `scan_ranges` of several prefixes, none below another, in the order of keys.

    Those of two prefixes may alternate: ``p`` comes before ``p-x``, and ``p/…`` after it.
    """
    return sorted(each for prefix in prefixes for each in scan_ranges(prefix, after, until))


def describe_place(stored: bytes) -> str:
    """A place in a table, at a record or between two, in words for a message."""
    table, name = Table(stored[:1]), stored[1:]
    match table:
        case Table.FEED:
            return f"entry {int.from_bytes(name[:8].ljust(8, _ZERO), 'big')}"
        case Table.PENDING_JOURNAL:
            return f"page {int.from_bytes(name[:4].ljust(4, _ZERO), 'big')}"
        case Table.INCARNATIONS:
            return f"page {int.from_bytes(name[:8].ljust(8, _ZERO), 'big')}"
        case _:
            # places between keys have a zero byte, and no key
            return ascii(name.partition(_ZERO)[0].decode(errors="replace")[:80])


def describe_table(stored: bytes) -> str:
    """The name of the table in which this place is."""
    return Table(stored[:1]).name.lower().replace("_", " ")


def describe(stored: bytes) -> str:
    """The record at `stored`, in words for a message."""
    table, name = Table(stored[:1]), stored[1:].decode(errors="replace")
    match table:
        case Table.INSTANCES:
            return f"the record of key {key_of(stored)!r}"
        case Table.PENDING_JOURNAL:
            return f"page {journal_page(stored)} of the notes about what is not learned"
        case Table.TERMS:
            return f"the feed position of key {key_of(stored)!r}"
        case Table.FLOORS:
            return f"the floor of {name!r}"
        case Table.FEED:
            return f"the feed from entry {feed_index(stored)} on"
        case Table.CLASSES:
            return f"the class promise to {name!r}"
        case Table.PEERS:
            return f"the record of peer {name!r}"
        case Table.CURSORS:
            return f"the cursor into the feed of {name!r}"
        case Table.IDENTITY:
            return "the identity of the node"
        case Table.EPOCHS:
            return f"the seat of peer {name!r}" if name else "the seat of the node"
        case Table.RESTORATION:
            return "how the formation was restored"
        case Table.INCARNATIONS:
            return f"page {int.from_bytes(stored[1:], 'big')} of the directory's incarnations"
