"""Scans of this node's own disk, for its lists and for its peers': one at a time, a chunk a turn.

All who want to read a stretch of the disk wait here in line, so that many lists cost what they cost
one after the other, and claims go on between any two chunks. A scan that is not wanted any more when
its turn comes, or between two chunks, costs nothing more.

Invariant: a chunk is read after the scan was added. So what it shows was there when the question came,
or came later.
"""

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from ...disk import ScanPage
from ..step.effects import ReadScan
from ..step.events import ScanDone
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone

CHUNK_ROWS = 128
CHUNK_BYTES = 256 * 1024


class DiskScan(Struct, eq=False):
    """One scan.

    Attributes:
        prefix: where to read.
        after: behind which key; moves on with every chunk.
        until: up to which key; empty for the end of the prefix.
        wanted: whether anybody still waits for it.
        take: is given each chunk, none of whose keys is disputed; returns whether to go on. There is
            nothing to go on with behind a complete one.
        dispute: is called instead with the first disputed key, and it is over.
        fail: is called with the reason if the disk cannot be read, and it is over.
    """

    prefix: str
    after: str
    until: str
    wanted: Callable[[StepBuilder], bool]
    take: Callable[[StepBuilder, ScanPage], bool]
    dispute: Callable[[StepBuilder, str], None]
    fail: Callable[[StepBuilder, str], None]


class Scans:
    """The line of scans.

    Args:
        node: who we are.

    Attributes:
        chunk_rows: how much is read in one turn.
    """

    def __init__(self, node: Node) -> None:
        self.chunk_rows = CHUNK_ROWS
        self._node = node
        self._waiting: deque[DiskScan] = deque()
        self._reading: tuple[int, DiskScan] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is read, and nobody waits."""
        return self._reading is None and not self._waiting

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"scan": () if self._reading is None else (self._reading,), "scans": self._waiting}

    def add(self, step: StepBuilder, scan: DiskScan) -> None:
        """Read this behind all others."""
        self._waiting.append(scan)
        self._next(step)

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """A chunk has been read."""
        assert isinstance(done, ScanDone), "a scan was asked for"
        scan = self._taken(done.token)
        if scan is not None:
            if scan.wanted(step) and self._handed(step, scan, done.page):
                scan.after = done.page.instances[-1][0]
                self._read(step, scan)
            self._next(step)

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """The disk has a damaged record."""
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
        """Begin with the first who is still wanted, if nothing is read now."""
        while self._reading is None and self._waiting:
            scan = self._waiting.popleft()
            if scan.wanted(step):
                self._read(step, scan)

    def _read(self, step: StepBuilder, scan: DiskScan) -> None:
        token = self._node.tokens.read(self)
        self._reading = (token, scan)
        step.read(
            ReadScan(token, scan.prefix, scan.after, self.chunk_rows, CHUNK_BYTES, scan.until)
        )
