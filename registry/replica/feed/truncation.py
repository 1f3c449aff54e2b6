"""Truncation: a node forgets the old terms of a lock, and is no acceptor for them any more (design 11).

A node that learns a term keeps the latest ``keep_terms`` terms of the lock and forgets all below
them; the lowest kept term is its *floor*. It answers a question about a term below the floor with
the floor. A node that gets this answer raises its own floor to it, so a node that was down proposes
no old term.

A floor is told in the feed too, by an entry in the batch that raises it (M16). So who reads a feed
whose old terms were deleted knows that they are decided. The reader forgets as little as that needs:
it raises its own floor to just above the highest term below the peer's floor that it has not learned.
So a node with a long retention keeps its terms although the others keep fewer.

Why it is safe. Only a node that has learned the previous term proposes a term, so all terms below a
learned one are decided, and so is the term at the floor. Below its floor a node reports nothing
that it promised or accepted; to a proposer or reader it looks like a node that is down. A quorum
that answers has everything that its members ever accepted, and it meets every quorum that could
have chosen something. So no other value is chosen, and no decided term is called undecided. An
answer that a node gave before it forgot stays true, however late or often it arrives, since the
node accepts nothing there any more. The floor is durable in the batch that deletes the terms, and
only rises, so a restart changes none of this. Raising a floor because a peer said so only refuses
more, which is always safe. So is to raise it less far than the peer, since what is learned here needs
no silence.

Invariants kept here:

* a floor is never above the newest term that its first node has learned;
* a message names a floor only after the batch that raised it is durable;
* the feed has an entry for each floor, in the batch that raises it;
* the page of a peer's feed that tells a floor is complete only after each term below that floor is
  learned or forgotten here, in the same batch at the latest.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from ...disk import ForgetRecord
from ...keys import MAX_SLOT, slot_key
from ...locks.terms import is_term, lock_and_term, lock_of, lock_path
from ...types import Decree, Key, NodeId
from ...unserved import ForgottenInstance, Unserved
from ...wire.leases import ForgottenTerms
from ...wire.peers import FLOOR_DIGEST
from ..step.effects import Send
from ..step.events import FollowFloor
from ..step.node import Node
from ..step.step_builder import StepBuilder
from .learner import Recent

AT_A_TIME = 16
"""Old terms are forgotten together, each time a term is learned that is a multiple of this."""
CHECK_AT_ONCE = 32
"""How many terms below a peer's floor are looked at in one step."""


class Forgetful(Protocol):
    """A part of the node that holds something about keys in memory."""

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Drop what is held about forgotten slots, and end what waits for them."""
        ...


class Forgetting:
    """Raises the floors of a node.

    Args:
        node: who we are, where our feed ends, and how many terms are kept.
        recent: the latest entries of the feed.
        floors: those that were found on the disk.
    """

    def __init__(self, node: Node, recent: Recent, floors: Iterable[ForgetRecord]) -> None:
        self._node = node
        self._recent = recent
        self._floors = {record.series: record.floor for record in floors}
        self._whole: dict[str, int] = {}
        self._parts: list[Forgetful] = []
        self._followed: Callable[[StepBuilder, Key], None] | None = None

    def tell(self, *parts: Forgetful, followed: Callable[[StepBuilder, Key], None]) -> None:
        """Register the parts that hold something about keys, after all of them exist.

        `followed` is called with the last term below a peer's floor, once each term below it is
        learned or forgotten here.
        """
        self._parts += parts
        self._followed = followed

    def needs(self, event: FollowFloor) -> Iterable[Key]:
        """The next terms to look at, below those that are known to be learned."""
        series, _ = floor_above(event.last)
        return [slot_key(series, term) for term in self._to_check(series, event.unchecked)]

    def on_new(self, step: StepBuilder, decree: Decree) -> None:
        """Forget old terms if the term just learned makes some due."""
        lock, term = lock_and_term(decree.key)
        floor = term - self._node.config.locks.keep_terms + 1
        if term % AT_A_TIME == 0 and floor > 1:
            self._raise(step, lock_path(lock), floor)

    def on_told(self, step: StepBuilder, sender: NodeId, message: ForgottenTerms) -> None:
        """Raise the floor to that of a peer, which has forgotten a term that it was asked about."""
        self._raise(step, lock_path(message.lock), message.floor)

    def follow(self, step: StepBuilder, event: FollowFloor) -> None:
        """M16: raise the floor to just above the highest term below a peer's that is not learned."""
        if self._node.failed:
            return  # nothing can be forgotten, so the page of that floor is never complete
        series, floor = floor_above(event.last)
        unchecked = event.unchecked
        while self._to_check(series, unchecked):
            key = slot_key(series, unchecked - 1)
            if key not in step.instances:
                step.again(FollowFloor(event.last, unchecked))
                return
            if not _is_learned(step, key):
                self._raise(step, series, unchecked)
            unchecked -= 1
        self._whole[series] = max(self._whole.get(series, 0), floor)
        if self._followed is not None:
            self._followed(step, event.last)

    def _to_check(self, series: str, unchecked: int) -> range:
        """The next terms to look at, from the highest down; none once all lower ones are settled.

        They are settled below this node's own floor, and below a floor that was followed before.
        """
        least = max(1, self._floors.get(series, 1), self._whole.get(series, 1))
        return range(unchecked - 1, max(least, unchecked - CHECK_AT_ONCE) - 1, -1)

    def _raise(self, step: StepBuilder, series: str, floor: int) -> None:
        """Raise a floor, unless it is as high already, and append the entry that tells it (M16)."""
        if floor <= self._floors.get(series, 1) or self._node.failed:
            return
        gone = ForgottenInstance.below(series, floor)
        self._floors[series] = floor
        step.forget(gone, self._node.feed_end)
        self._node.feed_end += 1
        self._recent.add({gone.last: FLOOR_DIGEST})
        for part in self._parts:
            part.on_forgotten(step, gone)


def tells_floor(key: Key, digest: bytes) -> bool:
    """Whether an entry of a feed tells a floor, rather than a decree."""
    slot = key.partition("@")[2]
    return digest == FLOOR_DIGEST and is_term(key) and slot.isdecimal() and 0 < int(slot) < MAX_SLOT


def floor_above(last: Key) -> tuple[str, int]:
    """The series, and the floor of which `last` is the last term below."""
    series, _, slot = last.partition("@")
    return series, int(slot) + 1


def _is_learned(step: StepBuilder, key: Key) -> bool:
    instance = step.instances[key]
    return not isinstance(instance, Unserved) and instance.learned is not None


def tell_forgotten(step: StepBuilder, sender: NodeId, key: Key, gone: ForgottenInstance) -> None:
    """Answer a question about `key` with the floor, after that is durable."""
    step.send_when_durable(key, Send(sender, ForgottenTerms(lock_of(gone.series), gone.floor)))
