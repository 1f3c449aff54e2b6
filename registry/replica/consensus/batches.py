"""Batches: proposals under the class promise that travel, are voted on and are counted together.

A claim alone is cheap; what costs is to do everything for it alone. So all that a home proposes in
one step, in its home ballot, leaves as one batch: one message to each acceptor, one vote of each,
one count, one timer, one commit. Each key stays an instance of its own: what an acceptor refuses
leaves the batch, and goes on with both phases by itself.

Invariants kept here:

* every node in `votes` has durably accepted each decree in it (R19, R20): who refused a key
  has thereby taken it off, before the vote is counted.
* nothing is in it that the node's own acceptor has not accepted in the step in which it left (R05).

Those who wait for a departure do so in `BatchQueue`. One departure at a time is under way: who
comes meanwhile leaves with the next, so load makes batches larger, and not more of them. Nobody
waits for another's missing votes for longer than `MAX_QUEUED_MS`. And clients that are answered
claim again, as a rule: when more have just landed than wait, those who wait are joined by them, or
leave a moment later.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from msgspec import Struct

from ...locks.terms import TERMS
from ...paxos.messages import MAX_BATCH, AcceptedMany, AcceptMany, CommitMany
from ...paxos.proposer import Prepared, Proposing
from ...types import Ballot, Decree, Key, NodeId
from ..step.effects import Send
from ..step.events import Fired, ResendBatch, SendBatch
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from .acceptor import LIGHT_BYTES, Acceptors
from .attempt import Attempt, Progress

MAX_QUEUED_MS = 50.0
JOINING_MS = 1.0
MAX_BYTES_PER_CHAR = 4
CLASS_PROMISE_RESENDS = 1
"""So often a proposal that relies on the class promise is said again; then comes phase 1."""


@dataclass(slots=True, eq=False)
class Batch:
    """What left together.

    Attributes:
        number: of all batches of this incarnation.
        ballot: the home ballot.
        entries: what is still proposed, by key.
        votes: who has accepted all of it.
        resends: how often it was said again.
    """

    number: int
    ballot: Ballot
    entries: dict[Key, Decree]
    votes: set[NodeId] = field(default_factory=set[NodeId])
    resends: int = 0

    def message(self) -> AcceptMany:
        """R18: what goes to every acceptor."""
        return AcceptMany(self.ballot, self.number, tuple(self.entries.values()))

    def commit(self) -> CommitMany:
        """R20: what everybody is told when all of it is chosen."""
        return CommitMany(self.ballot, tuple(self.entries))


class Batches:
    """All batches of a node.

    Args:
        node: who we are.
        acceptors: the node's own acceptor, which votes like any other.

    Attributes:
        under_way: the numbers of what left and misses votes, single keys included.
        made: how many there have been in this incarnation, single keys included.
        completed, completed_ms: how many the last batch that completed had in it, and when that
            was.
    """

    def __init__(self, node: Node, acceptors: Acceptors) -> None:
        self._node = node
        self._acceptors = acceptors
        self._batches: dict[int, Batch] = {}
        self.under_way: set[int] = set()
        self.made = 0
        self.completed = 0
        self.completed_ms = 0.0

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"batches": self._batches}

    @property
    def numbers(self) -> Collection[int]:
        """Those of the batches that are under way."""
        return self._batches

    def single(self) -> int:
        """A number for a key that travels by itself, in the plain messages, until it is left."""
        self.made += 1
        self.under_way.add(self.made)
        return self.made

    def entries(self, number: int) -> Iterable[Key]:
        """The keys of a batch that is under way."""
        batch = self._batches.get(number)
        return batch.entries if batch is not None else ()

    def progress(self, attempt: Attempt) -> Progress:
        """How far an attempt has come, with the votes on the batch that it travels in, if any."""
        batch = self._batches.get(attempt.batch or 0)
        return attempt.progress() if batch is None else attempt.progress(batch.number, batch.votes)

    def restore(self, progress: Progress) -> None:
        """Put the batch under way that an attempt travels in, if any, with its one key on board."""
        number, state = progress.batch, progress.state
        if number and isinstance(state, Proposing):
            votes = {NodeId(name) for name in state.votes}
            entries = {state.key: state.decree}
            self.under_way.add(number)
            self._batches[number] = Batch(number, state.ballot, entries, votes, progress.resends)

    def send(self, step: StepBuilder, decrees: Sequence[Decree]) -> tuple[int, list[Key]]:
        """Propose these in the home ballot: to our own acceptor first, then to all others.

        Returns:
            The batch's number, and the keys that our own acceptor refused.
        """
        ballot = Ballot.of_home(self._node.process)
        refused = self._acceptors.vote(step, ballot, decrees)
        entries = {decree.key: decree for decree in decrees if decree.key not in refused}
        self.made += 1
        if entries:
            self.under_way.add(self.made)
            batch = self._batches[self.made] = Batch(self.made, ballot, entries)
            vote = AcceptedMany(ballot, batch.number, ())
            step.send_when_all_durable(entries, Send(self._node.name, vote))
            step.broadcast(self._node.others, batch.message())
            self._set_resend(step, batch)
        return self.made, list(refused)

    def on_accepted(
        self, step: StepBuilder, sender: NodeId, message: AcceptedMany
    ) -> tuple[list[Key], Batch | None]:
        """R20: a vote on all in it except what it refuses; a quorum of them chooses it.

        Returns:
            The keys that leave the batch, since the vote is not for them, whatever comes of it; and
            the batch, if all that is left in it is chosen.
        """
        batch = self._batches.get(message.number)
        quorums = self._node.config.quorums
        if batch is None or batch.ballot != message.ballot or sender not in quorums.members:
            return [], None
        refused = [key for key in message.refused if key in batch.entries]
        for key in refused:
            self.leave(batch.number, key)
        batch.votes.add(sender)
        if not batch.entries or not quorums.accepted(batch.votes):
            return refused, None
        del self._batches[batch.number]
        self.under_way.discard(batch.number)
        self.completed, self.completed_ms = len(batch.entries), step.now_ms
        return refused, batch

    def on_resend(self, step: StepBuilder, timer: ResendBatch) -> list[Key]:
        """Votes are missing: say it again, once (R02).

        Returns:
            The keys on board, if that was done before: each must go on alone.
        """
        batch = self._batches.get(timer.number)
        if batch is None:
            return []
        if batch.resends >= CLASS_PROMISE_RESENDS:
            return list(batch.entries)
        batch.resends += 1
        missing = [node for node in self._node.others if node not in batch.votes]
        step.broadcast(missing, batch.message())
        self._set_resend(step, batch)
        return []

    def leave(self, number: int, key: Key) -> None:
        """The key is not proposed with this batch any more."""
        batch = self._batches.get(number)
        if batch is not None:
            batch.entries.pop(key, None)
            if batch.entries:
                return
            del self._batches[number]
        self.under_way.discard(number)

    def clear(self) -> None:
        """Drop everything, since the disk failed."""
        self._batches.clear()
        self.under_way.clear()

    def _set_resend(self, step: StepBuilder, batch: Batch) -> None:
        delay_ms = self._node.config.timing.resend_ms << batch.resends
        step.timer(ResendBatch(batch.number), delay_ms, delay_ms / 4)


class Due(Struct, frozen=True):
    """The attempts that may leave now, to be handled in this order.

    Attributes:
        unclaimed: nobody wants these to be proposed any more.
        alone: each is proposed by itself, and nobody waits for its votes.
        together: each group is proposed as a batch.
    """

    unclaimed: Sequence[Attempt] = ()
    alone: Sequence[Attempt] = ()
    together: Sequence[Sequence[Attempt]] = ()


NOTHING = Due()


class BatchQueue:
    """The attempts that are prepared by the class promise and have not been proposed yet.

    Args:
        batches: what is under way.

    Attributes:
        waiting: the attempts by key; a departure needs the instances of all of them.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.waiting: dict[Key, Attempt] = {}
        self._overdue = False
        self._serial = 0
        self._due_ms = inf

    def add(self, attempt: Attempt) -> None:
        """It may leave with the next departure."""
        self.waiting[attempt.key] = attempt

    def drop(self, key: Key) -> None:
        """The key is decided, or of no interest any more."""
        self.waiting.pop(key, None)

    def clear(self) -> None:
        """Drop everything, since the disk failed."""
        self.waiting.clear()

    def counts(self, timer: SendBatch) -> bool:
        """Whether nobody has left since the timer was set."""
        return timer.serial == self._serial

    def on_timer(self, timer: SendBatch) -> None:
        """Somebody has waited for long enough, if the timer counts."""
        if self.counts(timer):
            self._overdue, self._due_ms = True, inf

    def due(self, step: StepBuilder) -> Due:
        """All events of the step are handled: take out those who may leave (R18)."""
        overdue, self._overdue = self._overdue, False
        if not self.waiting:
            return NOTHING
        since_ms = step.now_ms - self._batches.completed_ms
        joined = since_ms < JOINING_MS and len(self.waiting) < self._batches.completed
        if self._batches.under_way and not overdue:
            self._set_timer(step, MAX_QUEUED_MS)
        elif joined:
            self._set_timer(step, JOINING_MS)
        elif not self.waiting.keys() <= step.instances.keys():
            step.again(Fired(SendBatch(self._serial)))  # in the next step, with their instances
        else:
            return self._take_all()
        return NOTHING

    def _set_timer(self, step: StepBuilder, delay_ms: float) -> None:
        if step.now_ms + delay_ms < self._due_ms:
            self._due_ms = step.now_ms + delay_ms
            self._serial += 1
            step.timer(SendBatch(self._serial), delay_ms)

    def _take_all(self) -> Due:
        """Part all who wait.

        Where nobody claims a key any more, a class promise is no evidence that it is vacant: the
        reads that wait for it need both phases.
        """
        waiting, self.waiting = self.waiting, {}
        self._serial += 1
        self._due_ms = inf
        unclaimed: list[Attempt] = []
        alone: list[Attempt] = []
        light: list[Attempt] = []
        for attempt in waiting.values():
            assert isinstance(attempt.state, Prepared), "what boards is prepared, and stays so"
            attempt.drop_finished()
            if not attempt.claims:
                unclaimed.append(attempt)
            else:
                (light if _is_light(attempt) else alone).append(attempt)
        groups = [light[at : at + MAX_BATCH] for at in range(0, len(light), MAX_BATCH)]
        return Due(unclaimed, alone, groups)


def _is_light(attempt: Attempt) -> bool:
    """Whether it travels with others: a term may be held up for long, and megabytes are slow."""
    claim = attempt.claims[0].claim
    size = len(claim.value) + MAX_BYTES_PER_CHAR * len(claim.note)
    return size <= LIGHT_BYTES and not attempt.key.startswith(TERMS)
