"""Listing a prefix: the union over a prepare quorum, with half-done keys finished (design 6).

A page holds every decree under the prefix whose claim was answered before the page was asked for: an
accept quorum holds such a claim, and every prepare quorum has one of those. It is not a snapshot of
one instant. Terms of locks that some of the nodes have forgotten may be missing from it.
"""

from collections.abc import Iterable

from msgspec import Struct

from ..disk import ScanPage
from ..errors import Damaged as DamagedError
from ..errors import DecreedError, Disputed
from ..keys import sort_key
from ..paxos.messages import Commit
from ..types import Decree, Key, NodeId
from ..wire.peers import Scan, ScanAnswer
from ..wire.requests import ListPage, ListRequest
from .attempts import Found
from .coordinator import Coordinator
from .effects import ReadScan, Send
from .events import Finish, FromPeer, ResendRead, ScanDone
from .node import Node
from .reads import dispute_message
from .requests import Live, Requests
from .turn import Turn

PAGE_BYTES = 1024 * 1024


class ListRead(Struct, eq=False):
    """One page in the making.

    Attributes:
        live: the request behind it.
        request: the same, as a list request.
        answers: what each node has said.
        decrees: the union of what is learned.
        unsettled: keys that somebody accepted a proposal for, being finished.
        horizon: no node's answer reaches behind this key; None if all are complete.
        merged: whether a quorum has answered.
    """

    live: Live
    request: ListRequest
    answers: dict[NodeId, ScanAnswer] = {}
    decrees: dict[Key, Decree] = {}
    unsettled: set[Key] = set()
    horizon: Key | None = None
    merged: bool = False


class Lists:
    """All lists of a node, and the scans that it makes for its peers.

    Args:
        node: who we are.
        requests: where answers go.
        coordinator: finishes what is half-done.
    """

    def __init__(self, node: Node, requests: Requests, coordinator: Coordinator) -> None:
        self._node = node
        self._requests = requests
        self._coordinator = coordinator
        self._lists: dict[int, ListRead] = {}
        self._served: dict[int, tuple[NodeId, int]] = {}

    def begin(self, turn: Turn, live: Live, request: ListRequest) -> None:
        """Ask everybody, this node's disk included."""
        token = self._node.token()
        self._lists[token] = ListRead(live, request)
        turn.read(ReadScan(token, request.prefix, request.after, request.limit, PAGE_BYTES))
        self._ask(turn, token, self._lists[token])

    def serve(self, turn: Turn, sender: NodeId, scan: Scan) -> None:
        """Scan for a peer that lists; a node that may not vote keeps silent."""
        if self._node.voting:
            token = self._node.token()
            self._served[token] = (sender, scan.id)
            turn.read(ReadScan(token, scan.prefix, scan.after, scan.limit, PAGE_BYTES))

    def on_scan(self, turn: Turn, done: ScanDone) -> None:
        """The disk has been scanned, for a list of ours or for a peer."""
        for key, instance in done.page.instances:
            if instance.disputed is not None:
                self._on_disputed(turn, done.token, key)
                return
        if done.token in self._served:
            sender, scan_id = self._served.pop(done.token)
            turn.at_once(Send(sender, _scan_answer(scan_id, done.page)))
        else:
            self.on_answer(turn, self._node.name, _scan_answer(done.token, done.page))

    def on_scan_failed(self, turn: Turn, token: int, message: str) -> None:
        """The disk has a damaged record: other nodes may still make a quorum."""
        self._served.pop(token, None)
        read = self._lists.get(token)
        if read is not None and len(self._node.others) < self._node.config.quorums.prepare:
            self._drop(turn, token, read, DamagedError, message)

    def on_answer(self, turn: Turn, sender: NodeId, answer: ScanAnswer) -> None:
        """One more node has answered; with a prepare quorum, the page can be made."""
        read = self._lists.get(answer.id)
        if read is None or read.merged or _says_nothing(answer):
            return
        if read.live.done:
            del self._lists[answer.id]
            return
        read.answers[sender] = answer
        if self._node.config.quorums.prepared(read.answers.keys()):
            self._merge(turn, answer.id, read)

    def leave_out(self, turn: Turn, event: Finish) -> None:
        """The key to be finished is forgotten here: the page goes without it."""
        self._settled(turn, event.token or 0, event.key, None)

    def finish(self, turn: Turn, event: Finish) -> None:
        """Finish one key of a list, now that its instance is loaded."""
        read = self._lists.get(event.token or 0)
        if read is None or read.live.done:
            return
        token = event.token or 0

        def then(turn: Turn, found: Found) -> None:
            self._settled(turn, token, event.key, found)

        self._coordinator.follow(turn, event.key, read.live, then)

    def give_up(self, turn: Turn, token: int, error: type[DecreedError], message: str) -> None:
        """A key of a list cannot be finished here: the list fails, rather than leave it out."""
        read = self._lists.get(token)
        if read is not None:
            self._drop(turn, token, read, error, message)

    def settle(self, turn: Turn, event: Finish, decree: Decree) -> None:
        """The key to be finished turned out to be learned here."""
        self._settled(turn, event.token or 0, event.key, decree)

    def on_resend(self, turn: Turn, timer: ResendRead) -> None:
        """Ask again whoever has not answered (R02)."""
        read = self._lists.get(timer.token)
        if read is None or read.merged:
            return
        if read.live.done:
            del self._lists[timer.token]
            return
        self._ask(turn, timer.token, read)

    def prune(self) -> None:
        """Forget lists that nobody waits for any more."""
        for token in [t for t, read in self._lists.items() if read.live.done]:
            del self._lists[token]

    def _on_disputed(self, turn: Turn, token: int, key: Key) -> None:
        self._served.pop(token, None)
        read = self._lists.get(token)
        if read is not None:
            self._drop(turn, token, read, Disputed, dispute_message(key))

    def _ask(self, turn: Turn, token: int, read: ListRead) -> None:
        request = read.request
        missing = [node for node in self._node.others if node not in read.answers]
        turn.broadcast(missing, Scan(token, request.prefix, request.after, request.limit))
        delay_ms = self._node.config.timing.resend_ms
        turn.ask_again(token, 4 * delay_ms)

    def _merge(self, turn: Turn, token: int, read: ListRead) -> None:
        read.merged = True
        read.horizon = _horizon(read.answers.values())
        unlearned: set[Key] = set()
        for answer in read.answers.values():
            unlearned.update(key for key in answer.unlearned if _within(key, read.horizon))
            for decree in answer.learned:
                if not _within(decree.key, read.horizon):
                    continue
                if read.decrees.setdefault(decree.key, decree) != decree:
                    self._on_disagreement(turn, read.decrees[decree.key], decree)
                    self._drop(turn, token, read, Disputed, dispute_message(decree.key))
                    return
        read.unsettled = unlearned - read.decrees.keys()
        for key in sorted(read.unsettled, key=sort_key):
            turn.again(Finish(key, token))
        self._end_if_settled(turn, token, read)

    def _on_disagreement(self, turn: Turn, one: Decree, other: Decree) -> None:
        """Two nodes know different decrees: learn both, so that the key is disputed here too."""
        for decree in (one, other):
            turn.again(FromPeer(self._node.name, Commit(decree.key, decree)))

    def _settled(self, turn: Turn, token: int, key: Key, found: Found) -> None:
        read = self._lists.get(token)
        if read is None:
            return
        read.unsettled.discard(key)
        if isinstance(found, Decree):
            read.decrees[key] = found
        self._end_if_settled(turn, token, read)

    def _end_if_settled(self, turn: Turn, token: int, read: ListRead) -> None:
        if read.unsettled:
            return
        del self._lists[token]
        keys = sorted(read.decrees, key=sort_key)
        page = _cut([read.decrees[key] for key in keys], read.request.limit)
        next_after: str | None = read.horizon
        if len(page) < len(keys):
            next_after = page[-1].key
        self._requests.answer(turn, read.live, ListPage(read.request.id, page, next_after))

    def _drop(
        self,
        turn: Turn,
        token: int,
        read: ListRead,
        error: type[DecreedError],
        message: str,
    ) -> None:
        del self._lists[token]
        self._requests.fail(turn, read.live, error, message)


def _says_nothing(answer: ScanAnswer) -> bool:
    return not (answer.complete or answer.learned or answer.unlearned)


def _scan_answer(scan_id: int, page: ScanPage) -> ScanAnswer:
    """What a scan found, as the message to whoever lists."""
    learned = [i.learned for _, i in page.instances if i.learned is not None]
    unlearned = [key for key, i in page.instances if i.learned is None]
    return ScanAnswer(scan_id, tuple(learned), tuple(unlearned), page.complete)


def _horizon(answers: Iterable[ScanAnswer]) -> Key | None:
    """The last key up to which every answer speaks; None if all reach the end."""
    ends = [_last(answer) for answer in answers if not answer.complete]
    return min(ends, key=sort_key, default=None)


def _last(answer: ScanAnswer) -> Key:
    keys = [*(decree.key for decree in answer.learned), *answer.unlearned]
    return max(keys, key=sort_key)


def _within(key: Key, horizon: Key | None) -> bool:
    return horizon is None or sort_key(key) <= sort_key(horizon)


def _cut(decrees: list[Decree], limit: int) -> tuple[Decree, ...]:
    """As many decrees as a page holds: at least one, up to `limit` and about `PAGE_BYTES`."""
    room = PAGE_BYTES
    for count, decree in enumerate(decrees[:limit]):
        if count and len(decree.value) > room:
            return tuple(decrees[:count])
        room -= len(decree.value) + 512
    return tuple(decrees[:limit])
