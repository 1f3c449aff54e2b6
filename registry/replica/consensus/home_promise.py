"""The home promise: the class promises that this node asks for as a home, and relies on (design 5).

`paxos/class_promise.py` says why it is safe. This module keeps which acceptors have promised and which
promises are not counted yet, and decides which keys may rely on the home promise.

Invariants kept here: a promise counts only after this node has read the sender's feed to the length
that the promise names (R12, R16); a class promise is sent only after it is durable (R13).

After a change of members it is enough to have read what the sender learned since it became ready (M17).
What was chosen in earlier epochs this node holds, as it has taken over itself. What was chosen in this
epoch needed an accept quorum, which shares a voter with those whose promises count. That voter learned
it after it voted, so after it became ready.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from ...keys import RESERVED, home, slot_before
from ...locks.terms import TERMS
from ...paxos import class_promise
from ...paxos.instance import Instance
from ...paxos.messages import PrepareClass, PromiseClass
from ...paxos.proposer import Prepared
from ...types import Key, NodeId
from ..step.effects import Send
from ..step.node import Node
from ..step.step_builder import StepBuilder
from .acceptor import Acceptors
from .messages import OtherEpoch


class PeerFeeds(Protocol):
    """How far the feeds of peers are read."""

    def has_read_since_base(self, peer: NodeId, end: int) -> bool:
        """Whether a peer's feed is read up to `end`, from its base on at least (M17)."""
        ...

    def read_from_base(self, step: StepBuilder, peer: NodeId, base: int, end: int) -> None:
        """Read a peer's feed from its base up to `end`, before anything else of it."""
        ...

    def on_epoch(self, step: StepBuilder) -> None:
        """Forget all bases, which were of an epoch that is over, and who is no source any more."""
        ...


class HomePromise:
    """The class promises to this incarnation of a node, for all keys that it is home to.

    Args:
        node: who we are.
        acceptors: the node's own acceptor, which is asked like any other.
        feeds: reads the feeds of those who promise.
        base_of: the base of a peer in the epoch that this node knows; None if it has told none.
        other_epoch: answers who asks in another epoch than ours.

    Attributes:
        uncounted: the promises whose sender's feed is not read far enough yet.
    """

    def __init__(
        self,
        node: Node,
        acceptors: Acceptors,
        feeds: PeerFeeds,
        base_of: Callable[[NodeId], int | None],
        other_epoch: OtherEpoch,
    ) -> None:
        self._node = node
        self._acceptors = acceptors
        self._feeds = feeds
        self._base_of = base_of
        self._other_epoch = other_epoch
        self._told: dict[NodeId, PromiseClass] = {}
        self.uncounted: dict[NodeId, PromiseClass] = {}
        self._state: class_promise.AskingClass | class_promise.GrantedClass
        self._enter()

    @property
    def granted(self) -> bool:
        """Whether new keys need phase 2 alone."""
        return isinstance(self._state, class_promise.GrantedClass)

    @property
    def unlearned(self) -> frozenset[Key]:
        """The keys that need both phases, since an acceptor reported them as in doubt."""
        return self._state.unlearned

    @property
    def told(self) -> Mapping[NodeId, PromiseClass]:
        """All promises that this incarnation has received, counted or not."""
        return self._told

    def _enter(self) -> None:
        """M14: class promises are for one epoch. Those of an earlier one count no more."""
        node = self._node
        self._digest = node.config.class_digest(node.epoch)
        self._state = class_promise.ask(node.process, node.epoch.number)

    # -- as the home

    def on_epoch(self, step: StepBuilder) -> None:
        """Begin again in the epoch that the node knows now."""
        self._told.clear()
        self.uncounted.clear()
        self._feeds.on_epoch(step)
        self._enter()

    def sweep(self, step: StepBuilder) -> None:
        """Ask all acceptors that have not promised yet: a message may have been lost (R02)."""
        self.ask(step, self._node.name, *self._node.others)

    def ask(self, step: StepBuilder, *nodes: NodeId) -> None:
        """Ask these acceptors, except those that have promised."""
        for node in nodes if self._node.voting else ():
            if node not in self._told:
                step.at_once(Send(node, PrepareClass(self._state.ballot, self._digest)))

    def on_promise(self, step: StepBuilder, sender: NodeId, message: PromiseClass) -> None:
        """Keep a promise, to be counted once all that its sender has learned is learned here."""
        if message.ballot == self._state.ballot:
            told = self.uncounted[sender] = self._told.setdefault(sender, message)
            base = self._base_of(sender)
            if base is not None:
                self._feeds.read_from_base(step, sender, base, told.feed_end)

    def count(self, step: StepBuilder) -> None:
        """Count the promises whose senders' feeds have been read far enough."""
        for sender, message in list(self.uncounted.items()):
            if self._has_read(sender, message.feed_end):
                del self.uncounted[sender]
                self._state = class_promise.on_promise(
                    self._state, sender, frozenset(message.unlearned), self._node.quorums
                )

    def prepared(self, step: StepBuilder, key: Key, own: Instance) -> Prepared | None:
        """Phase 1 for `key` by the home promise; None if the key needs both phases.

        Args:
            step: the step.
            key: the key to propose for.
            own: what this node holds for it.
        """
        name = self._node.name
        if name not in self._state.promises or home(key, self._node.nodes) != name:
            return None
        if key[0] == RESERVED and not self._is_new_term(step, key):
            return None
        return class_promise.prepared(self._state, key, own)

    def _has_read(self, sender: NodeId, feed_end: int) -> bool:
        return sender == self._node.name or self._feeds.has_read_since_base(sender, feed_end)

    def _is_new_term(self, step: StepBuilder, term: Key) -> bool:
        """Whether no earlier incarnation of ours can have proposed a term that others have forgotten.

        Only a node that has learned the previous term proposes a term. If this incarnation was the
        first to propose the previous term, in this epoch, no earlier incarnation has proposed this
        one, and nobody in an earlier epoch (M14). A change of members is no term, and takes both
        phases (M03).
        """
        if not term.startswith(TERMS):
            return False
        before = slot_before(term)
        instance = step.instances[before] if before and before in step.instances else None
        learned = instance.learned if isinstance(instance, Instance) else None
        if learned is None or learned.ballot.process != self._node.process:
            return False
        return learned.ballot.epoch == self._node.epoch.number

    # -- as an acceptor

    def on_prepare_class(self, step: StepBuilder, sender: NodeId, message: PrepareClass) -> None:
        """Answer a home with our class promise, after that is durable (R13)."""
        ballot = message.ballot
        if ballot.epoch != self._node.epoch.number:
            self._other_epoch(step, sender, ballot.epoch)
            return
        if not ballot.is_of_home or ballot.process.node != sender or message.digest != self._digest:
            step.alarm(f"node {sender} asks for a class promise that is not its to ask for")
            return
        promise = self._acceptors.promise_class(step, message, self._node.feed_end)
        if promise is not None:
            step.after(Send(sender, promise))
