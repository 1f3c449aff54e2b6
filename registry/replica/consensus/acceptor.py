"""The node as an acceptor: the pure handlers, applied to durable instances (R10 to R14, R19).

Proposals of the node itself pass through here too. A proposal for a term of a lock must also pass
the lease check, which may refuse it for a while (design 11). Refusing is always safe in Paxos. For
each term that it accepts, the node starts a lease.

The acceptor also gives class promises, each for all keys of a home (`paxos/class_promise.py`).

It keeps the acceptances in doubt in memory, oldest first, so that the node can finish them later (R22).
Their bytes show how busy the cluster is. While megabytes are on their way an outcome takes longer, and
repeating messages or starting a higher ballot too early would delay it further.
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
"""A value of at most this many bytes does not slow its message down."""
BYTES_PER_SECOND = 2 * 1024 * 1024
"""The throughput of the slowest disk or network that timeouts allow for."""
MAX_BACKLOG_MS = 30_000.0

_NOTHING = (0.0, 0)


class Acceptors:
    """All instances of one node, from the acceptor's side.

    Args:
        nodes: all members, which decide the home of each key.
        classes: the class promises found at the start.
        unlearned: keys found at the start with an acceptance of unknown outcome.
        leases: the node's leases on terms of locks.
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
        # by key: since when the outcome is unknown, and the size of the value
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
        """How much longer than usual an outcome may take, for the bytes that are in doubt."""
        return min(self._bytes * 1000 / BYTES_PER_SECOND, MAX_BACKLOG_MS)

    def answer(self, step: StepBuilder, message: Prepare | Accept) -> Answer | None:
        """The acceptor's answer; None if the key is not served.

        The new instance is stored in `step`, so the answer leaves only after it is durable.
        """
        return self._vote_on(step, message, self._promise_to(home(message.key, self._nodes)))

    def vote(
        self, step: StepBuilder, ballot: Ballot, decrees: Iterable[Decree]
    ) -> dict[Key, Answer | None]:
        """R19 for each proposal of a batch, as if it had come alone.

        Returns:
            The answers for the keys that were not accepted, by key. A term of a lock gets no answer
            (None): its lease check has a refusal of its own, so terms travel alone.
        """
        home_name = ballot.process.node
        promised = self._promise_to(home_name)
        others: dict[Key, Answer | None] = {}
        for decree in decrees:
            key = decree.key
            answer = None
            if not is_term(key):
                home_ballot = promised if home(key, self._nodes) == home_name else None
                if home_ballot == ballot and step.instances[key] is EMPTY:  # the usual case
                    self._store(step, key, acceptor.accept_first(ballot, decree))
                    continue
                answer = self._vote_on(step, Accept(key, ballot, decree), home_ballot)
            if not isinstance(answer, Accepted):
                others[key] = answer
        return others

    def covers(self, ballot: Ballot) -> bool:
        """Whether the acceptor has promised exactly this home ballot."""
        return self._promise_to(ballot.process.node) == ballot

    def promise_class(
        self, step: StepBuilder, message: PrepareClass, feed_end: int
    ) -> PromiseClass | None:
        """Give a home its class promise; None if it asks for too low a ballot or too much is in doubt.

        The report in the promise is as of this step, in which the promise begins to bind (R12). A home
        that gets no answer asks again. By then the keys in doubt are fewer, since they get finished
        (R22).
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
        """These keys are no longer in doubt."""
        for decree in decrees:
            self._bytes -= self._unlearned.pop(decree.key, _NOTHING)[1]

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Forgotten keys are no longer in doubt: they cannot be finished here."""
        for key in [key for key in self._unlearned if gone.covers(key)]:
            self._bytes -= self._unlearned.pop(key)[1]

    def overdue(self, before_ms: float, limit: int) -> list[Key]:
        """Up to `limit` keys that have been in doubt since before `before_ms`, oldest first."""
        due: list[Key] = []
        for key, (since_ms, _) in self._unlearned.items():
            if since_ms > before_ms or len(due) == limit:
                break
            due.append(key)
        return due

    def postpone(self, key: Key, now_ms: float) -> None:
        """Move `key` to the end of the queue, since an attempt to finish it begins."""
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
        """The ballot of the class promise given to a home; None if there is none."""
        held = self._classes.get(node)
        return held.ballot if held is not None else None

    def _lease_checked(
        self, step: StepBuilder, instance: Instance, message: Accept, home_ballot: Ballot | None
    ) -> tuple[Instance, Answer]:
        """Accept a term only if no lease on the previous term can run here, and start its lease."""
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
