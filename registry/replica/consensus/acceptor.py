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
from heapq import nsmallest
from math import ceil
from typing import Protocol

from ...disk import AcceptedBatch, ClassRecord
from ...errors import ProtocolError
from ...keys import RESERVED, home, is_home_to_all, sort_key
from ...locks.leases import Leases
from ...locks.terms import TERMS, is_term, lease_id, term_of
from ...members import epoch_of
from ...paxos import acceptor, class_promise
from ...paxos.decrees import Decrees
from ...paxos.epochs import adopt
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
from ...types import EPOCH_BITS, Ballot, Decree, Key, NodeId, Proposal
from ...unserved import DamagedInstance, ForgottenInstance, WithheldInstance
from ...wire.peers import TermRefused
from ..step.step_builder import Pending, StepBuilder

Answer = Promise | Accepted | Nack | Commit | TermRefused
LIGHT_BYTES = 4_096
"""A value of at most this many bytes does not slow its message down."""
BYTES_PER_SECOND = 2 * 1024 * 1024
"""The throughput of the slowest disk or network that timeouts allow for."""
MAX_BACKLOG_MS = 30_000.0

_NOTHING = (0.0, 0)


class Votes(Protocol):
    """What an acceptor asks its node (M04)."""

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """The voters of the epoch, in order."""
        ...

    @property
    def vote_epoch(self) -> int:
        """The epoch in which the node votes; -1 if there is none."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether its disk has no room. Then it accepts and promises nothing, as if each message were
        lost (R02)."""
        ...


class Acceptors:
    """All instances of one node, from the acceptor's side.

    Args:
        node: who votes, which decides the home of each key too, and whether this node does.
        classes: the class promises found at the start.
        unlearned: keys found at the start with an acceptance of unknown outcome.
        leases: the node's leases on terms of locks.
    """

    def __init__(
        self,
        node: Votes,
        classes: Iterable[Class],
        unlearned: tuple[Key, ...],
        leases: Leases,
    ) -> None:
        self._node = node
        self._classes = {held.ballot.process.node: held for held in classes}
        self._leases = leases
        # by key: since when the outcome is unknown, and the size of the value
        self._unlearned: dict[Key, tuple[float, int]] = dict.fromkeys(unlearned, (0.0, 0))
        self._bytes = 0
        self.awaited = (self._unlearned,)

    def is_in_doubt(self, key: Key) -> bool:
        """Whether something is accepted here for a key whose outcome is unknown."""
        return key in self._unlearned

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
        promised = None
        if message.key[0] != RESERVED or is_term(message.key):  # members take both phases (M03)
            promised = self._promise_to(home(message.key, self._node.nodes))
        return self._vote_on(step, message, promised)

    def vote(
        self, step: StepBuilder, ballot: Ballot, decrees: Decrees, *, own: bool = False
    ) -> dict[Key, Answer | None]:
        """R19 for each proposal of a batch, as if it had come alone.

        Args:
            step: in which the instances of the keys are loaded.
            ballot: the home ballot.
            decrees: one for each key.
            own: whether this node proposes it. Then its home promise has prepared each key, so it has
                checked that the node is home to all of them (`HomePromise.prepared`).

        Returns:
            The answers for the keys that were not accepted, by key. A term of a lock gets no answer
            (None): its lease check has a refusal of its own, so terms travel alone. So do changes of
            members (M03). In an epoch in which the node does not vote, no key gets an answer (M04).
        """
        if self._node.is_full or ballot.round >> EPOCH_BITS != self._node.vote_epoch:
            return {decree.key: None for decree in decrees}
        promised = self._promise_to(ballot.process.node)
        if promised == ballot and self._accept_whole(step, ballot, decrees, own=own):
            return {}
        return self._vote_on_each(step, ballot, decrees, promised)

    def _accept_whole(
        self, step: StepBuilder, ballot: Ballot, decrees: Decrees, *, own: bool
    ) -> bool:
        """R19 for a batch in the ballot that was promised to its home; False if any key is not blank.

        Blank means that nothing was promised, accepted or learned: there is no reason to refuse, and no
        other value that this ballot could have (R05). A key that comes twice would be one.
        """
        found, keys = step.instances, decrees.keys
        if not keys or [key for key in keys if found[key] is not EMPTY or key[0] == RESERVED]:
            return False
        if not own and not is_home_to_all(ballot.process.node, keys, self._node.nodes):
            return False
        accepted = acceptor.accept_first(ballot, decrees)
        if len(accepted) < len(keys):
            return False
        step.store_batch(AcceptedBatch(ballot, decrees, accepted))
        size = sum([len(decree.value) for decree in decrees]) // len(keys)
        self._unlearned.update(dict.fromkeys(keys, (step.now_ms, size)))
        self._bytes += size * len(keys)
        return True

    def _vote_on_each(
        self, step: StepBuilder, ballot: Ballot, decrees: Decrees, promised: Ballot | None
    ) -> dict[Key, Answer | None]:
        others: dict[Key, Answer | None] = {}
        for decree in decrees:
            key, answer = decree.key, None
            if key[0] != RESERVED:
                is_home = home(key, self._node.nodes) == ballot.process.node
                accept = Accept(key, ballot, decree)
                answer = self._vote_on(step, accept, promised if is_home else None)
            if not isinstance(answer, Accepted):
                others[key] = answer
        return others

    def covers(self, ballot: Ballot) -> bool:
        """Whether the acceptor has promised exactly this home ballot."""
        if ballot.round >> EPOCH_BITS != self._node.vote_epoch:
            return False
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
        held = None
        if not self._node.is_full:
            held = class_promise.on_prepare_class(self._classes.get(node), message)
        unlearned = [key for key in self._unlearned if home(key, self._node.nodes) == node]
        if held is None or len(unlearned) > MAX_UNLEARNED:
            return None
        if held != self._classes.get(node):
            self._classes[node] = held
            step.record(ClassRecord(held))
        return PromiseClass(held.ballot, tuple(unlearned), feed_end)

    def unlearned_after(self, after: Key | None, limit: int) -> list[Key]:
        """The first keys in doubt after `after`, in key order; from the beginning if it is None."""
        first = sort_key(after) if after is not None else b""
        behind = [key for key in self._unlearned if sort_key(key) > first]
        return nsmallest(limit, behind, key=sort_key)

    def adopt(self, step: StepBuilder, proposal: Proposal) -> bool:
        """M07: hold what an earlier epoch may have chosen. It is no vote, and starts no lease.

        What is forgotten or disputed here stays so: the node is silent about it.

        Returns:
            False if it cannot be held, since the record of the key is damaged here (M18).
        """
        key = proposal.decree.key
        instance = step.instances[key]
        if not isinstance(instance, Instance) or instance.disputed is not None:
            return not isinstance(instance, DamagedInstance)
        try:
            adopted = adopt(instance, proposal)
        except Contradiction as fault:
            step.alarm(str(fault))
            return True
        if adopted != instance:
            self._store(step, key, adopted)
        return True

    def withhold(
        self,
        step: StepBuilder,
        key: Key,
        epoch: int,
        digest: bytes = b"",
        *,
        in_feed: bool = False,
    ) -> bool:
        """M18: be silent about a key from now on; it counts as in doubt.

        Args:
            step: in which its instance is loaded.
            key: the key.
            epoch: the epoch that this node knows.
            digest: of its decree, if a feed says that it is decided.
            in_feed: whether that is the node's own feed.

        Returns:
            False if it is decided or forgotten here, or disputed: that needs no other silence.
        """
        found = step.instances[key]
        if isinstance(found, ForgottenInstance):
            return False
        if isinstance(found, Instance) and found.learned is not None:
            return False
        before = found if isinstance(found, WithheldInstance) else None
        if before is None or (digest and not before.digest):
            held = before.held if before is not None else found
            own = held if isinstance(held, Instance) else None
            since = before.epoch if before is not None else epoch
            what = f"key {key!r}"
            silence = WithheldInstance.since(since, what, own, digest, in_feed=in_feed)
            step.withhold(key, silence)
        self._unlearned.setdefault(key, (step.now_ms, 0))
        return True

    def release(self, step: StepBuilder, key: Key, shown: Proposal | None) -> bool:
        """M18: end the silence about a key, since enough sound pages have shown it.

        The silence has kept this node from voting on it in the present epoch, so it stands where it
        would have stood if the pages had come before it was ready.

        Args:
            step: in which the withheld instance is loaded.
            key: the key.
            shown: the proposal with the highest ballot that was shown; None if there was none.

        Returns:
            False if the pages contradict what this node held itself.
        """
        found = step.instances[key]
        assert isinstance(found, WithheldInstance), "only what is withheld is released"
        # a vote of an earlier epoch that cannot be read counts for nothing: others have shown enough.
        # The blank instance is a new one, since `EMPTY` stands for no row, and there is one
        held = found.held or Instance()
        try:
            instance = held if shown is None else adopt(held, shown)
        except Contradiction as fault:
            step.alarm(str(fault))
            return False
        self._bytes -= self._unlearned.pop(key, _NOTHING)[1]
        self._store(step, key, instance)
        step.settle()  # this node is ready, so the next vote may rely on what it holds (R14)
        return True

    def doubts(self, key: Key) -> bool:
        """Whether it has accepted something for a key whose outcome is not known here."""
        return key in self._unlearned

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """These keys are no longer in doubt."""
        pop = self._unlearned.pop
        self._bytes -= sum([pop(decree.key, _NOTHING)[1] for decree in decrees])

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
        epoch = message.ballot.round >> EPOCH_BITS
        if (epoch != self._node.vote_epoch or self._node.is_full) and instance.learned is None:
            return (
                None  # M04: it is not the epoch in which this node votes; or its disk has no room
            )
        if message.key[0] == RESERVED and epoch_of(message.key) not in (None, epoch + 1):
            return None  # M03: the voters of an epoch choose those of the next one alone
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
        """Accept a term only if no lease on the previous term can run here, and start its lease.

        Whatever the vote, the proposal may say that the previous term was released, as `EndTerm` does.
        """
        term = term_of(message.decree)
        if instance.learned is None:
            self._leases.end_if_released(step.now_ms, message.key, term.previous)
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
