"""Lease queries: the questions to all nodes whether a term is live there (design 11, *Asking first*).

A lock queue has one open question at a time, repeated until it is answered (R02). The queue decides
what the answers mean.

In a queue that moves quickly, the next term overtakes each question. Its answers then no longer decide
anything, but they prove that a prepare quorum has answered since the waiters arrived. So overtaken
questions are kept until a quorum has answered or no waiter needs that.
"""

from collections.abc import Iterable

from ...locks.terms import lease_id
from ...types import Decree, Key, NodeId
from ...wire.leases import LeaseAnswer
from ..step.effects import Send
from ..step.events import ResendRead
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from .lock_queue import Ask, LockQueue

MAX_OVERTAKEN = 1_024
"""How many overtaken questions are kept; answers to older ones are ignored."""


class LeaseQueries:
    """All open questions of a node.

    Args:
        node: who we are.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock_queues: dict[int, LockQueue] = {}
        self._overtaken: dict[int, Ask] = {}

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"questions": self._lock_queues, "overtaken questions": self._overtaken}

    def needs(self, answer: LeaseAnswer) -> Iterable[Key]:
        """The next term, which an answer may report."""
        ask = self.asked(answer)
        return (lease_id(ask.decree).next_key,) if ask is not None else ()

    def asked(self, answer: LeaseAnswer) -> Ask | None:
        """The open question that an answer belongs to; None if it is closed."""
        queue = self._lock_queues.get(answer.id)
        return queue.ask if queue is not None else None

    def queue(self, answer: LeaseAnswer) -> LockQueue:
        """The lock queue behind an open question."""
        return self._lock_queues[answer.id]

    def ask(self, step: StepBuilder, queue: LockQueue, decree: Decree) -> None:
        """Ask all nodes, this one included, for their leases on the term of `decree`."""
        epoch = self._node.epoch.number
        ask = queue.ask = Ask(self._node.tokens.ask(self), decree, list(queue.waiters), epoch)
        self._lock_queues[ask.token] = queue
        step.broadcast(self._node.others, self._node.asking(ask.question()))
        step.at_once(Send(self._node.name, self._node.asking(ask.question())))
        step.ask_again(ask.token, self._node.config.timing.resend_ms)

    def drop(self, queue: LockQueue) -> None:
        """Close the question of a queue; keep it as overtaken if its waiters still need a quorum."""
        ask, queue.ask = queue.ask, None
        if ask is None:
            return
        del self._lock_queues[ask.token]
        self._node.tokens.close(ask.token)
        if not ask.told and not ask.answered(self._node.quorums) and ask.awaited:
            self._overtaken[ask.token] = ask
            if len(self._overtaken) > MAX_OVERTAKEN:
                del self._overtaken[next(iter(self._overtaken))]

    def on_epoch(self, step: StepBuilder) -> None:
        """M12: ask all open questions again: an answer counts for one epoch only."""
        for queue in list(self._lock_queues.values()):
            if queue.ask is not None:
                decree = queue.ask.decree
                self.drop(queue)
                self.ask(step, queue, decree)
        self._overtaken.clear()

    def on_late_answer(self, sender: NodeId, answer: LeaseAnswer) -> None:
        """Count an answer to an overtaken question; it proves only that the node answered."""
        ask = self._overtaken.get(answer.id)
        if ask is not None:
            ask.answers[sender] = answer
            if ask.answered(self._node.quorums):
                ask.mark_undecided()
                del self._overtaken[ask.token]

    def prune(self) -> None:
        """Drop the overtaken questions whose requests are done."""
        self._overtaken = {token: ask for token, ask in self._overtaken.items() if ask.awaited}

    def abandon(self) -> None:
        """Drop everything, since the disk failed."""
        for token in self._lock_queues:
            self._node.tokens.close(token)
        self._lock_queues.clear()
        self._overtaken.clear()

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Repeat a question to nodes that have not answered (R02)."""
        queue = self._lock_queues.get(timer.token)
        if queue is not None and queue.ask is not None and not queue.ask.told:
            missing = [n for n in self._node.others if n not in queue.ask.answers]
            step.broadcast(missing, self._node.asking(queue.ask.question()))
            step.ask_again(queue.ask.token, self._node.config.timing.resend_ms)
