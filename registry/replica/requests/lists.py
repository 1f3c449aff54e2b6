"""Listing a prefix: the union over a prepare quorum, with keys in doubt finished (design 6).

A page has every decree under the prefix whose claim was answered before the page was asked for: an
accept quorum holds it, and every prepare quorum shares a node with that. A page is not a snapshot
of one instant. Terms of locks that some nodes have forgotten may be missing from it.

This node reads its own disk first. It sends its peers digests of what it found, and they answer
with what differs (`spans`), so a page costs them little. It asks as many peers as a quorum needs,
and the others if those are late. Only a few pages are under construction at a time. All other
requests wait in a queue, where they take little memory, and leave it when they are done.

A caller that may not read all of the prefix gets pages of what it may read (S64). Nothing else is read,
here or at peers, so what is hidden counts for no page and ends none.

Invariants kept here:

* a request joins a page before the page's first read of the disk, and each page has a token of its
  own. So all answers that count for a request were asked for and given after it arrived;
* S18: a page is begun again if its callers may read something else by a policy learned meanwhile.
"""

from collections.abc import Collection, Hashable
from functools import partial

from ...disk import ScanPage
from ...errors import Damaged as DamagedError
from ...errors import DecreedError, Disputed
from ...keys import sort_key
from ...paxos.messages import Commit
from ...types import Decree, Key, NodeId
from ...wire.packed import PackedPage, pack_decrees
from ...wire.peers import CancelScan, Scan, ScanAnswer
from ...wire.requests import MAX_TIMEOUT_MS, ListPage, ListRequest
from ..consensus.attempt import Found
from ..consensus.coordinator import Coordinator
from ..feed.learner import dispute_message
from ..step.effects import Send
from ..step.events import Finish, FromPeer, ResendRead
from ..step.in_turn import InTurn
from ..step.node import Node, refusal
from ..step.pending import PendingRequest, PendingRequests
from ..step.read_rights import ReadRights
from ..step.step_builder import Pending, StepBuilder
from .list_read import ListRead, Question, question_of
from .scans import DiskScan, Scans
from .spans import SPAN_ROWS, answer_of, spans_of
from .windows import window

MAX_ASKING = 8
"""How many pages may wait for this node's disk or for peers at a time."""
MAX_BEGUN = 64
"""How many pages may be under construction, including those that finish keys in doubt."""
TIMEOUT_FACTOR = 4
"""A page has this many times the usual timeout, and once more for each page that waits."""
MOST_DOUBLINGS = 3
LATE_MS = 10_000.0
"""How long a late peer is asked only after the others, unless it answers."""


class Lists:
    """All lists of a node.

    Args:
        node: who we are.
        requests: where answers go.
        coordinator: finishes what is in doubt.
        scans: reads this node's disk.
        read_rights: what each caller may read.

    Attributes:
        span_rows: how many keys of this node a span has.
    """

    def __init__(
        self,
        node: Node,
        requests: PendingRequests,
        coordinator: Coordinator,
        scans: Scans,
        read_rights: ReadRights,
    ) -> None:
        self.span_rows = SPAN_ROWS
        self._node = node
        self._requests = requests
        self._coordinator = coordinator
        self._scans = scans
        self._read_rights = read_rights
        self._waiting: dict[Question, ListRead] = {}
        self._line = InTurn[PendingRequest]()
        self._reads: dict[int, ListRead] = {}
        self._of: dict[PendingRequest, ListRead] = {}
        self._late: dict[NodeId, float] = {}

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"lists": self._reads, "lists in line": self._waiting, "who lists": self._of}

    def begin(self, step: StepBuilder, pending: PendingRequest, request: ListRequest) -> None:
        """Queue a request, together with all that ask the same."""
        if not self._node.may_count:
            self._requests.fail(step, pending, *refusal(self._node))
            return
        question = question_of(request, self._read_rights.within(step, pending, request.prefix))
        if question.within is not None and window(question.after, question.within) is None:
            self._requests.answer(step, pending, ListPage(request.id, (), None))
            return
        self._join(pending, question)
        self._begin_next(step)

    def _join(self, pending: PendingRequest, question: Question) -> None:
        read = self._waiting.setdefault(question, ListRead(question))
        read.requests[pending] = None
        self._of[pending] = read
        self._line.add(_caller(pending), pending)

    def on_policy(self, step: StepBuilder) -> None:
        """S18: begin the pages again whose callers may read something else now."""
        for pending, read in list(self._of.items()):
            request = pending.request
            if not isinstance(request, ListRequest) or pending.done:
                continue
            if self._read_rights.within(step, pending, request.prefix) != read.question.within:
                self.leave(step, pending)
                self.begin(step, pending, request)

    def leave(self, step: StepBuilder, pending: PendingRequest) -> None:
        """Remove a request, and cancel its page if no other request waits for it."""
        read = self._of.pop(pending, None)
        if read is None:
            return
        self._line.discard(_caller(pending), pending)
        del read.requests[pending]
        if read.requests:
            return
        if read.token:
            self._end(step, read)
        else:
            del self._waiting[read.question]

    def prune(self, step: StepBuilder) -> None:
        """Remove the requests that are done."""
        for pending in [pending for pending in self._of if pending.done]:
            self.leave(step, pending)

    # -- asking

    def _begin_next(self, step: StepBuilder) -> None:
        """Begin the next pages in the queue, as far as the limits allow."""
        while self._line and self._asking < MAX_ASKING and len(self._reads) < MAX_BEGUN:
            self._begin(step, self._of[self._line.take()])

    def _begin(self, step: StepBuilder, read: ListRead) -> None:
        del self._waiting[read.question]
        for pending in read.requests:
            self._line.discard(_caller(pending), pending)
        read.token = self._node.tokens.ask(self)
        read.epoch = self._node.epoch.number
        read.counts_own = self._node.vote_epoch == read.epoch
        self._reads[read.token] = read
        found = window(read.question.after, read.question.within)
        assert found is not None, "there is something to read"
        read.window = found
        take, fail = partial(self._on_chunk, read), partial(self._on_unreadable, read)
        wanted, dispute = partial(self._is_wanted, read), partial(self._on_disputed, read)
        place = (read.question.prefix, found.after, found.until or "")
        scan = DiskScan(*place, wanted, take, dispute, fail, found.within)
        self._scans.add(step, scan)

    @property
    def _asking(self) -> int:
        return sum(not read.merged for read in self._reads.values())

    def _is_wanted(self, read: ListRead, step: StepBuilder) -> bool:
        return read.token in self._reads

    def _on_chunk(self, read: ListRead, step: StepBuilder, page: ScanPage) -> bool:
        """Add a chunk of this node's disk; ask peers when the page is full or the prefix is read."""
        complete = read.add(page.instances) and page.complete
        if not complete and not read.full:
            return True
        end = None if complete else read.rows[-1][0]
        read.answers[self._node.name] = answer_of(read.token, read.rows, end)
        self._ask_first(step, read, complete=complete)
        return False

    def _on_unreadable(self, read: ListRead, step: StepBuilder, message: str) -> None:
        """Ask the peers alone, since the disk has a damaged record, if they can make a quorum."""
        if len(self._node.others) < self._node.quorums.prepare:
            self._drop(step, read, DamagedError, message)
            return
        read.rows = []
        self._ask_first(step, read, complete=True)

    def _on_disputed(self, read: ListRead, step: StepBuilder, key: str) -> None:
        self._drop(step, read, Disputed, dispute_message(Key(key)))

    def _ask_first(self, step: StepBuilder, read: ListRead, *, complete: bool) -> None:
        sizes = (self.span_rows, read.window.until)
        read.spans = spans_of(read.rows, *sizes, complete=complete)
        read.rows = []
        self._ask_enough(step, read)
        self._merge_if_enough(step, read)
        if not read.merged:
            step.ask_again(read.token, self._timeout_ms(read))

    def _ask_enough(self, step: StepBuilder, read: ListRead) -> None:
        """Ask as many peers as a quorum needs, or all if too few of them are reachable."""
        late = {node for node, until_ms in self._late.items() if step.now_ms < until_ms}
        sound = self._node.reachable - late
        expected = read.answers.keys() | (read.asked & sound)
        lacking = self._node.quorums.prepare - len(self._voters(read, expected))
        if lacking <= 0:
            return
        others = [node for node in self._in_turn(read) if node not in expected]
        chosen = [node for node in others if node in sound][:lacking]
        self._ask(step, read, chosen if len(chosen) == lacking else others)

    def _in_turn(self, read: ListRead) -> list[NodeId]:
        """The other nodes, in an order that begins at another node for each page."""
        others = list(self._node.others)
        first = read.token % max(1, len(others))
        return others[first:] + others[:first]

    def _ask(self, step: StepBuilder, read: ListRead, nodes: list[NodeId]) -> None:
        question, asked = read.question, read.window
        left_ms = min(max(1, int(read.deadline_ms - step.now_ms)), MAX_TIMEOUT_MS)
        place = (question.prefix, asked.after, question.limit)
        scan = Scan(read.token, left_ms, *place, read.spans, asked.within)
        step.broadcast(nodes, self._node.asking(scan))
        read.asked.update(nodes)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Ask again all nodes that have not answered (R02), and note the late ones."""
        read = self._reads.get(timer.token)
        if read is None or read.merged:
            return
        self._late.update(dict.fromkeys(read.unanswered(), step.now_ms + LATE_MS))
        read.tries += 1
        self._ask(step, read, [node for node in self._node.others if node not in read.answers])
        step.ask_again(read.token, self._timeout_ms(read))

    def on_epoch(self, step: StepBuilder) -> None:
        """M12: begin all pages again for which not enough nodes have answered."""
        for read in [read for read in self._reads.values() if not read.merged]:
            requests = list(read.requests)
            self._end(step, read)
            for pending in requests:
                if isinstance(pending.request, ListRequest) and not pending.done:
                    self.begin(step, pending, pending.request)

    def on_reachable(self, step: StepBuilder) -> None:
        """Ask further nodes if a change of reachability makes that necessary."""
        for read in self._reads.values():
            if read.spans and not read.merged:
                self._ask_enough(step, read)

    def _timeout_ms(self, read: ListRead) -> float:
        """How long peers may take: longer with more pages that ask, and doubled after each try."""
        usual_ms = self._node.config.timing.resend_ms * (TIMEOUT_FACTOR + self._asking)
        return usual_ms * 2.0 ** min(read.tries, MOST_DOUBLINGS)

    # -- answers

    def on_answer(self, step: StepBuilder, sender: NodeId, answer: ScanAnswer) -> None:
        """Count an answer; with a prepare quorum, make the page."""
        self._late.pop(sender, None)
        read = self._reads.get(answer.id)
        if read is not None and not read.merged and read.moves_on(answer):
            read.answers[sender] = answer
            self._merge_if_enough(step, read)

    def _merge_if_enough(self, step: StepBuilder, read: ListRead) -> None:
        if read.epoch != self._node.epoch.number:
            return  # the page is begun again in the epoch that is known now (M12)
        if not self._node.quorums.prepared(self._voters(read, read.answers.keys())):
            return
        self._call_off(step, read)
        contradiction = read.merge()
        if contradiction is not None:
            self._on_disagreement(step, read, *contradiction)
            return
        for key in sorted(read.unsettled, key=sort_key):
            step.again(Finish(key, read.token))
        self._end_if_settled(step, read)
        self._begin_next(step)

    def _voters(self, read: ListRead, answered: Collection[NodeId]) -> set[NodeId]:
        """M12: those of these nodes that make a quorum for a page.

        This node always adds what it knows, since voters leave out what it has learned as well. It is
        one of the quorum only if it voted when the page began: one that has sealed, and is not ready,
        may lack what was decided. So may one whose disk failed after a change of members: what it has
        taken over may not be on the disk.
        """
        voters = set(self._node.nodes).intersection(answered)
        is_sound = not self._node.failed or not read.epoch
        return voters if read.counts_own and is_sound else voters - {self._node.name}

    def _on_disagreement(
        self, step: StepBuilder, read: ListRead, one: Decree, other: Decree
    ) -> None:
        """Learn both decrees of a disagreement, so that the key is disputed here too, and fail."""
        for decree in (one, other):
            step.again(FromPeer(self._node.name, Commit(decree.key, decree)))
        self._drop(step, read, Disputed, dispute_message(one.key))

    # -- keys in doubt

    def finish(self, step: StepBuilder, event: Finish) -> None:
        """Finish one key of a page, whose instance is loaded.

        Each request of the page follows the attempt, so one that leaves takes nothing from the others.
        """
        read = self._reads.get(event.token or 0)
        if read is None:
            return

        def then(step: StepBuilder, found: Found) -> None:
            self._settled(step, read.token, event.key, found)

        for pending in list(read.requests):
            self._coordinator.follow(step, event.key, pending, then)

    def leave_out(self, step: StepBuilder, event: Finish) -> None:
        """Make the page without a key that is forgotten here."""
        self._settled(step, event.token or 0, event.key, None)

    def settle(self, step: StepBuilder, event: Finish, decree: Decree) -> None:
        """Add the decree of a key that was learned here meanwhile."""
        self._settled(step, event.token or 0, event.key, decree)

    def give_up(
        self, step: StepBuilder, token: int, error: type[DecreedError], message: str
    ) -> None:
        """Fail the page, since one of its keys cannot be finished and must not be left out."""
        read = self._reads.get(token)
        if read is not None:
            self._drop(step, read, error, message)

    def _settled(self, step: StepBuilder, token: int, key: Key, found: Found) -> None:
        read = self._reads.get(token)
        if read is not None and key in read.unsettled:
            read.unsettled.discard(key)
            if isinstance(found, Decree):
                read.decrees[key] = found
            self._end_if_settled(step, read)

    # -- ends

    def _end_if_settled(self, step: StepBuilder, read: ListRead) -> None:
        if read.unsettled:
            return
        decrees, next_after = read.page()
        requests = list(read.requests)
        self._end(step, read)
        if read.ends_early and not decrees:
            self._go_on(step, read, requests)
            return
        packed = pack_decrees(decrees) if any(map(_is_whole, requests)) else b""
        for pending in requests:
            id = pending.request.id
            whole = PackedPage(id, packed, next_after)
            page = whole if _is_whole(pending) else ListPage(id, decrees, next_after)
            self._requests.answer(step, pending, page)

    def _go_on(self, step: StepBuilder, read: ListRead, requests: list[PendingRequest]) -> None:
        """Read the next window, since there is nothing in this one that a next page could follow."""
        assert read.window.until is not None, "more can be read"
        question = read.question._replace(after=read.window.until)
        for pending in requests:
            if not pending.done:
                self._join(pending, question)
        self._begin_next(step)

    def _drop(
        self, step: StepBuilder, read: ListRead, error: type[DecreedError], message: str
    ) -> None:
        requests = list(read.requests)
        self._end(step, read)
        for pending in requests:
            self._requests.fail(step, pending, error, message)

    def _end(self, step: StepBuilder, read: ListRead) -> None:
        """Drop a page, and begin the next ones."""
        if not read.merged:
            self._call_off(step, read)
        del self._reads[read.token]
        self._node.tokens.close(read.token)
        for pending in read.requests:
            del self._of[pending]
        self._begin_next(step)

    def _call_off(self, step: StepBuilder, read: ListRead) -> None:
        """Cancel the page at the nodes that were asked and have not answered."""
        for node in read.unanswered():
            step.at_once(Send(node, CancelScan(read.token)))


def _is_whole(pending: PendingRequest) -> bool:
    return isinstance(pending.request, ListRequest) and pending.request.whole


def _caller(pending: PendingRequest) -> Hashable:
    """Who has a turn: an identity over all its connections; the anonymous have one for each."""
    return pending.identity if pending.identity.name else pending.origin
