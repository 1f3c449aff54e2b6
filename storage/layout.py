"""Where each record lies: the keys of the byte store, in an order that makes reads short.

Owns the first byte of every stored key, which names a table, and what follows it::

    i  instances   sort_key(key)            lists page in order, the slots of a series by number
    n  notes       4 bytes, big-endian      pages of keys that were accepted, see `notes`
    f  feed        8 bytes, big-endian      runs of entries, each at its first, see `runs`
    t  terms       sort_key(key)            where in the feed a term of a lock stands
    o  floors      the path of a series     below which its slots are forgotten
    k  classes     the name of the home that a standing promise was given to
    p  peers       the node's name
    c  cursors     the node's name
    m  identity    nothing
    l  lives       8 bytes, big-endian      pages of them in order

It knows nothing of what the values are. The order of the bytes is the order of
`decreed.registry.keys.sort_key`, and every stored key can be turned back into what it stands for.
"""

from enum import Enum

from ..registry.keys import LOCKS, slot_key, sort_key
from ..registry.types import Key
from .bytestore import Range


class Table(Enum):
    """The first byte of a stored key."""

    INSTANCES = b"i"
    NOTES = b"n"
    FEED = b"f"
    TERMS = b"t"
    FLOORS = b"o"
    CLASSES = b"k"
    PEERS = b"p"
    CURSORS = b"c"
    IDENTITY = b"m"
    LIVES = b"l"


_INSTANCES = Table.INSTANCES.value
_FEED = Table.FEED.value
_TERMS = LOCKS + "/"
_BEHIND_LOCKS = bytes([LOCKS.encode()[0] + 1])
IDENTITY_KEY = Table.IDENTITY.value


def table_range(table: Table) -> Range:
    """All keys of a table."""
    return table.value, bytes([table.value[0] + 1])


def instance_key(key: str) -> bytes:
    """Where the instance of `key` lies."""
    # asked for several times a claim: most keys are no slots, and the value of an enum is slow
    return _INSTANCES + (sort_key(key) if "@" in key else key.encode())


def notes_key(page: int) -> bytes:
    """Where a page of notes lies."""
    return Table.NOTES.value + page.to_bytes(4, "big")


def notes_page(stored: bytes) -> int:
    """The number of the page of notes at `stored`."""
    return int.from_bytes(stored[1:], "big")


def is_instance(stored: bytes) -> bool:
    """Whether an instance lies at `stored`."""
    return stored.startswith(_INSTANCES)


def key_of(stored: bytes) -> Key:
    """The registry's key behind the stored key of an instance."""
    path, at, slot = stored[1:].partition(b"@")
    return slot_key(path.decode(), int(slot[1:])) if at else Key(path.decode())


def feed_key(index: int) -> bytes:
    """Where the run of the feed lies that begins with entry `index`."""
    return _FEED + index.to_bytes(8, "big")


def feed_index(stored: bytes) -> int:
    """The index of the first entry of the run at `stored`."""
    return int.from_bytes(stored[1:], "big")


def feed_range(start: int) -> Range:
    """The runs of the feed that begin with entry `start` or later."""
    return feed_key(start), table_range(Table.FEED)[1]


def term_key(key: str) -> bytes:
    """Where the index of the feed entry of a term lies."""
    return Table.TERMS.value + sort_key(key)


def is_term(key: str) -> bool:
    """Whether `key` is a term of a lock, and so may be forgotten one day."""
    return key.startswith(_TERMS)


def floor_key(series: str) -> bytes:
    """Where the floor of a series lies."""
    return Table.FLOORS.value + series.encode()


def class_key(home: str) -> bytes:
    """Where the standing promise to a home lies."""
    return Table.CLASSES.value + home.encode()


def peer_key(node: str) -> bytes:
    """Where the record of a peer lies."""
    return Table.PEERS.value + node.encode()


def cursor_key(node: str) -> bytes:
    """Where the cursor into a peer's feed lies."""
    return Table.CURSORS.value + node.encode()


def lives_key(page: int) -> bytes:
    """Where a page of the directory's lives lies."""
    return Table.LIVES.value + page.to_bytes(8, "big")


def slots_range(series: str, start: int = 0) -> Range:
    """All slots of a series from `start` on, in order of their numbers."""
    path = Table.INSTANCES.value + series.encode()
    return instance_key(slot_key(series, start)) if start else path + b"@", path + b"A"


def forgotten_range(table: Table, series: str, start: int, floor: int) -> Range:
    """What a table that is sorted by keys holds of the slots from `start` up to `floor`."""
    first, behind = (sort_key(slot_key(series, slot)) for slot in (start, floor))
    return table.value + first, table.value + behind


def scan_ranges(prefix: str, after: str, until: str = "") -> list[Range]:
    """The ranges that hold exactly the keys under `prefix`, behind `after` and up to `until`, in order.

    Under ``p`` lie ``p`` itself, ``p/…`` and ``p@…``. Between them sort siblings such as ``p-x``
    and ``p0``, which are stepped over and never read. Terms of locks lie before all other keys, and
    under no prefix that does not name them.
    """
    ranges = [(Table.INSTANCES.value + _BEHIND_LOCKS, table_range(Table.INSTANCES)[1])]
    if prefix:
        path = Table.INSTANCES.value + prefix.encode()
        ranges = [(path, path + b"\0"), (path + b"/", path + b"0"), slots_range(prefix)]
    first = instance_key(after) + b"\0" if after else b""
    behind = instance_key(until) + b"\0" if until else ranges[-1][1]
    cut = [(max(start, first), min(end, behind)) for start, end in ranges]
    return [(start, end) for start, end in cut if start < end]


def describe(stored: bytes) -> str:
    """What lies at `stored`, in words for a message."""
    table, name = Table(stored[:1]), stored[1:].decode(errors="replace")
    match table:
        case Table.INSTANCES:
            return f"the record of key {key_of(stored)!r}"
        case Table.NOTES:
            return f"page {notes_page(stored)} of the notes about what is not learned"
        case Table.TERMS:
            return f"the feed position of key {key_of(stored)!r}"
        case Table.FLOORS:
            return f"the floor of {name!r}"
        case Table.FEED:
            return f"the feed from entry {feed_index(stored)} on"
        case Table.CLASSES:
            return f"the standing promise to {name!r}"
        case Table.PEERS:
            return f"the record of peer {name!r}"
        case Table.CURSORS:
            return f"the cursor into the feed of {name!r}"
        case Table.IDENTITY:
            return "the identity of the node"
        case Table.LIVES:
            return f"page {int.from_bytes(stored[1:], 'big')} of the directory's lives"
