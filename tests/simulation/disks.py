"""Faults of a node's disk: it stalls, fails, is full, or kept a batch whose sync failed.

This module knows disks and nothing of nodes. It decides when a disk fails; `MemoryDisk` does how.
"""

import random

from decreed.storage.memory import MemoryDisk

SHORTEST_STALL_MS = 10.0
LONGEST_STALL_MS = 5_000.0


class Drive:
    """One node's drive and its faults. It stays with the node; the disk in it may be exchanged.

    Args:
        disk: the disk that is in it now.
        chance: decides how long a write takes and what a crash leaves.

    Attributes:
        usual_ms: the longest time of a usual write; 0 for no time.
        stalling: the part of all writes that take longer.
        longest_ms: the longest time of those.
    """

    def __init__(self, disk: MemoryDisk, chance: random.Random) -> None:
        self.disk = disk
        self._chance = chance
        self.usual_ms = 0.0
        self.stalling = 0.0
        self.longest_ms = LONGEST_STALL_MS

    def write_ms(self) -> float:
        """How long the next write takes, in milliseconds."""
        if self.stalling and self._chance.random() < self.stalling:
            # any time is as likely as twice that time
            longer = self.longest_ms / SHORTEST_STALL_MS
            return SHORTEST_STALL_MS * float(longer ** self._chance.random())
        return self._chance.random() * self.usual_ms if self.usual_ms else 0.0

    def stall(self, part: float, longest_ms: float) -> None:
        """Let a part of all writes take long from now on."""
        self.stalling, self.longest_ms = part, longest_ms

    def fill_up(self) -> None:
        """Leave room for a few more records."""
        self.disk.capacity = self.disk.size + self._chance.choice([0, 200, 1_000])

    def mend(self) -> None:
        """End all faults; what was lost stays lost."""
        self.disk.fail_writes = self.disk.fail_syncs = 0
        self.disk.capacity = None
        self.stalling = 0.0

    def crash(self) -> bool:
        """The node dies, and the disk loses a suffix of what was not synced, or nothing.

        Returns:
            Whether a batch whose sync had failed was on the disk all the same.
        """
        unsynced, failed = self.disk.unsynced, self.disk.sync_failed
        kept = self._chance.randint(0, unsynced)
        self.disk.crash(kept)
        return failed and kept == unsynced
