"""Reading keys: at once if they are learned, otherwise from a prepare quorum (design 6).

Only *undecided* needs a quorum. All reads of one step that need one are one group, which asks each peer
once, after they arrived (`read_groups`). If a node holds an acceptance for a key, the key leaves its
group and is finished first. Gets, waits, the latest slot of a series and the check for gaps all use
`Reads.read`; gets of a frame in which nothing is unusual are answered, or asked about, all together.
"""

from collections.abc import Collection, Sequence

from ...errors import Damaged as DamagedError
from ...errors import Disputed, Unreachable
from ...keys import series_and_slot, slot_key
from ...members import epoch_of
from ...paxos.instance import EMPTY, Instance
from ...paxos.messages import Commit
from ...types import Decree, Key, NodeId
from ...unserved import ForgottenInstance, Unserved
from ...wire.peers import MAX_QUERIED, Query, QueryAnswer
from ...wire.requests import (
    Decreed,
    GetRequest,
    LatestRequest,
    Request,
    Undecided,
    WaitRequest,
)
from ..consensus.attempt import Found, Then
from ..consensus.coordinator import Coordinator
from ..feed.learner import dispute_message
from ..feed.truncation import tell_forgotten
from ..step.disk_reads import SlotDone
from ..step.effects import Outgoing, ReadLastSlot, Reply, Send
from ..step.events import FromClient, Misnamed, ReadOn
from ..step.node import Node, refusal
from ..step.pending import LONG_MS, PendingRequest, PendingRequests
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone
from .read_groups import QuorumRead, ReadGroups


class Reads:
    """All reads of a node.

    Args:
        node: who we are.
        requests: where answers go.
        coordinator: finishes keys in doubt.
    """

    def __init__(
        self,
        node: Node,
        requests: PendingRequests,
        coordinator: Coordinator,
    ) -> None:
        self._node = node
        self._requests = requests
        self._coordinator = coordinator
        self._series: dict[int, PendingRequest] = {}
        self._token_of: dict[PendingRequest, int] = {}
        self._waits: dict[Key, list[PendingRequest]] = {}
        self.groups = ReadGroups(node, requests, self._answer, self._end)
        self.awaited = (self.groups.open, self._waits)
        requests.unfold = self.groups.unfold

    @property
    def awaits_decrees(self) -> bool:
        """Whether a request waits for a decree."""
        return bool(self._waits)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"reads": self.groups.open, "series": self._series, "waits": self._waits}

    # -- requests

    def take(self, step: StepBuilder, event: FromClient) -> Sequence[Request | Misnamed]:
        """Answer the gets of a frame that are decided, and ask about those that nobody has begun.

        Returns:
            The requests that are more than that.
        """
        decided: list[Outgoing] = []
        undecided: list[GetRequest] = []
        others: list[Request | Misnamed] = []
        asks, instances, connection = self._node.takes_part, step.instances, event.connection
        for request in event.requests:
            if type(request) is not GetRequest:
                others.append(request)
                continue
            instance = instances.get(request.key)
            if type(instance) is not Instance or instance.disputed is not None:
                others.append(request)
            elif instance.learned is not None:
                decided.append(Reply(connection, Decreed(request.id, instance.learned)))
            elif asks and instance.accepted is None and request.timeout_ms >= LONG_MS:
                undecided.append(request)
            else:
                others.append(request)
        if decided:
            self._node.counts.ended_alike(GetRequest, Decreed, 0.0, len(decided))
            step.all_at_once(decided)
        for start in range(0, len(undecided), MAX_QUERIED):
            self.groups.add_gets(step, event, undecided[start : start + MAX_QUERIED])
        return others

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
            self.groups.add(step, QuorumRead(key, pending, then))

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Answer the reads and waits of these keys."""
        self.groups.on_learned(step, decrees)
        for decree in decrees:
            for pending in self._waits.pop(decree.key, ()):
                self._answer(step, pending, decree)

    def awaits(self, key: Key) -> bool:
        """Whether a read or a wait here is for a key."""
        return key in self._waits or self.groups.has(key)

    def look_again(self, step: StepBuilder, keys: Collection[Key]) -> None:
        """Let the waits for these keys read them again: they are decided, and not learned here."""
        for key in keys if self._waits else ():
            for pending in self._waits.pop(key, ()):
                if not pending.done and isinstance(pending.request, WaitRequest):
                    self.wait(step, pending, pending.request)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """End the reads and waits of forgotten keys."""
        self.groups.on_forgotten(step, gone)
        for key in [key for key in self._waits if gone.covers(key)]:
            for pending in self._waits.pop(key):
                self._answer(step, pending, gone)

    def on_epoch(self, step: StepBuilder) -> None:
        """M12: ask all open questions again: an answer counts for one epoch only."""
        for read in self.groups.take_asked(step):
            if not read.pending.done:
                self.read(step, read.key, read.pending, read.then)

    def leave(self, step: StepBuilder, pending: PendingRequest) -> None:
        """A request is over: what was asked of the disk, or of peers, for it is called off."""
        self.groups.drop(pending)
        token = self._token_of.get(pending, 0)
        if token in self._series:
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

    # -- what a peer asks

    def tell(self, step: StepBuilder, sender: NodeId, query: Query) -> None:
        """Answer a peer's query with what this node holds now, after that is durable.

        A node without a vote tells only what it has learned.
        """
        accepted: list[Key] = []
        left_out: list[Key] = []
        for key in query.keys:
            instance = step.instances[key]
            if isinstance(instance, Unserved) or instance.disputed or instance.learned:
                left_out.append(key)
                self._tell_apart(step, sender, key, instance)
            elif instance.accepted is not None:
                accepted.append(key)
        if self._node.voting and len(left_out) < len(query.keys):
            answer = QueryAnswer(query.id, tuple(accepted), tuple(left_out))
            step.send_when_all_durable(query.keys, Send(sender, answer))

    def _tell_apart(
        self, step: StepBuilder, sender: NodeId, key: Key, instance: Instance | Unserved
    ) -> None:
        if isinstance(instance, ForgottenInstance):
            tell_forgotten(step, sender, key, instance)
        elif isinstance(instance, Instance) and instance.disputed is None:
            assert instance.learned is not None, "it is told apart since it is learned"
            step.send_when_durable(key, Send(sender, Commit(key, instance.learned)))

    def _found(self, token: int) -> PendingRequest:
        """The request that a search of the disk was for, now that the search is over."""
        pending = self._series.pop(token)
        self._forget(pending, token)
        return pending

    def _forget(self, pending: PendingRequest, token: int) -> None:
        if self._token_of.get(pending) == token:
            del self._token_of[pending]

    def _end(self, step: StepBuilder, read: QuorumRead, *, in_doubt: bool) -> None:
        """End a read by what a prepare quorum, or one node, held, unless our own instance says more.

        A get that was a row until this step has no instance here. It needs none: had the key been
        learned, the read would be over.
        """
        instance = step.instances.get(read.key, EMPTY)
        if isinstance(instance, Unserved) or instance.learned is not None:
            self.read(step, read.key, read.pending, read.then)
        elif in_doubt:
            self._follow(step, read.key, read.pending, read.then)
        else:
            read.then(step, None)

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
