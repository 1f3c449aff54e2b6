"""The scans that this node makes for peers that list: what differs from what they have, and no more.

A scan that waits is served once, however often it is asked for; not at all if its time is over or its
requester has called it off.

Invariant (design 6): what is answered was read after the scan arrived, and tells of every key in its
reach that this node has accepted or learned, unless the requester said that it has learned just
the same (`spans`). So a peer's answer is as good as its whole page.
"""

from msgspec import Struct

from ...disk import ScanPage
from ...types import NodeId
from ...wire.peers import CancelScan, Scan
from ..step.effects import Send
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from .list_read import PAGE_BYTES
from .scans import DiskScan, Scans
from .spans import Comparison

MAX_SERVED = 64
"""So many scans of a peer may wait; it asks for far fewer at a time, and the oldest go first."""


class Served(Struct, eq=False):
    """A scan that a peer waits for.

    Attributes:
        deadline_ms: from when on it does not.
        comparison: of what it holds with what is here.
    """

    deadline_ms: float
    comparison: Comparison


class ScanService:
    """All scans for peers.

    Args:
        node: who we are.
        scans: reads the disk.
    """

    def __init__(self, node: Node, scans: Scans) -> None:
        self._node = node
        self._scans = scans
        self._served: dict[NodeId, dict[int, Served]] = {}

    @property
    def waiting(self) -> int:
        """How many scans peers wait for."""
        return sum(map(len, self._served.values()))

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"served scans": [scan for served in self._served.values() for scan in served]}

    def serve(self, step: StepBuilder, sender: NodeId, scan: Scan) -> None:
        """Scan for a peer; a node that may not vote keeps silent."""
        served = self._served.setdefault(sender, {})
        if not self._node.voting or scan.id in served:
            return
        if len(served) >= MAX_SERVED:
            del served[next(iter(served))]
        compared = Comparison(scan.spans, scan.limit, PAGE_BYTES)
        served[scan.id] = Served(step.now_ms + scan.timeout_ms, compared)
        self._scans.add(step, self._disk_scan(sender, scan, served[scan.id]))

    def cancel(self, step: StepBuilder, sender: NodeId, cancel: CancelScan) -> None:
        """The requester does not wait any more."""
        self._served.get(sender, {}).pop(cancel.id, None)

    def prune(self, now_ms: float) -> None:
        """Forget what nobody waits for any more."""
        for served in self._served.values():
            for id in [id for id, one in served.items() if one.deadline_ms < now_ms]:
                del served[id]

    def _disk_scan(self, sender: NodeId, scan: Scan, served: Served) -> DiskScan:
        of_sender = self._served[sender]

        def wanted(step: StepBuilder) -> bool:
            current = of_sender.get(scan.id) is served and self._node.voting
            return current and step.now_ms <= served.deadline_ms

        def take(step: StepBuilder, page: ScanPage) -> bool:
            served.comparison.take(page)
            if not served.comparison.over:
                return True
            del of_sender[scan.id]
            step.at_once(Send(sender, served.comparison.answer(scan.id)))
            return False

        def give_up(step: StepBuilder, reason: str) -> None:
            """Keep silent: other nodes may make a quorum."""
            del of_sender[scan.id]

        until = scan.spans[-1].end or ""
        return DiskScan(scan.prefix, scan.after, until, wanted, take, give_up, give_up)
