"""Asking first: the questions to all nodes whether a term is live with them (design 11).

One question a lock queue at a time, sent again until it is answered (R02). What the answers mean
for those who wait is the lock queue's to decide.

In a queue that moves quickly the next term overtakes each question. What is answered then decides
nothing any more, but it proves something: that a prepare quorum has spoken since those who wait
arrived. So overtaken questions are kept until it has, or nobody waits for that.
"""

from collections.abc import Iterable

from ...locks.terms import lease_id
from ...types import Decree, Key, NodeId
from ...wire.peers import LeaseAnswer
from ..step.effects import Send
from ..step.events import ResendRead
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from .lock_queue import Ask, LockQueue

MAX_OVERTAKEN = 1_024
"""So many overtaken questions are kept; answers to those that are older prove nothing."""


class LeaseQueries:
    """All questions of a node that are under way.

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
        """The instances that an answer is about: the next term's, which it may report."""
        ask = self.asked(answer)
        return (lease_id(ask.decree).next_key,) if ask is not None else ()

    def asked(self, answer: LeaseAnswer) -> Ask | None:
        """The question that an answer is to, unless it is of no interest any more."""
        queue = self._lock_queues.get(answer.id)
        return queue.ask if queue is not None else None

    def queue(self, answer: LeaseAnswer) -> LockQueue:
        """The lock queue that a question was asked for."""
        return self._lock_queues[answer.id]

    def ask(self, step: StepBuilder, queue: LockQueue, decree: Decree) -> None:
        """Ask all nodes, this one included, how they stand with the term of `decree`."""
        ask = queue.ask = Ask(self._node.tokens.ask(self), decree, list(queue.waiters))
        self._lock_queues[ask.token] = queue
        step.broadcast(self._node.others, ask.question())
        step.at_once(Send(self._node.name, ask.question()))
        step.ask_again(ask.token, self._node.config.timing.resend_ms)

    def drop(self, queue: LockQueue) -> None:
        """The question of a lock queue is of no interest any more, except for who has answered it."""
        ask, queue.ask = queue.ask, None
        if ask is None:
            return
        del self._lock_queues[ask.token]
        self._node.tokens.close(ask.token)
        if not ask.told and not ask.answered(self._node.config.quorums) and ask.awaited:
            self._overtaken[ask.token] = ask
            if len(self._overtaken) > MAX_OVERTAKEN:
                del self._overtaken[next(iter(self._overtaken))]

    def on_late_answer(self, sender: NodeId, answer: LeaseAnswer) -> None:
        """An overtaken question was answered: it counts as a sign of life, whatever it says."""
        ask = self._overtaken.get(answer.id)
        if ask is not None:
            ask.answers[sender] = answer
            if ask.answered(self._node.config.quorums):
                ask.mark_undecided()
                del self._overtaken[ask.token]

    def prune(self) -> None:
        """Forget overtaken questions that nobody waits for any more."""
        self._overtaken = {token: ask for token, ask in self._overtaken.items() if ask.awaited}

    def abandon(self) -> None:
        """Drop them all."""
        for token in self._lock_queues:
            self._node.tokens.close(token)
        self._lock_queues.clear()
        self._overtaken.clear()

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Ask those again who have not answered (R02)."""
        queue = self._lock_queues.get(timer.token)
        if queue is not None and queue.ask is not None and not queue.ask.told:
            missing = [n for n in self._node.others if n not in queue.ask.answers]
            step.broadcast(missing, queue.ask.question())
            step.ask_again(queue.ask.token, self._node.config.timing.resend_ms)
