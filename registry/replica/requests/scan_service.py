"""Scans for peers that list: this node answers with the spans that differ from theirs (design 6).

A waiting scan is served once, however often the peer asks. It is not served if its deadline is over
or the peer has cancelled it.

Invariant (design 6): an answer was read after the scan arrived. It reports every key in its range
that this node has accepted or learned, except spans in which the requester has learned exactly the
same (`spans`). So a peer's answer is as good as its whole page.

Invariant (S64): what the requester's caller may not read is neither read nor reported, and counts for
no limit, so an answer never ends at a key that the caller may not read.
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
"""How many scans of a peer may wait, many more than it asks at a time; the oldest are dropped."""


class Served(Struct, eq=False):
    """A scan that a peer waits for.

    Attributes:
        deadline_ms: when the peer stops waiting.
        comparison: of the peer's rows with this node's.
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
        """How many scans are pending for peers."""
        return sum(map(len, self._served.values()))

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"served scans": [scan for served in self._served.values() for scan in served]}

    def serve(self, step: StepBuilder, sender: NodeId, scan: Scan) -> None:
        """Scan for a peer; a node that may not vote does not answer."""
        served = self._served.setdefault(sender, {})
        if not self._node.voting or scan.id in served:
            return
        if len(served) >= MAX_SERVED:
            del served[next(iter(served))]
        compared = Comparison(scan.spans, scan.limit, PAGE_BYTES)
        served[scan.id] = Served(step.now_ms + scan.timeout_ms, compared)
        self._scans.add(step, self._disk_scan(sender, scan, served[scan.id]))

    def cancel(self, step: StepBuilder, sender: NodeId, cancel: CancelScan) -> None:
        """Drop a scan that its requester has cancelled."""
        self._served.get(sender, {}).pop(cancel.id, None)

    def prune(self, now_ms: float) -> None:
        """Drop the scans whose deadline is over."""
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
            """Do not answer: other nodes may make a quorum."""
            del of_sender[scan.id]

        until = scan.spans[-1].end or ""
        place = (scan.prefix, scan.after, until)
        return DiskScan(*place, wanted, take, give_up, give_up, scan.within)
