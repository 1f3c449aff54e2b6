"""Batches: what a home proposes in one step under its home promise, as one message (design 5).

Most of the cost of a claim is in its messages, its vote and its timer. So a batch has one accept
message to each acceptor, one vote from each, one count, one timer and one commit for all of its
keys. Each key stays an instance of its own: a key that an acceptor refuses leaves the batch and
takes both phases.

Invariants kept here:

* every node in `votes` has durably accepted each decree in the batch (R19, R20). The keys that a vote
  refuses leave the batch before that vote is counted.
* the batch holds only decrees that the node's own acceptor accepted in the step in which it left (R05).

Attempts that are ready to be proposed wait in `BatchQueue`. One batch at a time is in flight, and
claims that arrive meanwhile join the next one, so load makes batches larger rather than more
frequent. The next batch waits for missing votes on the one before for at most `MAX_QUEUED_MS`.
After a batch completes, the queue waits `JOINING_MS` if fewer claims wait than were just answered,
since clients that were just answered usually claim again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from msgspec import Struct

from ...locks.terms import TERMS
from ...paxos.decrees import MAX_BATCH, Decrees
from ...paxos.messages import AcceptedMany, AcceptMany, CommitMany
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
"""How often a proposal that relies on the class promise is repeated before phase 1 begins."""


@dataclass(slots=True, eq=False)
class Batch:
    """One batch in flight.

    Attributes:
        number: its number in this incarnation.
        ballot: the home ballot.
        entries: the decrees that are still proposed in it, by key.
        votes: the nodes that have accepted all of them.
        resends: how often it was repeated.
    """

    number: int
    ballot: Ballot
    entries: dict[Key, Decree]
    votes: set[NodeId] = field(default_factory=set[NodeId])
    resends: int = 0
    _made: Decrees = field(default_factory=Decrees)

    @property
    def decrees(self) -> Decrees:
        """The entries as one batch; made again only if some have left."""
        if len(self._made) != len(self.entries):
            self._made = Decrees(self.entries.values())
        return self._made

    def message(self) -> AcceptMany:
        """R18: what goes to every acceptor."""
        return AcceptMany(self.ballot, self.number, self.decrees)

    def commit(self) -> CommitMany:
        """R20: what goes to every node when all of it is chosen."""
        return CommitMany(self.ballot, tuple(self.entries))


class Batches:
    """All batches of a node.

    Args:
        node: who we are.
        acceptors: the node's own acceptor, which votes like any other.

    Attributes:
        under_way: the numbers of the batches in flight, single keys included.
        made: how many batches this incarnation has made, single keys included.
        completed, completed_ms: the size of the last batch that completed, and when it did.
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
        """The numbers of the batches in flight, without single keys."""
        return self._batches

    def single(self) -> int:
        """A number for a key that is proposed alone, in messages of its own, until `leave`."""
        self.made += 1
        self.under_way.add(self.made)
        return self.made

    def entries(self, number: int) -> Iterable[Key]:
        """The keys of a batch in flight."""
        batch = self._batches.get(number)
        return batch.entries if batch is not None else ()

    def progress(self, attempt: Attempt) -> Progress:
        """The volatile state of an attempt, with the votes on its batch if it travels in one."""
        batch = self._batches.get(attempt.batch or 0)
        return attempt.progress() if batch is None else attempt.progress(batch.number, batch.votes)

    def restore(self, progress: Progress) -> None:
        """Restore the batch that an attempt travels in, if any, with this one key in it."""
        number, state = progress.batch, progress.state
        if number and isinstance(state, Proposing):
            votes = {NodeId(name) for name in state.votes}
            entries = {state.key: state.decree}
            self.under_way.add(number)
            self._batches[number] = Batch(number, state.ballot, entries, votes, progress.resends)

    def send(self, step: StepBuilder, proposed: Sequence[Decree]) -> tuple[int, list[Key]]:
        """Propose these in the home ballot: to our own acceptor first, then to all others.

        Returns:
            The batch's number, and the keys that our own acceptor refused.
        """
        decrees = Decrees.of(proposed)
        ballot = Ballot.of_home(self._node.process, self._node.epoch.number)
        refused = self._acceptors.vote(step, ballot, decrees, own=True)
        entries = {decree.key: decree for decree in decrees if decree.key not in refused}
        self.made += 1
        self._node.counts.batches.note(len(entries))
        if entries:
            self.under_way.add(self.made)
            batch = self._batches[self.made] = Batch(self.made, ballot, entries, _made=decrees)
            vote = AcceptedMany(ballot, batch.number, ())
            step.send_when_all_durable(entries, Send(self._node.name, vote))
            step.broadcast(self._node.others, batch.message())
            self._set_resend(step, batch)
        return self.made, list(refused)

    def on_accepted(
        self, step: StepBuilder, sender: NodeId, message: AcceptedMany
    ) -> tuple[list[Key], Batch | None]:
        """R20: count a vote for all keys of a batch except those that it refuses.

        Returns:
            The refused keys, which leave the batch; and the batch itself, if a quorum has now accepted
            all that is left in it.
        """
        batch = self._batches.get(message.number)
        quorums = self._node.quorums
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
        """Repeat a batch whose votes are missing, once (R02).

        Returns:
            The keys of the batch if it was repeated before: each of them must continue alone.
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
        """Take a key out of a batch."""
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
    """The attempts that leave the queue now, to be handled in this order.

    Attributes:
        unclaimed: their claims are all done.
        alone: each is proposed by itself; the queue does not wait for its votes.
        together: each group is proposed as a batch.
    """

    unclaimed: Sequence[Attempt] = ()
    alone: Sequence[Attempt] = ()
    together: Sequence[Sequence[Attempt]] = ()


NOTHING = Due()


class BatchQueue:
    """The attempts that the home promise has prepared and that are not proposed yet.

    Args:
        batches: the batches in flight.

    Attributes:
        waiting: the attempts by key. To propose them, a step needs the instances of all of them.
        judging: while there is something in it, claims are judged before they are proposed.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.waiting: dict[Key, Attempt] = {}
        self.judging: Collection[object] = ()
        self._overdue = False
        self._serial = 0
        self._due_ms = inf

    def add(self, attempt: Attempt) -> None:
        """Let the attempt join the next batch."""
        self.waiting[attempt.key] = attempt

    def drop(self, key: Key) -> None:
        """Remove a key, if it waits here."""
        self.waiting.pop(key, None)

    def clear(self) -> None:
        """Drop everything, since the disk failed."""
        self.waiting.clear()

    def counts(self, timer: SendBatch) -> bool:
        """Whether this is the newest timer, and the queue was not emptied since it was set."""
        return timer.serial == self._serial

    def on_timer(self, timer: SendBatch) -> None:
        """Let the queue leave in this step, if the timer counts."""
        if self.counts(timer):
            self._overdue, self._due_ms = True, inf

    def due(self, step: StepBuilder) -> Due:
        """Take out the attempts to propose, after all events of the step are handled (R18)."""
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
            return self._take_all(step)
        return NOTHING

    def _set_timer(self, step: StepBuilder, delay_ms: float) -> None:
        if step.now_ms + delay_ms < self._due_ms:
            self._due_ms = step.now_ms + delay_ms
            self._serial += 1
            step.timer(SendBatch(self._serial), delay_ms)

    def _take_all(self, step: StepBuilder) -> Due:
        """Empty the queue, sorted by how each attempt is to be proposed.

        An attempt without claims is not proposed. Its reads need both phases: the home promise is no
        evidence that its key is undecided.
        """
        waiting, self.waiting = self.waiting, {}
        self._serial += 1
        self._due_ms = inf
        unclaimed: list[Attempt] = []
        alone: list[Attempt] = []
        light: list[Attempt] = []
        for attempt in waiting.values():
            assert isinstance(attempt.state, Prepared), "what is queued is prepared, and stays so"
            if self.judging:
                attempt.judge(step)
            attempt.drop_finished()
            if not attempt.claims:
                unclaimed.append(attempt)
            else:
                (light if _is_light(attempt) else alone).append(attempt)
        groups = [light[at : at + MAX_BATCH] for at in range(0, len(light), MAX_BATCH)]
        return Due(unclaimed, alone, groups)


def _is_light(attempt: Attempt) -> bool:
    """Whether it may join a batch: a term can be refused for long, and a large value is slow."""
    claim = attempt.claims[0].claim
    size = len(claim.value) + MAX_BYTES_PER_CHAR * len(claim.note)
    return size <= LIGHT_BYTES and not attempt.key.startswith(TERMS)
