"""A cluster that obeys policies, and policies that are decided in it."""

import zlib
from typing import Any

from decreed.registry.identity import Identity
from decreed.registry.policy.confirming import MAX_AGE_MS
from decreed.registry.policy.encoding import encode
from decreed.registry.policy.series import claim_of
from decreed.registry.replica.requests.validation import named
from decreed.registry.replica.step.events import Coordinate, FromClient
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import Answer, ClaimRequest, Request

from ..policy.samples import ALICE, SMALL, changed, read
from .changing import TIMEOUT_MS, ChangingWorld

LOOK = changed(
    roles={**SMALL["roles"], "look": [{"on": "", "may": ["read"]}]},
    members={**SMALL["members"], "client/bob": ["look"]},
)
"""`SMALL`, and bob may read."""


class GovernedWorld(ChangingWorld):
    """A cluster whose nodes obey policies."""

    enforces = True
    speaker = ALICE

    def send(self, node: str, request: Request) -> tuple[NodeId, int]:
        """Send a request on a connection of the present speaker."""
        mark = (NodeId(node), request.id)
        self.answers[mark] = []
        connection = 1 + zlib.crc32(str(self.speaker).encode())
        self.post(mark[0], FromClient(connection, (named(request),), self.speaker))
        return mark

    def ask_as(self, speaker: Identity, node: str, request: Request) -> Answer:
        """Send a request for somebody, and run until it is answered."""
        self.speaker = speaker
        return self.ask(node, request)

    def decide(self, node: str, number: int, document: dict[str, Any] | bytes) -> None:
        """Propose a policy at a node, as its coordinator does, and run until all have learned it."""
        data = document if isinstance(document, bytes) else encode(read(document))
        self.begin(node, number, data)
        self.run(1_000)

    def begin(self, node: str, number: int, data: bytes) -> None:
        """Propose a policy at a node."""
        claim = claim_of(number - 1, data, "alice", f"{node} {self.new_id()}".encode())
        request = ClaimRequest(self.new_id(), TIMEOUT_MS, True, claim)
        self.answers[NodeId(node), request.id] = []
        step = self.builder()
        self.replica(node).parts.requests.open(step, 1, request)
        step.again(Coordinate(1, request, claim.key, False))
        self._carry_out(NodeId(node), step.finish())

    def obeyed(self) -> dict[str, int]:
        """Which policy each node obeys."""
        return {node: self.replica(node).parts.policies.obeyed for node in self.up()}

    def confirmed(self) -> list[str]:
        """The nodes whose policy is confirmed."""
        each = [(node, self.replica(node).parts.confirming) for node in self.up()]
        return [node for node, part in each if part.is_confirmed(self.now_ms)]

    def cut_off(self, *nodes: str) -> None:
        """Lose all that is said to these nodes and by them."""
        self.lose = lambda sender, to, _: sender in nodes or to in nodes

    def run_out(self) -> None:
        """Run for as long as an answer is good."""
        self.run(MAX_AGE_MS)
