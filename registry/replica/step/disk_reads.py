"""What was read from the disk, for those who asked for it."""

from ...checked import CheckedPage
from ...disk import FeedEntry, ScanPage
from ...types import Value


class ScanDone(Value, frozen=True, tag=True):
    """The result of a `ReadScan` effect."""

    token: int
    page: ScanPage


class FeedDone(Value, frozen=True, tag=True):
    """The result of a `ReadFeed` effect: entries, and the index after the last one."""

    token: int
    entries: tuple[FeedEntry, ...]
    next_index: int


class SlotDone(Value, frozen=True, tag=True):
    """The result of a `ReadLastSlot` effect."""

    token: int
    slot: int


class CheckDone(Value, frozen=True, tag=True):
    """The result of a `ReadChecked` effect."""

    token: int
    page: CheckedPage


class ReadFailed(Value, frozen=True, tag=True):
    """A read effect met a damaged record."""

    token: int
    message: str
