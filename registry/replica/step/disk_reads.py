"""What was read from the disk, for those who asked for it."""

from ...checked import CheckedPage
from ...disk import FeedEntry, ScanPage
from ...space import DiskSpace
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


class DiskMeasured(Value, frozen=True, tag=True):
    """The server has measured the disk, or the clock; neither is read in a step.

    Args:
        space: what is free and what is used; None if there is no disk.
        grows_bytes: by how much the directory has grown in a day, so far as that was seen.
        sync_ms: how long a synced write takes now, on average; 0 if there was none lately.
        clock_ppm: by how much the system runs its clock faster than the hardware does, in millionths.
    """

    space: DiskSpace | None
    grows_bytes: int = 0
    sync_ms: float = 0.0
    clock_ppm: float = 0.0

    @property
    def used_bytes(self) -> int:
        """What the directory takes; 0 if there is no disk."""
        return self.space.used_bytes if self.space is not None else 0
