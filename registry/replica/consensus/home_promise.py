"""The home promise: the class promises that this node asks for as a home, and relies on (design 5).

`paxos/class_promise.py` says why it is safe. This module keeps which acceptors have promised and which
promises are not counted yet, and decides which keys may rely on the home promise.

Invariants kept here: a promise counts only after this node has read the sender's feed to the length
that the promise names (R12, R16); a class promise is sent only after it is durable (R13).
"""

from collections.abc import Callable, Mapping

from ...keys import home, slot_before
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


class HomePromise:
    """The class promises to this incarnation of a node, for all keys that it is home to.

    Args:
        node: who we are.
        acceptors: the node's own acceptor, which is asked like any other.
        cursor: up to where a peer's feed has been read.

    Attributes:
        uncounted: the promises whose sender's feed is not read far enough yet.
    """

    def __init__(self, node: Node, acceptors: Acceptors, cursor: Callable[[NodeId], int]) -> None:
        self._node = node
        self._acceptors = acceptors
        self._cursor = cursor
        self._digest = node.config.class_digest()
        self._state: class_promise.AskingClass | class_promise.GrantedClass = class_promise.ask(
            node.process
        )
        self._told: dict[NodeId, PromiseClass] = {}
        self.uncounted: dict[NodeId, PromiseClass] = {}

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

    # -- as the home

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
            self.uncounted[sender] = self._told.setdefault(sender, message)

    def count(self, step: StepBuilder) -> None:
        """Count the promises whose senders' feeds have been read far enough."""
        for sender, message in list(self.uncounted.items()):
            if self._has_read(sender, message.feed_end):
                del self.uncounted[sender]
                self._state = class_promise.on_promise(
                    self._state, sender, frozenset(message.unlearned), self._node.config.quorums
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
        if key.startswith(TERMS) and not self._is_new(step, key):
            return None
        return class_promise.prepared(self._state, key, own)

    def _has_read(self, sender: NodeId, feed_end: int) -> bool:
        return sender == self._node.name or self._cursor(sender) >= feed_end

    def _is_new(self, step: StepBuilder, term: Key) -> bool:
        """Whether no earlier incarnation of ours can have proposed a term that others have forgotten.

        Only a node that has learned the previous term proposes a term. If this incarnation was the
        first to propose the previous term, no earlier incarnation has proposed this one.
        """
        before = slot_before(term)
        instance = step.instances[before] if before and before in step.instances else None
        learned = instance.learned if isinstance(instance, Instance) else None
        return learned is not None and learned.ballot.process == self._node.process

    # -- as an acceptor

    def on_prepare_class(self, step: StepBuilder, sender: NodeId, message: PrepareClass) -> None:
        """Answer a home with our class promise, after that is durable (R13)."""
        ballot = message.ballot
        if not ballot.is_of_home or ballot.process.node != sender or message.digest != self._digest:
            step.alarm(f"node {sender} asks for a class promise that is not its to ask for")
            return
        promise = self._acceptors.promise_class(step, message, self._node.feed_end)
        if promise is not None:
            step.after(Send(sender, promise))
