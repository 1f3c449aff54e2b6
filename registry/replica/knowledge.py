"""Learning: the one place where a decree becomes known to a node (R20, R21).

The decree is stored and appended to the feed, and then every part that waited for it is told. Two
different decrees for one key mean a corrupt disk or a bug: the key is not served from then on, and
the peers are shown what this node has, so that they notice too (design 7).
"""

from collections.abc import Callable
from typing import Protocol

from ..locks.terms import is_term
from ..paxos import learner
from ..paxos.instance import Instance
from ..paxos.messages import Commit, CommitMany
from ..types import Decree, Key
from .digests import decree_digest
from .node import Node
from .reads import dispute_message
from .recent import Recent
from .turn import Turn


class Listener(Protocol):
    """A part of the node that waits for decrees."""

    def on_learned(self, turn: Turn, decree: Decree) -> None:
        """The key of `decree` is decided, and stored in `turn`."""
        ...


class Knowledge:
    """What the node has learned.

    Args:
        node: who we are, and where our feed ends.
        recent: the digests of what was learned lately.
    """

    def __init__(self, node: Node, recent: Recent) -> None:
        self._node = node
        self._recent = recent
        self._listeners: list[Listener] = []
        self._of_terms: list[Listener] = []
        self._on_new_term: Callable[[Turn, Decree], None] | None = None
        self._on_disputed: Callable[[Turn, Key], None] | None = None

    def tell(
        self,
        *listeners: Listener,
        of_terms: Listener,
        new_term: Callable[[Turn, Decree], None],
        disputed: Callable[[Turn, Key], None],
    ) -> None:
        """Name those who want to know, once they exist; `new_term` is told behind the others, once."""
        self._listeners += listeners
        self._of_terms.append(of_terms)
        self._on_new_term = new_term
        self._on_disputed = disputed

    def learn(self, turn: Turn, decree: Decree) -> None:
        """`decree` is known to be chosen."""
        instance = turn.instance(decree.key)
        if not isinstance(instance, Instance) or (self._node.failed and instance.learned is None):
            return
        learned = learner.learn(instance, decree)
        if learned is instance:
            self._spread(turn, instance.learned or decree)
        else:
            turn.store(decree.key, learned)
            self._take_in(turn, learned, decree)

    def learn_many(self, turn: Turn, message: CommitMany) -> None:
        """What was proposed in a ballot for these keys is chosen; what is not held here comes later."""
        for key in message.keys:
            instance = turn.instance(key)
            if isinstance(instance, Instance):
                decree = learner.chosen_in(instance, message.ballot)
                if decree is not None:
                    self.learn(turn, decree)

    def _take_in(self, turn: Turn, instance: Instance, decree: Decree) -> None:
        if instance.disputed is not None:
            self._dispute(turn, instance, decree.key)
            return
        digest = decree_digest(decree)
        turn.learn(self._node.feed_end, decree, digest)
        self._node.feed_end += 1
        self._recent.add(decree.key, digest)
        self._spread(turn, decree)
        if self._on_new_term is not None and is_term(decree.key):
            self._on_new_term(turn, decree)

    def _spread(self, turn: Turn, decree: Decree) -> None:
        for listener in self._listeners:
            listener.on_learned(turn, decree)
        for listener in self._of_terms if is_term(decree.key) else ():
            listener.on_learned(turn, decree)

    def _dispute(self, turn: Turn, instance: Instance, key: Key) -> None:
        assert instance.learned is not None, "only what is learned can be disputed"
        turn.alarm(dispute_message(key))
        turn.broadcast(self._node.others, Commit(key, instance.learned))
        if self._on_disputed is not None:
            self._on_disputed(turn, key)
