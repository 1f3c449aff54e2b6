"""Which nodes may count their policy as confirmed, seen from outside: by questions and answers alone.

S14: a policy is confirmed for `max_age_ms` from the sending of a question that a prepare quorum of the
epoch answered, the node's own word included if it is a voter. The times here are true ones, so a node
that follows the rule counts itself confirmed for a little less.

In a new epoch nothing is confirmed, so nothing begins. What was begun under a confirmation of an
earlier epoch goes on until that is over: `max_age_ms` from its question, and from when the node left
the epoch, where its own word was enough.
"""

from decreed.registry.paxos.epochs import Epoch
from decreed.registry.types import NodeId
from decreed.registry.wire.policy import AskPolicy, PolicyTold


class ConfirmationCheck:
    """What each node has heard in its present incarnation.

    Args:
        max_age_ms: for how long an answer is good.
    """

    def __init__(self, max_age_ms: float) -> None:
        self._max_age_ms = max_age_ms
        self._sat: dict[NodeId, dict[int, tuple[Epoch, float]]] = {}
        self._asked: dict[NodeId, dict[int, float]] = {}
        self._heard: dict[NodeId, dict[tuple[int, NodeId], float]] = {}

    def began(self, node: NodeId) -> None:
        """An incarnation of a node begins, and has heard nothing."""
        self._asked[node], self._heard[node], self._sat[node] = {}, {}, {}

    def sits(self, node: NodeId, epochs: tuple[Epoch, ...], now_ms: float) -> None:
        """A step of a node, which knows these epochs in it."""
        self._sat[node].update((epoch.number, (epoch, now_ms)) for epoch in epochs)

    def asks(self, node: NodeId, question: AskPolicy, now_ms: float) -> None:
        """A question leaves; copies of it to other voters leave in the same step."""
        first_ms = self._asked[node].setdefault(question.id, now_ms)
        assert first_ms == now_ms, f"S14: {node} asks another question by the same number"

    def told(self, node: NodeId, by: NodeId, answer: PolicyTold) -> None:
        """An answer arrives."""
        sent_ms = self._asked[node].get(answer.id)
        if sent_ms is not None:
            at = (answer.epoch, by)
            self._heard[node][at] = max(sent_ms, self._heard[node].get(at, sent_ms))

    def is_confirmed(self, node: NodeId, now_ms: float) -> bool:
        """Whether a node may go on with what it began while its policy was confirmed."""
        since_ms = now_ms - self._max_age_ms
        sat = [epoch for epoch, at_ms in self._sat[node].values() if at_ms > since_ms]
        return any(self._is_confirmed_in(node, epoch, since_ms) for epoch in sat)

    def _is_confirmed_in(self, node: NodeId, epoch: Epoch, since_ms: float) -> bool:
        heard = self._heard[node]
        others = [peer for peer in epoch.nodes if peer != node and (epoch.number, peer) in heard]
        fresh = [p for p in others if heard[epoch.number, p] > since_ms]
        return len(fresh) + (node in epoch.nodes) >= epoch.quorums.prepare
