"""Withholding: the keys about which this node is silent, since nobody could show them soundly. M18.

A source that has accepted something for a key, and cannot read what, names the key. Its page does not
count for that key. If too few others have shown it, the node becomes ready all the same, for all other
keys. About this one it must not say that it holds nothing: a value may be chosen there. So it is
silent, as a node with a damaged record is.

The same may happen to a decree: a feed says that a key is decided, and its node cannot read the decree.
A node that does not vote withholds the key then, and reads on. One that votes has its own vote on the
key to go by, and only asks others.

And it may happen to a decree that was learned here. The record is gone, and this node's own feed still
names the key. A node that found that would answer as if it had never heard of the key, so it withholds
it. It is found when the feed is read for a peer (`feed.serving`) or a watch (`feed.watches`), and by a
scrub (`scrub.mending`).

Invariants kept here:

* the silence is durable in the batch of readiness, in the one that moves the cursor on, or in the step
  that finds a record gone, and outlives a restart;
* only the decree ends it, a floor above the key, or enough sound pages (`releasing`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from ...types import Decree, Key, Proposal
from ...unserved import ForgottenInstance
from ...wire.peers import MAX_FETCH, Fetch
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder


class Silenced(Protocol):
    """What this node has accepted and not learned."""

    def withhold(
        self,
        step: StepBuilder,
        key: Key,
        epoch: int,
        digest: bytes = b"",
        *,
        in_feed: bool = False,
    ) -> bool:
        """Be silent about a key from now on; False if it is decided or forgotten here."""
        ...

    def release(self, step: StepBuilder, key: Key, shown: Proposal | None) -> bool:
        """End the silence about a key; False if what was shown contradicts what is held."""
        ...


class Withholding:
    """The keys that this node withholds.

    Args:
        node: who we are.
        found: the keys that the disk says are withheld.
    """

    def __init__(self, node: Node, found: Iterable[Key]) -> None:
        self._node = node
        self._silenced: Silenced | None = None
        self._keys: dict[Key, None] = dict.fromkeys(found)
        self._never_learned: set[Key] = set()
        self.awaited = (self._keys,)

    def tell(self, silenced: Silenced) -> None:
        """Register what the node has accepted, after it exists."""
        self._silenced = silenced

    @property
    def keys(self) -> Collection[Key]:
        """The keys that are withheld; the collection changes with them."""
        return self._keys.keys()

    def was_never_learned(self, key: Key) -> bool:
        """Whether a scrub has read this node's own feed whole, and it does not name a withheld key."""
        return key in self._never_learned

    def on_unnamed(self, keys: Iterable[Key]) -> None:
        """A scrub has read all of this node's own feed, and it names none of these keys."""
        self._never_learned = self._keys.keys() & set(keys)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"withheld": self._keys}

    def withhold(self, step: StepBuilder, keys: Collection[Key]) -> None:
        """Be silent about these keys, whose instances are loaded, and ask for their decrees."""
        self._begin(step, {key: b"" for key in sorted(keys)}, "what was accepted for")

    def withhold_decided(self, step: StepBuilder, key: Key, digest: bytes) -> None:
        """Be silent about a key that is decided, until its decree comes, which has this digest."""
        self._begin(step, {key: digest}, "the decrees of")

    def withhold_lost(self, step: StepBuilder, key: Key, digest: bytes) -> None:
        """Be silent about a key whose record is gone, though this node's own feed names it.

        Its instance is loaded, and has no decree. The decree ends the silence, if it has this digest.
        """
        assert self._silenced is not None, "all parts exist"
        if self._silenced.withhold(step, key, self._node.seat.known, digest, in_feed=True):
            self._keys[key] = None
            step.alarm(
                f"the record of key {key!r} is gone: the disk has lost what it had synced; this node"
                " says nothing about the key until it learns the decree from another one"
            )

    def _begin(self, step: StepBuilder, digests: Mapping[Key, bytes], what: str) -> None:
        assert self._silenced is not None, "all parts exist"
        epoch, silenced = self._node.seat.known, self._silenced
        each = digests.items()
        silent = [key for key, digest in each if silenced.withhold(step, key, epoch, digest)]
        fresh = [key for key in silent if key not in self._keys]
        if fresh:
            self._keys.update(dict.fromkeys(fresh))
            step.alarm(
                f"epoch {epoch}: nobody could show {what} {len(fresh)} keys, such as {fresh[0]!r}: this"
                " node says nothing about them until it learns their decrees"
            )
            self.sweep(step)

    def release(self, step: StepBuilder, key: Key, shown: Proposal | None) -> None:
        """Enough sound pages have shown what was accepted for a key: it is served like any other."""
        assert self._silenced is not None, "all parts exist"
        if self._silenced.release(step, key, shown):
            self._end(key)
            step.notice(f"key {key!r} was shown by now, and is withheld no more")

    def sweep(self, step: StepBuilder) -> None:
        """Ask for the decrees again: a feed that was read before does not bring them (R02).

        If they are many, each sweep asks for some, and the next one for others: nobody may have those.
        """
        keys = tuple(self._keys)[:MAX_FETCH]
        if keys:
            step.broadcast(self._node.sources, Fetch(keys))
            for key in keys:
                self._keys[key] = self._keys.pop(key)

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """These keys are decided, so they are served like any other."""
        for decree in decrees:
            self._end(decree.key)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Forgotten keys have another silence."""
        for key in [key for key in self._keys if gone.covers(key)]:
            self._end(key)

    def _end(self, key: Key) -> None:
        """What a scrub has seen of the key is of the past, too: it may be learned from now on."""
        self._keys.pop(key, None)
        self._never_learned.discard(key)
