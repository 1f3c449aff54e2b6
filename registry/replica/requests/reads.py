"""Reading one key: at once if it is learned, otherwise from a prepare quorum (design 6).

Only *undecided* needs a quorum. A read counts only answers to queries that it sent itself, so all
of them were given after it arrived. If a node holds an acceptance for the key, the key is finished
first. Gets, waits, the latest slot of a series and the check for gaps all use `Reads.read`.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from ...errors import Damaged as DamagedError
from ...errors import Disputed, Unreachable
from ...keys import series_and_slot, slot_key
from ...members import epoch_of
from ...types import Decree, Key, NodeId
from ...unserved import ForgottenInstance, Unserved
from ...wire.peers import Query, QueryAnswer
from ...wire.requests import Decreed, GetRequest, LatestRequest, Undecided, WaitRequest
from ..consensus.attempt import Found, Then
from ..consensus.coordinator import Coordinator
from ..feed.learner import dispute_message
from ..feed.truncation import tell_forgotten
from ..step.disk_reads import SlotDone
from ..step.effects import ReadLastSlot, Send
from ..step.events import ReadOn, ResendRead
from ..step.node import Node, refusal
from ..step.pending import PendingRequest, PendingRequests
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone

PROMPT_READS = 512
"""With this many open questions, an answer may take twice as long as with one."""


class QuorumRead(Struct, eq=False):
    """One question to a quorum.

    Attributes:
        key: the key.
        pending: the request behind it.
        then: called with the decree, or with None for undecided.
        epoch: the epoch in which it is asked: all who answer vote in that one (M12).
        answered: the nodes that hold nothing for the key.
    """

    key: Key
    pending: PendingRequest
    then: Then
    epoch: int
    answered: set[NodeId] = set()


class Reads:
    """All reads of a node.

    Args:
        node: who we are.
        requests: where answers go.
        coordinator: finishes keys in doubt.
        learn: records decrees and notifies the other parts.
    """

    def __init__(
        self,
        node: Node,
        requests: PendingRequests,
        coordinator: Coordinator,
        learn: Callable[[StepBuilder, Sequence[Decree]], None],
    ) -> None:
        self._node = node
        self._requests = requests
        self._coordinator = coordinator
        self._learn = learn
        self._reads: dict[int, QuorumRead] = {}
        self._series: dict[int, PendingRequest] = {}
        self._reads_by_key: dict[Key, set[int]] = {}
        self._token_of: dict[PendingRequest, int] = {}
        self._waits: dict[Key, list[PendingRequest]] = {}
        self.awaited = (self._reads_by_key, self._waits)

    @property
    def under_way(self) -> int:
        """How many questions to peers are open."""
        return len(self._reads)

    @property
    def _resend_ms(self) -> float:
        """When to repeat a question: later with many open ones, since early repeats add load."""
        return self._node.config.timing.resend_ms * (1 + len(self._reads) / PROMPT_READS)

    @property
    def awaits_decrees(self) -> bool:
        """Whether a request waits for a decree."""
        return bool(self._waits)

    def needs(self, answer: QueryAnswer) -> Iterable[Key]:
        """The key that an answer is about."""
        read = self._reads.get(answer.id)
        return (read.key,) if read is not None else ()

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"reads": self._reads, "series": self._series, "waits": self._waits}

    # -- requests

    def get(self, step: StepBuilder, pending: PendingRequest, request: GetRequest) -> None:
        """Answer with the decree or with undecided."""

        def then(step: StepBuilder, found: Found) -> None:
            self._answer(step, pending, found)

        self.read(step, request.key, pending, then)

    def wait(self, step: StepBuilder, pending: PendingRequest, request: WaitRequest) -> None:
        """Answer with the decree as soon as the key is decided."""

        def then(step: StepBuilder, found: Found) -> None:
            if found is not None:
                self._answer(step, pending, found)
                return
            pending.undecided = True
            self._waits.setdefault(request.key, []).append(pending)
            self._node.wants_commits = True

        self.read(step, request.key, pending, then)

    def latest(self, step: StepBuilder, pending: PendingRequest, request: LatestRequest) -> None:
        """Find the last decided slot, slot by slot from the last one learned here."""
        token = self._node.tokens.read(self)
        self._series[token] = pending
        self._token_of[pending] = token
        step.read(ReadLastSlot(token, request.series, pending.origin))

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """Continue from the last learned slot, which the disk has found."""
        assert isinstance(done, SlotDone), "the last slot was asked for"
        pending = self._found(done.token)
        assert isinstance(pending.request, LatestRequest)
        key = slot_key(pending.request.series, max(done.slot, 1))
        step.again(ReadOn(pending.origin, pending.request.id, key, None))

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """Fail the request, since the disk could not be searched."""
        self._requests.fail(step, self._found(token), DamagedError, message)

    def read_on(self, step: StepBuilder, event: ReadOn) -> None:
        """Read one slot of a series; the search ends at the first undecided slot (design 10)."""
        pending = self._requests.find(event.origin, event.id)
        if pending is None or not isinstance(pending.request, LatestRequest):
            return
        series, slot = series_and_slot(event.key)
        if slot is None or series != pending.request.series:  # the id may be another's by now
            return

        def then(step: StepBuilder, found: Found) -> None:
            match found:
                case None:
                    self._answer(step, pending, event.latest)
                case ForgottenInstance():
                    floor = slot_key(series, found.floor)
                    step.again(ReadOn(event.origin, event.id, floor, None))
                case Decree():
                    following = slot_key(series, slot + 1)
                    step.again(ReadOn(event.origin, event.id, following, found))

        self.read(step, event.key, pending, then)

    # -- one key

    def read(self, step: StepBuilder, key: Key, pending: PendingRequest, then: Then) -> None:
        """Read `key` and call `then` with its decree, with None for undecided, or if it is forgotten.

        If the key cannot be read, the request fails and `then` is not called.
        """
        instance = step.instances[key]
        if isinstance(instance, ForgottenInstance):
            then(step, instance)
        elif isinstance(instance, Unserved):
            self._requests.fail(step, pending, instance.error, instance.message)
        elif instance.disputed is not None:
            self._requests.fail(step, pending, Disputed, dispute_message(key))
        elif instance.learned is not None:
            then(step, instance.learned)
        elif not self._node.takes_part:
            error, message = refusal(self._node)
            self._requests.fail(step, pending, error, message)
        elif instance.accepted is not None:
            self._follow(step, key, pending, then)
        else:
            self._ask(step, QuorumRead(key, pending, then, self._node.epoch.number))

    def on_answer(self, step: StepBuilder, sender: NodeId, answer: QueryAnswer) -> None:
        """Act on what a peer holds for the key of a question."""
        read = self._reads.get(answer.id)
        if read is None:
            return
        if read.pending.done:
            self._drop(answer.id)
        elif read.epoch != self._node.epoch.number:
            return  # it is asked again in the epoch that is known now
        elif answer.learned is not None:
            if answer.learned.key == read.key:
                self._learn(step, (answer.learned,))  # which ends this read too
        elif answer.accepted:
            self._drop(answer.id)
            self._finish(step, read)
        else:
            self._count(step, answer.id, read, sender)

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Answer the reads and waits of these keys."""
        for decree in decrees:
            self._end(step, decree)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """End the reads and waits of forgotten keys."""
        for key in [key for key in self._reads_by_key if gone.covers(key)]:
            for token in list(self._reads_by_key.get(key, ())):
                self._drop(token).then(step, gone)
        for key in [key for key in self._waits if gone.covers(key)]:
            for pending in self._waits.pop(key):
                self._answer(step, pending, gone)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Repeat a question to peers that have not answered (R02)."""
        read = self._reads.get(timer.token)
        if read is None:
            return
        if read.pending.done:
            self._drop(timer.token)
            return
        missing = (node for node in self._node.others if node not in read.answered)
        step.broadcast(missing, self._node.asking(Query(timer.token, read.key)))
        step.ask_again(timer.token, self._resend_ms)

    @property
    def asked(self) -> Iterable[Key]:
        """The keys of all open questions."""
        return self._reads_by_key

    def on_epoch(self, step: StepBuilder) -> None:
        """M12: ask all open questions again: an answer counts for one epoch only."""
        for token in list(self._reads):
            read = self._drop(token)
            if not read.pending.done:
                self.read(step, read.key, read.pending, read.then)

    def leave(self, step: StepBuilder, pending: PendingRequest) -> None:
        """A request is over: what was asked of the disk, or of peers, for it is called off."""
        token = self._token_of.get(pending, 0)
        if token in self._reads:
            self._drop(token)
        elif token in self._series:
            self._found(token)
            self._node.tokens.call_off(step, token)

    def prune(self) -> None:
        """Drop the waits whose requests are done."""
        for key, waits in list(self._waits.items()):
            remaining = [pending for pending in waits if not pending.done]
            if remaining:
                self._waits[key] = remaining
            else:
                del self._waits[key]

    def tell(self, step: StepBuilder, sender: NodeId, query: Query) -> None:
        """Answer a peer's query with what this node holds, after that is durable."""
        instance = step.instances[query.key]
        if isinstance(instance, ForgottenInstance):
            tell_forgotten(step, sender, query.key, instance)
            return
        if isinstance(instance, Unserved) or instance.disputed is not None:
            return
        if instance.learned is None and not self._node.voting:
            return
        accepted = instance.accepted is not None
        answer = QueryAnswer(query.id, accepted, instance.learned)
        step.send_when_durable(query.key, Send(sender, answer))

    def _ask(self, step: StepBuilder, read: QuorumRead) -> None:
        token = self._node.tokens.ask(self)
        self._reads[token] = read
        self._token_of[read.pending] = token
        self._reads_by_key.setdefault(read.key, set()).add(token)
        step.broadcast(self._node.others, self._node.asking(Query(token, read.key)))
        step.ask_again(token, self._resend_ms)
        if self._node.voting:
            self._count(step, token, read, self._node.name)

    def _count(self, step: StepBuilder, token: int, read: QuorumRead, sender: NodeId) -> None:
        read.answered.add(sender)
        if self._node.quorums.prepared(read.answered):
            self._drop(token)
            self._conclude(step, read)

    def _drop(self, token: int) -> QuorumRead:
        read = self._reads.pop(token)
        self._node.tokens.close(token)
        self._forget(read.pending, token)
        tokens = self._reads_by_key[read.key]
        tokens.discard(token)
        if not tokens:
            del self._reads_by_key[read.key]
        return read

    def _found(self, token: int) -> PendingRequest:
        """The request that a search of the disk was for, now that the search is over."""
        pending = self._series.pop(token)
        self._forget(pending, token)
        return pending

    def _forget(self, pending: PendingRequest, token: int) -> None:
        if self._token_of.get(pending) == token:
            del self._token_of[pending]

    def _end(self, step: StepBuilder, decree: Decree) -> None:
        for token in list(self._reads_by_key.get(decree.key, ())):
            self._drop(token).then(step, decree)
        for pending in self._waits.pop(decree.key, ()):
            self._answer(step, pending, decree)

    def _conclude(self, step: StepBuilder, read: QuorumRead) -> None:
        """End a read after a prepare quorum held nothing, unless our own instance has changed since."""
        instance = step.instances[read.key]
        if not isinstance(instance, Unserved) and instance.learned is None:
            read.then(step, None)
        else:
            self.read(step, read.key, read.pending, read.then)

    def _finish(self, step: StepBuilder, read: QuorumRead) -> None:
        instance = step.instances[read.key]
        if isinstance(instance, Unserved) or instance.learned is not None:
            self.read(step, read.key, read.pending, read.then)
        else:
            self._follow(step, read.key, read.pending, read.then)

    def _follow(self, step: StepBuilder, key: Key, pending: PendingRequest, then: Then) -> None:
        """Finish a key in doubt, unless it changes members: no read may bring that about (M03)."""
        if epoch_of(key) is None:
            self._coordinator.follow(step, key, pending, then)
        else:
            self._requests.fail(step, pending, Unreachable, being_decided(key))

    def _answer(self, step: StepBuilder, pending: PendingRequest, found: Found) -> None:
        request_id = pending.request.id
        match found:
            case None:
                self._requests.answer(step, pending, Undecided(request_id))
            case ForgottenInstance():
                self._requests.fail(step, pending, found.error, found.message)
            case Decree():
                self._requests.answer(step, pending, Decreed(request_id, found))


def being_decided(key: Key) -> str:
    """The error message for a change of members that is half done, and that nobody finishes (M03)."""
    return f"{key!r} is being decided; ask again later"
