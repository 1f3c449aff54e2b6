"""Taking over: what earlier voters hold, asked for and shown, until this node is ready. M06 to M09.

A node that has sealed asks the voters of the epoch before, and those of the new one, for their state:
what they have accepted and not learned. It adopts that, and reads their feeds, which have all that they
have learned. `paxos.epochs.Gathering` says when that is enough.

Invariants kept here:

* a page leaves after everything that was written before it was composed is durable (M06): what it
  leaves out, because it is learned, stays learned, and its position in the feed stays;
* nothing is shown or taken for an epoch other than the one that both nodes know.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from ...paxos.epochs import Gathering
from ...paxos.instance import Instance
from ...types import Key, NodeId, Proposal
from ...unserved import Unserved, WithheldInstance, is_unreadable
from ...wire.peers import MAX_STATE, AskState, StatePage
from ..step.effects import Send
from ..step.events import FromPeer, ResendRead, TakenOver
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from .seating import Seating
from .state_question import ReadsFeeds, StateQuestion
from .withholding import Withholding

PAGE_BYTES = 256 * 1024
"""The bytes of values that fill a page; a longer value travels alone."""


class Holdings(Protocol):
    """What this node has accepted and not learned."""

    def unlearned_after(self, after: Key | None, limit: int) -> list[Key]:
        """The first keys in doubt after a key, in key order."""
        ...

    def adopt(self, step: StepBuilder, proposal: Proposal) -> bool:
        """Hold a proposal that another node has shown, if its ballot is the highest (M07).

        Returns:
            False if the record of its key is damaged here.
        """
        ...


class Feeds(ReadsFeeds, Protocol):
    """How far the feeds of peers have been read."""

    def cursor(self, peer: NodeId) -> int:
        """Up to where a peer's feed has been read, and all of it is learned, forgotten or withheld."""
        ...

    def read_end(self, peer: NodeId) -> int:
        """Up to where a peer's feed has been read, except for `passed_over`."""
        ...

    def passed_over(self) -> frozenset[Key]:
        """The keys of feeds that are not learned, since their records cannot be read here."""
        ...


class TakingOver:
    """The state that this node gathers, and that it shows to others.

    Args:
        node: who we are.
        seating: becomes ready.
        feeds: reads the feeds of the sources.
        withholding: keeps silent about what no source could show.
    """

    def __init__(
        self, node: Node, seating: Seating, feeds: Feeds, withholding: Withholding
    ) -> None:
        self._node = node
        self._seating = seating
        self._feeds = feeds
        self._withholding = withholding
        self._holdings: Holdings | None = None
        self._question = StateQuestion(node, feeds, self)
        self._unheld: set[Key] = set()

    @property
    def token(self) -> int:
        """Of the latest question; the pages that answer it name it."""
        return self._question.token

    def tell(self, holdings: Holdings) -> None:
        """Register what the node has accepted, after it exists."""
        self._holdings = holdings

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"taking over": self._question.sources}

    # -- as the node that becomes ready

    def begin(self, step: StepBuilder) -> None:
        """Ask for the state of the epoch before, if this node has not taken it over yet."""
        node = self._node
        self._question.end()
        if node.before is None or node.seat.ready == node.seat.known or node.failed:
            return
        if not node.formed:
            return  # M19: it does not know yet how its formation was restored
        if not (node.is_voter(node.epoch) or node.is_voter(node.before)):
            return
        self._unheld.clear()
        self._question.begin(self._question.with_own(Gathering(node.before)))
        self._ask_all(step)
        self._end_if_ready(step)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Ask again for the pages that have not come (R02).

        If the feeds of others cannot be read, one source that has become ready meanwhile is enough
        (M09), so those that are taken are asked again whether they are.
        """
        gathering = self._question.gathering
        if timer.token == self.token and gathering is not None:
            for node in gathering.not_whole(self._cursors(gathering)):
                self._question.ask_from_start(step, node)
            self._ask_all(step)

    def on_reachable(self, step: StepBuilder, peer: NodeId) -> None:
        """Ask a node that may have missed the question."""
        if peer in self._question.missing():
            self._question.ask(step, peer)

    def needs(self, message: StatePage) -> Iterable[Key]:
        """The keys of a page."""
        return [proposal.decree.key for proposal in message.proposals]

    def on_page(self, step: StepBuilder, sender: NodeId, message: StatePage) -> None:
        """M07, M08: adopt what a source shows, and read its feed as far as its last page says."""
        before = self._question.gathering
        if before is None or not self._question.take(sender, message):
            return  # late or repeated
        # a first page that was taken begins a series, perhaps in the place of one that was not whole
        if message.after in (None, before.awaited(sender, message.incarnation)):
            self._adopt(step, message)
        self._question.follow(step, sender, message)
        self._end_if_ready(step)

    def on_read(self, step: StepBuilder, peer: NodeId, gap_end: int | None) -> None:
        """A page of a peer's feed is complete; after a gap, `gap_end` is where the feed ended."""
        if self._question.on_read(step, peer, gap_end):
            self._end_if_ready(step)

    def on_replaced(self, step: StepBuilder, peer: NodeId) -> None:
        """Another disk has this name now: only answers to a new question count."""
        if self._question.on_replaced(peer):
            step.ask_again(self.token, self._node.config.timing.resend_ms)

    def on_taken_over(self, step: StepBuilder, event: TakenOver) -> None:
        """M18: be ready, and silent about what no source could show; its instances are loaded."""
        self._end_if_ready(step, loaded=True)

    def _ask_all(self, step: StepBuilder) -> None:
        self._question.ask_missing(step)
        step.ask_again(self.token, self._node.config.timing.resend_ms)

    def _adopt(self, step: StepBuilder, message: StatePage) -> None:
        assert self._holdings is not None, "all parts exist"
        for proposal in message.proposals:
            if not self._holdings.adopt(step, proposal):
                self._unheld.add(proposal.decree.key)

    def _withheld(self, gathering: Gathering) -> frozenset[Key]:
        """M18: what no source could show, and what could not be adopted, as its record is damaged here.

        Such a record may be read again later, and must not pass for the state of this node then. If
        nothing was shown for it, it may: then it is what this node has to show itself. So it is with a
        key that a feed has and that could not be learned: a value is chosen there.
        """
        named = gathering.withheld(self._cursors(gathering))
        return named | self._unheld | self._feeds.passed_over()

    def _end_if_ready(self, step: StepBuilder, *, loaded: bool = False) -> None:
        gathering = self._question.gathering
        if gathering is None or self._node.failed:
            return
        if not gathering.is_ready(self._cursors(gathering)):
            return
        withheld = self._withheld(gathering)
        if withheld and not (loaded and withheld.issubset(step.instances)):
            step.again(TakenOver(tuple(sorted(withheld))))  # in the next step, with their instances
            return
        self._withholding.withhold(step, withheld)
        self._question.end()
        self._seating.become_ready(step)

    def _cursors(self, gathering: Gathering) -> Mapping[NodeId, int]:
        return {node: self._feeds.read_end(node) for node, _ in gathering.sources}

    # -- as a source

    def asked_for(self, message: AskState) -> Iterable[Key]:
        """The keys that a page for this question may have."""
        assert self._holdings is not None, "all parts exist"
        return self._holdings.unlearned_after(message.after, MAX_STATE + 1)

    def on_asked(self, step: StepBuilder, sender: NodeId, message: AskState) -> None:
        """M06: show what this node has accepted and not learned, if it counts as a source."""
        node, epoch = self._node, message.epoch
        if epoch != node.seat.known or node.before is None:
            self._seating.answer(step, sender, epoch)
            return
        whole = node.seat.ready == epoch
        is_source = node.is_voter(node.before)
        if node.failed or not (whole or is_source):
            return
        keys = list(self.asked_for(message))
        if not step.instances.keys() >= set(keys):
            step.again(FromPeer(sender, message))  # in the next step, with their instances
            return
        page = self._compose(step, message, keys, whole=whole)
        step.after(Send(sender, page))

    def _compose(
        self, step: StepBuilder, message: AskState, keys: list[Key], *, whole: bool
    ) -> StatePage:
        shown: list[Proposal] = []
        unreadable: list[Key] = []
        withheld: list[Key] = []
        last, size = message.after, 0
        for key in keys[:MAX_STATE]:
            instance = self._own_state(step.instances[key])
            proposal = _shown(instance)
            if shown and proposal is not None and size + len(proposal.decree.value) > PAGE_BYTES:
                break
            last = key
            if proposal is not None:
                shown.append(proposal)
                size += len(proposal.decree.value)
            if instance is not step.instances[key]:
                withheld.append(key)
            elif isinstance(instance, WithheldInstance) or is_unreadable(instance):
                unreadable.append(key)
        return StatePage(
            message.id,
            message.epoch,
            message.after,
            self._node.identity.incarnation,
            whole,
            tuple(shown),
            tuple(unreadable),
            last if keys and last != keys[-1] else None,
            self._node.feed_end,
            tuple(withheld),
        )

    def _own_state(self, instance: Instance | Unserved) -> Instance | Unserved:
        """M18: what this node shows for a key that it withholds: what it holds itself, if that counts.

        It counts if it was withheld in taking over the present epoch: the silence has kept it as it was
        when this node sealed the epoch before.
        """
        node = self._node
        if not isinstance(instance, WithheldInstance) or instance.held is None:
            return instance
        is_source = node.before is not None and node.is_voter(node.before)
        return instance.held if is_source and instance.epoch == node.seat.known else instance


def _shown(instance: Instance | Unserved) -> Proposal | None:
    if isinstance(instance, Unserved) or instance.disputed is not None:
        return None
    return instance.accepted
