"""Forgetting: the old terms of a lock are dropped, and no node that dropped them votes on them again.

A node that learns a term keeps the latest ``keep_terms`` of the lock, and forgets what lies below: a
floor. A question about a term below the floor is answered with the floor, and the node that is told
raises its own to it, so that a node which was down does not contend for what is long past.

Why that is safe. A term is only ever proposed by a node that has learned the one before, so all terms
below one that is learned are decided, and so is the term at the floor. Below its floor a node says
nothing of what it promised or accepted: to a proposer or a reader it is as good as down. A quorum that
does answer holds all that its members ever accepted, and meets every quorum that could have chosen
something; so neither is another value chosen, nor a decided term called undecided. What a node said
before it forgot stays true, however late it arrives and however often, as it accepts nothing there any
more. The floor is durable in the batch that deletes, and only goes up, so a restart does not change any
of that. And to raise a floor on the word of a peer is only to refuse more, which is always safe.

Invariants kept here:

* a floor is never above the newest term that its first node has learned;
* it is told to others only behind the batch in which it was raised.
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
"""Terms are forgotten when one with a multiple of this number is learned, all that are due at once."""


class Forgetful(Protocol):
    """A part of the node that holds something about keys in memory."""

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Some slots of a series are forgotten: hold nothing about them, and wait for nothing."""
        ...


class Forgetting:
    """When a node forgets.

    Args:
        node: who we are, and how many terms are kept.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._parts: list[Forgetful] = []

    def tell(self, *parts: Forgetful) -> None:
        """Name those who must forget too, once they exist."""
        self._parts += parts

    def needs(self, message: ForgottenTerms) -> Iterable[Key]:
        """The last term that the peer has forgotten: it says whether this node has, too."""
        return (term_key(message.lock, message.floor - 1),)

    def on_new(self, step: StepBuilder, decree: Decree) -> None:
        """A term was learned: now and then it pushes older ones out."""
        lock, term = lock_and_term(decree.key)
        keep = self._node.config.locks.keep_terms
        if term % AT_A_TIME == 0 and term > keep:
            self._forget(step, ForgottenInstance.below(lock_path(lock), term - keep + 1))

    def on_told(self, step: StepBuilder, sender: NodeId, message: ForgottenTerms) -> None:
        """A peer that was asked about a term has forgotten it."""
        last = step.instances[term_key(message.lock, message.floor - 1)]
        if not isinstance(last, ForgottenInstance) and not self._node.failed:
            self._forget(step, ForgottenInstance.below(lock_path(message.lock), message.floor))

    def _forget(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        step.forget(gone)
        for part in self._parts:
            part.on_forgotten(step, gone)


def tell_forgotten(step: StepBuilder, sender: NodeId, key: Key, gone: ForgottenInstance) -> None:
    """Answer a question about `key` with the floor that it lies below."""
    step.send_when_durable(key, Send(sender, ForgottenTerms(lock_of(gone.series), gone.floor)))
