"""Where the numbers of one node are, for those who tell them."""

import time
from dataclasses import dataclass
from typing import Any

from ...disk import Storage
from ...errors import Denied
from ...identity import Identity
from ...policy.document import Right
from ...policy.needs import need_of
from ...policy.rights import CLUSTER, Allowed, Denial
from ...replica.parts import Parts
from ...replica.status import administers, bare_report, status_report, uses_for
from ...status_document import document_of
from ...version import described
from ...wire.requests import StatusRequest
from ..clients import Clients
from ..node_loop import NodeLoop

_NEED = need_of(StatusRequest(0))


@dataclass(frozen=True)
class NodeSources:
    """One node.

    Args:
        parts: of its replica.
        loop: drives it.
        storage: its disk.
        clients: who is connected.
    """

    parts: Parts
    loop: NodeLoop
    storage: Storage
    clients: Clients

    def check_administers(self, identity: Identity) -> None:
        """Check that somebody has the right `admin`, by the policy that this node obeys.

        Raises:
            Denied: if not.
        """
        verdict = self.parts.policies.may(identity, Right.ADMIN, CLUSTER, _wall_ms())
        if not isinstance(verdict, Allowed):
            raise Denied(f"'{Right.ADMIN}' is not granted to {identity}")

    def readiness(self) -> str:
        """Why this node cannot be part of a quorum now; empty if it can.

        It votes, and with it as many voters as the larger quorum has are in reach.
        """
        node = self.parts.node
        if not node.accepts:
            return "this node does not vote now; /status says why"
        needed = max(node.quorums.prepare, node.quorums.accept)
        up = 1 + len(node.reachable.intersection(node.others))
        return "" if up >= needed else f"{up} of the {needed} voters that a quorum has are in reach"

    def document(self, identity: Identity) -> dict[str, Any]:
        """The status of this node, as ``decreed status --json`` shows it to somebody (S19)."""
        wall_ms = _wall_ms()
        uses = uses_for(self.parts, identity, wall_ms)
        if self._hides_status(identity, wall_ms):
            return document_of(bare_report(self.parts, described(), 0, uses))
        clients = administers(self.parts, identity, wall_ms)
        facts = (self.parts, described(), 0, self.loop.now_ms(), uses)
        return document_of(status_report(*facts, clients=clients))

    def _hides_status(self, identity: Identity, wall_ms: int) -> bool:
        if _NEED is None:
            return False
        verdict = self.parts.policies.may(identity, _NEED.right, _NEED.name, wall_ms)
        return isinstance(verdict, Denial)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
