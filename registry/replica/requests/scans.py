"""Scans of this node's disk, for its own lists and for peers: one at a time, one chunk in a turn.

All scans wait in one queue, so that many lists cost no more than one after the other, and claims
continue between two chunks. A scan that is no longer wanted when its turn comes, or between two
chunks, is dropped.

Invariant: a chunk is read after its scan was added. So what it shows was there when the question
arrived, or came later.
"""

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from ...disk import ScanPage
from ..step.disk_reads import ScanDone
from ..step.effects import ReadScan
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone

CHUNK_ROWS = 256
CHUNK_BYTES = 256 * 1024


class DiskScan(Struct, eq=False):
    """One scan.

    Attributes:
        prefix: where to read.
        after: the key after which to read; advances with each chunk.
        until: the last key to read; empty for the end of the prefix.
        within: only what is under these prefixes is read; empty: all of it.
        wanted: whether the scan is still waited for.
        take: called with each chunk without disputed keys; returns whether to continue. A complete
            chunk is the last.
        dispute: called with the first disputed key, which ends the scan.
        fail: called with the reason if the disk cannot be read, which ends the scan.
    """

    prefix: str
    after: str
    until: str
    wanted: Callable[[StepBuilder], bool]
    take: Callable[[StepBuilder, ScanPage], bool]
    dispute: Callable[[StepBuilder, str], None]
    fail: Callable[[StepBuilder, str], None]
    within: tuple[str, ...] = ()


class Scans:
    """The queue of scans.

    Args:
        node: who we are.

    Attributes:
        chunk_rows: how many rows are read in one turn.
    """

    def __init__(self, node: Node) -> None:
        self.chunk_rows = CHUNK_ROWS
        self._node = node
        self._waiting: deque[DiskScan] = deque()
        self._reading: tuple[int, DiskScan] | None = None

    @property
    def idle(self) -> bool:
        """Whether no scan is being read and none waits."""
        return self._reading is None and not self._waiting

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"scan": () if self._reading is None else (self._reading,), "scans": self._waiting}

    def add(self, step: StepBuilder, scan: DiskScan) -> None:
        """Put a scan at the end of the queue."""
        self._waiting.append(scan)
        self._next(step)

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """Hand a chunk to its scan, and read the next one."""
        assert isinstance(done, ScanDone), "a scan was asked for"
        scan = self._taken(done.token)
        if scan is not None:
            if scan.wanted(step) and self._handed(step, scan, done.page):
                scan.after = done.page.instances[-1][0]
                self._read(step, scan)
            self._next(step)

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """End a scan that met a damaged record."""
        scan = self._taken(token)
        if scan is not None:
            if scan.wanted(step):
                scan.fail(step, message)
            self._next(step)

    def _taken(self, token: int) -> DiskScan | None:
        if self._reading is None or self._reading[0] != token:
            return None
        scan, self._reading = self._reading[1], None
        return scan

    def _handed(self, step: StepBuilder, scan: DiskScan, page: ScanPage) -> bool:
        for key, instance in page.instances:
            if instance.disputed is not None:
                scan.dispute(step, key)
                return False
        return scan.take(step, page) and not page.complete

    def _next(self, step: StepBuilder) -> None:
        """Begin the first scan that is still wanted, unless one is being read."""
        while self._reading is None and self._waiting:
            scan = self._waiting.popleft()
            if scan.wanted(step):
                self._read(step, scan)

    def _read(self, step: StepBuilder, scan: DiskScan) -> None:
        token = self._node.tokens.read(self)
        self._reading = (token, scan)
        where = (scan.prefix, scan.after, self.chunk_rows, CHUNK_BYTES, scan.until, scan.within)
        step.read(ReadScan(token, *where))
