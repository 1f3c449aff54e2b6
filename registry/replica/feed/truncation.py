"""Truncation: a node forgets the old terms of a lock, and is no acceptor for them any more (design 11).

A node that learns a term keeps the latest ``keep_terms`` terms of the lock and forgets all below
them; the lowest kept term is its *floor*. It answers a question about a term below the floor with
the floor. A node that gets this answer raises its own floor to it, so a node that was down proposes
no old term.

Why it is safe. Only a node that has learned the previous term proposes a term, so all terms below a
learned one are decided, and so is the term at the floor. Below its floor a node reports nothing
that it promised or accepted; to a proposer or reader it looks like a node that is down. A quorum
that answers has everything that its members ever accepted, and it meets every quorum that could
have chosen something. So no other value is chosen, and no decided term is called undecided. An
answer that a node gave before it forgot stays true, however late or often it arrives, since the
node accepts nothing there any more. The floor is durable in the batch that deletes the terms, and
only rises, so a restart changes none of this. Raising a floor because a peer said so only refuses
more, which is always safe.

Invariants kept here:

* a floor is never above the newest term that its first node has learned;
* a message names a floor only after the batch that raised it is durable.
"""

from collections.abc import Iterable
from typing import Protocol

from ...disk import ForgottenInstance
from ...locks.terms import lock_and_term, lock_of, lock_path, term_key
from ...types import Decree, Key, NodeId
from ...wire.peers import ForgottenTerms
from ..step.effects import Send
from ..step.node import Node
from ..step.step_builder import StepBuilder

AT_A_TIME = 16
"""Old terms are forgotten together, each time a term is learned that is a multiple of this."""


class Forgetful(Protocol):
    """A part of the node that holds something about keys in memory."""

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Drop what is held about forgotten slots, and end what waits for them."""
        ...


class Forgetting:
    """Raises the floors of a node.

    Args:
        node: who we are, and how many terms are kept.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._parts: list[Forgetful] = []

    def tell(self, *parts: Forgetful) -> None:
        """Register the parts that hold something about keys, after all of them exist."""
        self._parts += parts

    def needs(self, message: ForgottenTerms) -> Iterable[Key]:
        """The last term that the peer has forgotten: its instance shows whether this node has too."""
        return (term_key(message.lock, message.floor - 1),)

    def on_new(self, step: StepBuilder, decree: Decree) -> None:
        """Forget old terms if the term just learned makes some due."""
        lock, term = lock_and_term(decree.key)
        keep = self._node.config.locks.keep_terms
        if term % AT_A_TIME == 0 and term > keep:
            self._forget(step, ForgottenInstance.below(lock_path(lock), term - keep + 1))

    def on_told(self, step: StepBuilder, sender: NodeId, message: ForgottenTerms) -> None:
        """Raise the floor to that of a peer, which has forgotten a term that it was asked about."""
        last = step.instances[term_key(message.lock, message.floor - 1)]
        if not isinstance(last, ForgottenInstance) and not self._node.failed:
            self._forget(step, ForgottenInstance.below(lock_path(message.lock), message.floor))

    def _forget(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        step.forget(gone)
        for part in self._parts:
            part.on_forgotten(step, gone)


def tell_forgotten(step: StepBuilder, sender: NodeId, key: Key, gone: ForgottenInstance) -> None:
    """Answer a question about `key` with the floor, after that is durable."""
    step.send_when_durable(key, Send(sender, ForgottenTerms(lock_of(gone.series), gone.floor)))
