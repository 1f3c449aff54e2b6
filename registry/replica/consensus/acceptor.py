"""The node as an acceptor: the pure handlers, applied to durable instances.

Messages of the node to itself pass here too. The terms of locks pass the lease check first, which may
refuse them for a while (design 11); to refuse is always safe in Paxos. With each term that it
accepts, the node starts a lease on it.

It also gives class promises, each for all keys of a home (`paxos/class_promise.py`).

An acceptance whose outcome is not known is remembered in memory, oldest first, so that the node can
finish it later (R22). The bytes of these tell how busy the cluster is: while megabytes are on their
way, an outcome takes longer, and to say things again or to bid higher too early makes it take longer
still.
"""

from collections.abc import Iterable, Sequence
from math import ceil

from ...disk import ClassRecord, ForgottenInstance
from ...errors import ProtocolError
from ...keys import home
from ...locks.leases import Leases
from ...locks.terms import TERMS, is_term, lease_id, term_of
from ...paxos import acceptor, class_promise
from ...paxos.instance import EMPTY, Class, Contradiction, Instance
from ...paxos.messages import (
    MAX_UNLEARNED,
    Accept,
    Accepted,
    Commit,
    Nack,
    Prepare,
    PrepareClass,
    Promise,
    PromiseClass,
)
from ...types import Ballot, Decree, Key, NodeId
from ...wire.peers import TermRefused
from ..step.step_builder import Pending, StepBuilder

Answer = Promise | Accepted | Nack | Commit | TermRefused
LIGHT_BYTES = 4_096
"""A value up to this travels as fast as none."""
BYTES_PER_SECOND = 2 * 1024 * 1024
"""What the slowest disk or network that we care for brings to an end."""
MAX_BACKLOG_MS = 30_000.0

_NOTHING = (0.0, 0)


class Acceptors:
    """All instances of one node, from the acceptor's side.

    Args:
        nodes: all members, by whom every key has its home.
        classes: the class promises found at the start.
        unlearned: keys found at the start with an acceptance of unknown outcome.
        leases: the node's own, on the terms of locks.
    """

    def __init__(
        self,
        nodes: tuple[NodeId, ...],
        classes: Iterable[Class],
        unlearned: tuple[Key, ...],
        leases: Leases,
    ) -> None:
        self._nodes = nodes
        self._classes = {held.ballot.process.node: held for held in classes}
        self._leases = leases
        # since when the outcome is unknown, and how many bytes that is about
        self._unlearned: dict[Key, tuple[float, int]] = dict.fromkeys(unlearned, (0.0, 0))
        self._bytes = 0
        self.awaited = (self._unlearned,)

    @property
    def unlearned(self) -> int:
        """How many acceptances have an unknown outcome."""
        return len(self._unlearned)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"in doubt": self._unlearned}

    @property
    def backlog_ms(self) -> float:
        """How much longer than usual an outcome may well take, for the bytes that are under way."""
        return min(self._bytes * 1000 / BYTES_PER_SECOND, MAX_BACKLOG_MS)

    def answer(self, step: StepBuilder, message: Prepare | Accept) -> Answer | None:
        """What this node's acceptor says; None if it must keep silent about the key.

        The new instance is stored in `step`, so that the answer can only leave behind it.
        """
        return self._vote_on(step, message, self._promise_to(home(message.key, self._nodes)))

    def vote(
        self, step: StepBuilder, ballot: Ballot, decrees: Iterable[Decree]
    ) -> dict[Key, Answer | None]:
        """R19 for each proposal of a batch, as if it had come alone.

        Returns:
            What this node's acceptor says of each key that it does not accept. A term is passed over in
            silence: its guard answers in its own words, so terms travel alone.
        """
        home_name = ballot.process.node
        promised = self._promise_to(home_name)
        others: dict[Key, Answer | None] = {}
        for decree in decrees:
            key = decree.key
            answer = None
            if not is_term(key):
                home_ballot = promised if home(key, self._nodes) == home_name else None
                if home_ballot == ballot and step.instances[key] is EMPTY:  # as nearly always
                    self._store(step, key, acceptor.accept_first(ballot, decree))
                    continue
                answer = self._vote_on(step, Accept(key, ballot, decree), home_ballot)
            if not isinstance(answer, Accepted):
                others[key] = answer
        return others

    def covers(self, ballot: Ballot) -> bool:
        """Whether this very class promise was given."""
        return self._promise_to(ballot.process.node) == ballot

    def promise_class(
        self, step: StepBuilder, message: PrepareClass, feed_end: int
    ) -> PromiseClass | None:
        """Give a home its class promise; None if that must not be, or there is too much to tell.

        What the promise tells is as of this step, in which it begins to bind (R12). What is in doubt
        is finished sooner or later (R22), so a home that is told nothing asks again.
        """
        node = message.ballot.process.node
        held = class_promise.on_prepare_class(self._classes.get(node), message)
        unlearned = [key for key in self._unlearned if home(key, self._nodes) == node]
        if held is None or len(unlearned) > MAX_UNLEARNED:
            return None
        if held != self._classes.get(node):
            self._classes[node] = held
            step.record(ClassRecord(held))
        return PromiseClass(held.ballot, tuple(unlearned), feed_end)

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """The outcome of these keys is known."""
        for decree in decrees:
            self._bytes -= self._unlearned.pop(decree.key, _NOTHING)[1]

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """What was in doubt there is of no interest any more, and cannot be finished here."""
        for key in [key for key in self._unlearned if gone.covers(key)]:
            self._bytes -= self._unlearned.pop(key)[1]

    def overdue(self, before_ms: float, limit: int) -> list[Key]:
        """Up to `limit` keys that have been waiting since before `before_ms`, oldest first."""
        due: list[Key] = []
        for key, (since_ms, _) in self._unlearned.items():
            if since_ms > before_ms or len(due) == limit:
                break
            due.append(key)
        return due

    def postpone(self, key: Key, now_ms: float) -> None:
        """Give `key` back to the end of the queue: somebody is at work on it."""
        waiting = self._unlearned.pop(key, None)
        if waiting is not None:
            self._unlearned[key] = (now_ms, waiting[1])

    def _vote_on(
        self, step: StepBuilder, message: Prepare | Accept, home_ballot: Ballot | None
    ) -> Answer | None:
        instance = step.instances[message.key]
        if not isinstance(instance, Instance) or instance.disputed is not None:
            return None
        try:
            match message:
                case Accept() if message.key.startswith(TERMS):
                    changed, answer = self._lease_checked(step, instance, message, home_ballot)
                case Accept():
                    changed, answer = acceptor.on_accept(instance, message, home_ballot)
                case Prepare():
                    changed, answer = acceptor.on_prepare(instance, message)
        except (Contradiction, ProtocolError) as fault:
            step.alarm(str(fault))
            return None
        if changed != instance:
            self._store(step, message.key, changed)
        return answer

    def _promise_to(self, node: NodeId) -> Ballot | None:
        """The class promise that was given to a home."""
        held = self._classes.get(node)
        return held.ballot if held is not None else None

    def _lease_checked(
        self, step: StepBuilder, instance: Instance, message: Accept, home_ballot: Ballot | None
    ) -> tuple[Instance, Answer]:
        """Accept a term only when no lease on the one before can run here; then start one."""
        term = term_of(message.decree)
        changed, answer = acceptor.on_accept(instance, message, home_ballot)
        if not isinstance(answer, Accepted):
            return changed, answer
        refusal_ms = self._leases.refusal_ms(step.now_ms, message.key, term.previous)
        if refusal_ms > 0:
            return instance, TermRefused(message.key, message.ballot, ceil(refusal_ms))
        self._leases.start(step.now_ms, lease_id(message.decree), term.ttl_ms, term.secret_hash)
        return changed, answer

    def _store(self, step: StepBuilder, key: Key, instance: Instance) -> None:
        step.store(key, instance)
        if instance.accepted is not None:
            size = len(instance.accepted.decree.value)
            since_ms, before = self._unlearned.get(key, (step.now_ms, 0))
            self._unlearned[key] = (since_ms, size)
            self._bytes += size - before
