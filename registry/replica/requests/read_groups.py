"""All reads that one step begins, and that need a quorum: one question to each peer.

The group is the unit: it is asked, and its quorum is counted, once for all of its reads. A get is a row
of the frame that it came in, and no object of its own, until something about its group is unusual;
then all rows of the group become pending requests (`QuorumRead`), with their own times.

Invariants kept here:

* "undecided" needs a quorum that was asked after the read arrived (design 6): reads join a group only
  in the step that begins it, and its question leaves at the end of that step (`asked`). No read and
  no key joins afterwards;
* keys only leave a group. So an answer to its question, first or repeated, covers every key that is
  left in it.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from ...identity import Identity
from ...types import Decree, Key, NodeId
from ...unserved import ForgottenInstance
from ...wire.peers import MAX_QUERIED, Query, QueryAnswer
from ...wire.requests import GetRequest, Undecided
from ..consensus.attempt import Found, Then
from ..step.effects import Reply
from ..step.events import Connection, FromClient, ResendRead
from ..step.node import Node
from ..step.pending import LONG_MS, PendingRequest, PendingRequests
from ..step.step_builder import StepBuilder

PROMPT_READS = 512
"""With this many open reads, an answer may take twice as long as with one."""
ROWS_MS = LONG_MS / 2
"""How long gets may be rows, about: their time is over later."""


class QuorumRead(Struct, eq=False):
    """A read with a request of its own.

    Attributes:
        key: the key.
        pending: the request behind it.
        then: called with the decree, or with None for undecided.
        token: of its group.
    """

    key: Key
    pending: PendingRequest
    then: Then
    token: int = 0


class Gets(Struct, frozen=True):
    """Gets of one frame, not one of which is a pending request.

    Args:
        connection: where they came from.
        identity: whose they are.
        arrived_ms: when they arrived.
        requests: the gets.
    """

    connection: Connection
    identity: Identity
    arrived_ms: float
    requests: Sequence[GetRequest]


class ReadGroup(Struct, eq=False):
    """One question to a quorum.

    Attributes:
        token: the id of the question.
        keys: what it is about; those that have left are not in it.
        gets: reads that are rows.
        reads: the other reads, by key.
        epoch: the epoch in which it is asked: all who answer vote in that one (M12). Until it is
            asked, -1.
        answered: the nodes that hold nothing for the keys.
    """

    token: int
    keys: set[Key] = set()
    gets: list[Gets] = []
    reads: dict[Key, list[QuorumRead]] = {}
    epoch: int = -1
    answered: set[NodeId] = set()

    @property
    def asked(self) -> bool:
        """Whether the question has left: nothing joins any more."""
        return self.epoch >= 0

    @property
    def rows(self) -> int:
        """How many reads are rows."""
        return sum([len(some.requests) for some in self.gets])

    @property
    def size(self) -> int:
        """How many reads it has."""
        return self.rows + sum(map(len, self.reads.values()))

    def join(self, read: QuorumRead) -> None:
        """Add a read."""
        read.token = self.token
        self.keys.add(read.key)
        self.reads.setdefault(read.key, []).append(read)

    def take_rows(self) -> Sequence[Gets]:
        """Take the gets, which become reads with requests of their own."""
        gets, self.gets = self.gets, []
        return gets

    def take_out(self, key: Key) -> Sequence[QuorumRead]:
        """A key leaves, with its reads; the group has no rows."""
        assert not self.gets, "a row does not leave alone"
        self.keys.discard(key)
        return self.reads.pop(key, ())

    def drop(self, read: QuorumRead) -> None:
        """A read is over; its key stays if another read, or a row, may be about it."""
        others = self.reads.get(read.key, [])
        if read in others:
            others.remove(read)
        if not others:
            self.reads.pop(read.key, None)
            if not self.gets:
                self.keys.discard(read.key)

    def all(self) -> Iterable[QuorumRead]:
        """Every read that is no row."""
        return [read for reads in self.reads.values() for read in reads]


class Ends(Protocol):
    """Ends a read that a quorum has answered, or that leaves since somebody has accepted something."""

    def __call__(self, step: StepBuilder, read: QuorumRead, *, in_doubt: bool) -> None: ...


class ReadGroups:
    """The groups of a node, by token.

    Args:
        node: who we are.
        requests: where gets become pending requests.
        answer: answers a get that was a row, with its decree or with undecided.
        end: ends a read.

    Attributes:
        open: those that are not over.
        gathering: the one that the reads of this step join; None while there are none.
    """

    def __init__(
        self,
        node: Node,
        requests: PendingRequests,
        answer: Callable[[StepBuilder, PendingRequest, Found], None],
        end: Ends,
    ) -> None:
        self._node = node
        self._requests = requests
        self._answer = answer
        self._end = end
        self.open: dict[int, ReadGroup] = {}
        self.gathering: ReadGroup | None = None
        self._read_of: dict[PendingRequest, QuorumRead] = {}

    @property
    def under_way(self) -> int:
        """How many reads wait for a quorum."""
        return sum(group.size for group in self.open.values())

    @property
    def rows(self) -> int:
        """How many of them are no pending requests."""
        return sum(group.rows for group in self.open.values())

    @property
    def asked(self) -> Iterable[Key]:
        """The keys of all open questions."""
        return [key for group in self.open.values() for key in group.keys]

    def has(self, key: Key) -> bool:
        """Whether an open question is about a key."""
        return any([key in group.keys for group in self.open.values()])

    def needs(self, answer: QueryAnswer) -> Iterable[Key]:
        """The keys whose instances an answer needs: rows are counted without them."""
        group = self.open.get(answer.id)
        return (*group.reads, *group.keys.intersection(answer.accepted)) if group else ()

    # -- joining, and asking

    def add(self, step: StepBuilder, read: QuorumRead) -> None:
        """Ask about a key for one read, at the end of this step."""
        self._read_of[read.pending] = read
        self._group_for(step, 1).join(read)

    def add_gets(self, step: StepBuilder, event: FromClient, some: Sequence[GetRequest]) -> None:
        """Ask about the keys of gets of one frame, at most `MAX_QUERIED`, at the end of this step."""
        group = self._group_for(step, len(some))
        group.keys.update([request.key for request in some])
        group.gets.append(Gets(event.connection, event.identity, step.now_ms, some))

    def end_turn(self, step: StepBuilder) -> None:
        """Ask about all that was begun in this step: whatever is counted was asked after it arrived."""
        group, self.gathering = self.gathering, None
        if group is None or group.token not in self.open:
            return
        group.epoch = self._node.epoch.number
        self._ask(step, group, self._node.others)
        if self._node.voting:
            self._count(step, group, self._node.name)

    def _group_for(self, step: StepBuilder, more: int) -> ReadGroup:
        """The group that this step's reads join, with room for some more."""
        group = self.gathering
        if group is not None and len(group.keys) + more > MAX_QUERIED:
            self.end_turn(step)
            group = None
        if group is None or group.token not in self.open:
            group = self.gathering = ReadGroup(self._node.tokens.ask(self))
            self.open[group.token] = group
        return group

    def _ask(self, step: StepBuilder, group: ReadGroup, nodes: Iterable[NodeId]) -> None:
        """Ask some nodes, and again later; the later, the more reads are open: repeats add load."""
        step.broadcast(nodes, self._node.asking(Query(group.token, tuple(group.keys))))
        resend_ms = self._node.config.timing.resend_ms * (1 + self.under_way / PROMPT_READS)
        step.ask_again(group.token, min(resend_ms, ROWS_MS) if group.gets else resend_ms)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Repeat a question to peers that have not answered (R02); rows become pending requests."""
        group = self.open.get(timer.token)
        if group is None:
            return
        self._unfold(step, group)
        for read in group.all():
            if read.pending.done:
                self.drop(read.pending)
        if not self._is_over(group):
            self._ask(step, group, [n for n in self._node.others if n not in group.answered])

    # -- what answers say

    def on_answer(self, step: StepBuilder, sender: NodeId, answer: QueryAnswer) -> None:
        """Act on what a peer holds for the keys of a question."""
        group = self.open.get(answer.id)
        if group is None or group.epoch != self._node.epoch.number:
            return  # it is asked again in the epoch that is known now
        accepted: Sequence[QuorumRead] = ()
        if answer.accepted or answer.left_out:
            self._unfold(step, group)
            accepted = self._take_out(group, answer.accepted)
            self._set_apart(step, group, sender, answer.left_out)
        for read in accepted:
            self._end(step, read, in_doubt=True)
        if not self._is_over(group):
            self._count(step, group, sender)

    def _count(self, step: StepBuilder, group: ReadGroup, sender: NodeId) -> None:
        """A node holds nothing for the keys; with a prepare quorum of them, all reads end."""
        group.answered.add(sender)
        if not self._node.quorums.prepared(group.answered):
            return
        self._close(group)
        for some in group.gets:
            told = [Reply(some.connection, Undecided(one.id)) for one in some.requests]
            took_ms = step.now_ms - some.arrived_ms
            self._node.counts.ended_alike(GetRequest, Undecided, took_ms, len(told))
            step.all_at_once(told)
        for read in group.all():
            if not read.pending.done:
                self._end(step, read, in_doubt=False)

    def _set_apart(
        self, step: StepBuilder, group: ReadGroup, sender: NodeId, keys: Iterable[Key]
    ) -> None:
        """Make a group of keys about which a node says nothing; the answers so far count for it."""
        reads = self._take_out(group, keys)
        if not reads:
            return
        apart = ReadGroup(self._node.tokens.ask(self), epoch=group.epoch)
        self.open[apart.token] = apart
        apart.answered |= group.answered
        for read in reads:
            self._read_of[read.pending] = read
            apart.join(read)
        asked = (n for n in self._node.others if n not in apart.answered and n != sender)
        self._ask(step, apart, asked)

    # -- what leaves a group

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """End the reads of these keys."""
        found = {decree.key: decree for decree in decrees}
        self._end_all(step, lambda group: group.keys & found.keys(), found.__getitem__)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """End the reads of forgotten keys."""
        self._end_all(step, lambda group: set(filter(gone.covers, group.keys)), lambda _: gone)

    def _end_all(
        self,
        step: StepBuilder,
        leave: Callable[[ReadGroup], Collection[Key]],
        found: Callable[[Key], Found],
    ) -> None:
        for group in list(self.open.values()):
            keys = leave(group)
            if keys:
                self._unfold(step, group)
                for read in self._take_out(group, keys):
                    read.then(step, found(read.key))
                self._is_over(group)

    def take_asked(self, step: StepBuilder) -> Sequence[QuorumRead]:
        """Close all questions that have been asked; returns their reads."""
        taken: list[QuorumRead] = []
        for group in [group for group in self.open.values() if group.asked]:
            self._unfold(step, group)
            self._close(group)
            taken += group.all()
        return taken

    def drop(self, pending: PendingRequest) -> None:
        """The read of a request is over, if it has one."""
        read = self._read_of.pop(pending, None)
        group = self.open.get(read.token) if read is not None else None
        if read is not None and group is not None:
            group.drop(read)
            self._is_over(group)

    def unfold(self, step: StepBuilder) -> None:
        """Make pending requests of all gets that are rows: some of them are to be looked for."""
        for group in self.open.values():
            self._unfold(step, group)

    def _unfold(self, step: StepBuilder, group: ReadGroup) -> None:
        for some in group.take_rows():
            for request in some.requests:
                whose = (some.connection, request, some.identity)
                pending = self._requests.open(step, *whose, arrived_ms=some.arrived_ms)
                read = QuorumRead(request.key, pending, self._tells(pending))
                self._read_of[pending] = read
                group.join(read)

    def _tells(self, pending: PendingRequest) -> Then:
        def then(step: StepBuilder, found: Found) -> None:
            self._answer(step, pending, found)

        return then

    def _take_out(self, group: ReadGroup, keys: Iterable[Key]) -> Sequence[QuorumRead]:
        """The reads of keys that leave a group, without those that are over."""
        reads = [read for key in keys for read in group.take_out(key)]
        self._forget(reads)
        return [read for read in reads if not read.pending.done]

    def _is_over(self, group: ReadGroup) -> bool:
        """Whether a question is over; one for which nobody waits any more ends here."""
        if not group.keys and group.token in self.open:
            self._close(group)
        return group.token not in self.open

    def _close(self, group: ReadGroup) -> None:
        del self.open[group.token]
        self._node.tokens.close(group.token)
        self._forget(group.all())

    def _forget(self, reads: Iterable[QuorumRead]) -> None:
        for read in reads:
            if self._read_of.get(read.pending) is read:
                del self._read_of[read.pending]
