"""The reads of a step, carried out on a storage as the threads of the real server do."""

from decreed.registry.errors import Damaged
from decreed.registry.replica.step.disk_reads import (
    CheckDone,
    FeedDone,
    ReadFailed,
    ScanDone,
    SlotDone,
)
from decreed.registry.replica.step.effects import (
    Read,
    ReadChecked,
    ReadFeed,
    ReadLastSlot,
    ReadScan,
)
from decreed.registry.replica.step.events import Event
from decreed.storage.memory import MemoryStorage


def look_up(storage: MemoryStorage, read: Read) -> Event:
    """Carry out a read; the result, or the failure."""
    try:
        return _found(storage, read)
    except Damaged as error:
        return ReadFailed(read.token, str(error))


def _found(storage: MemoryStorage, read: Read) -> Event:
    match read:
        case ReadScan(token, prefix, after, limit, max_bytes, until, within):
            where = (prefix, after, limit, max_bytes, until, within)
            return ScanDone(token, storage.scan(*where))
        case ReadFeed(token, start, limit, _, known_below):
            entries, next_index = storage.feed(start, limit, known_below)
            return FeedDone(token, tuple(entries), next_index)
        case ReadLastSlot(token, series):
            return SlotDone(token, storage.last_slot(series))
        case ReadChecked(token, position, max_bytes):
            return CheckDone(token, storage.check(position, max_bytes))
