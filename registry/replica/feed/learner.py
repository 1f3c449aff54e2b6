"""Learning: the one place where a decree becomes known to a node (R20, R21).

The decree is stored and appended to the feed, then every part that waits for it is notified. Two
different decrees for one key mean a corrupt disk or a bug. The key is not served from then on, and
the node sends its own decree to all peers so that they notice too (design 7).

The end of the feed is also in memory (`Recent`), so that nodes in step compare and serve pages without
reading their disks. The digests are part of the protocol and of the stored feed; `docs/protocol.md`
specifies them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

from msgspec.msgpack import Encoder

from ...locks.terms import TERMS, is_term, is_whole
from ...paxos import learner
from ...paxos.instance import Instance
from ...paxos.messages import Commit, CommitMany
from ...types import Decree, Key, NodeId
from ...wire.peers import DIGEST_BYTES, Fetched
from ..step.node import Node
from ..step.step_builder import StepBuilder

CAPACITY = 65_536
_DROPPED = 1_024
"""How many of the oldest are dropped together: a list loses its head in time linear in its length."""

_encode = Encoder().encode


class Listener(Protocol):
    """A part of the node that waits for decrees."""

    @property
    def awaited(self) -> tuple[Collection[object], ...]:
        """The tables of what it waits for. While all are empty, it is not called."""
        ...

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Act on decrees that are learned and stored in `step`."""
        ...


class TermListener(Protocol):
    """The part of the node that is notified of every term of a lock."""

    def on_terms(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Act on terms that are learned and stored in `step`."""
        ...


class Recent:
    """The last keys of the feed with the digests of their decrees; the oldest are dropped first.

    Args:
        start: where the feed ended when this node started.
    """

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._keys: list[Key] = []
        self._digests: list[bytes] = []
        self._by_key: dict[Key, bytes] = {}

    def add(self, digests: Mapping[Key, bytes]) -> None:
        """Append the keys that were learned, each with the digest of its decree."""
        self._keys += digests.keys()
        self._digests += digests.values()
        self._by_key.update(digests)
        while len(self._keys) >= CAPACITY + _DROPPED:
            self._drop()

    def page(self, start: int, end: int) -> tuple[tuple[Key, ...], bytes] | None:
        """The entries from `start` up to `end` as the columns of a page; None if some were dropped."""
        first, stop = start - self._start, end - self._start
        if not 0 <= first <= stop <= len(self._keys):
            return None
        return tuple(self._keys[first:stop]), b"".join(self._digests[first:stop])

    def differing(self, keys: Sequence[Key], digests: bytes) -> Sequence[tuple[Key, bytes]]:
        """The entries of a page that are not known to be learned here with the same digest."""
        known = self._by_key.get
        if b"".join([known(key, b"") for key in keys]) == digests:
            return ()  # in step, the usual case: one look-up for each key, and one comparison
        each = [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]
        pairs = zip(keys, each, strict=True)
        return [(key, digest) for key, digest in pairs if known(key) != digest]

    def _drop(self) -> None:
        for key in self._keys[:_DROPPED]:
            self._by_key.pop(key, None)
        del self._keys[:_DROPPED]
        del self._digests[:_DROPPED]
        self._start += _DROPPED


class Learner:
    """Learns decrees for the whole node.

    Args:
        node: who we are, and where our feed ends.
        recent: the latest entries of the feed.
    """

    def __init__(self, node: Node, recent: Recent) -> None:
        self._node = node
        self._recent = recent
        self._listeners: list[Listener] = []
        self._of_terms: TermListener | None = None
        self._on_new_term: Callable[[StepBuilder, Decree], None] | None = None
        self._on_disputed: Callable[[StepBuilder, Key], None] | None = None

    def tell(
        self,
        *listeners: Listener,
        of_terms: TermListener,
        new_term: Callable[[StepBuilder, Decree], None],
        disputed: Callable[[StepBuilder, Key], None],
    ) -> None:
        """Register the parts to notify, after all of them exist.

        `new_term` is called after the others, and once for each term.
        """
        self._listeners += listeners
        self._of_terms = of_terms
        self._on_new_term = new_term
        self._on_disputed = disputed

    def learn(self, step: StepBuilder, decrees: Iterable[Decree]) -> None:
        """Store decrees that are known to be chosen, append them to the feed and notify the parts."""
        known: list[Decree] = []
        fresh: list[Decree] = []
        for decree in decrees:
            if decree.key.startswith(TERMS) and not is_whole(decree.key):
                step.alarm(f"a peer tells a decree for {decree.key!r}, which is no key: it lies")
                continue
            instance = step.instances[decree.key]
            if not isinstance(instance, Instance) or (
                self._node.failed and instance.learned is None
            ):
                continue
            learned = learner.learn(instance, decree)
            if learned is instance:
                known.append(instance.learned or decree)
                continue
            step.store(decree.key, learned)
            if learned.disputed is None:
                fresh.append(decree)
            else:
                self._dispute(step, learned, decree.key)
        if fresh:
            self._append(step, fresh)
        self._spread(step, known + fresh, fresh)

    def on_commit(self, step: StepBuilder, sender: NodeId, message: Commit) -> None:
        """R20: learn a decree from a peer that knows that it is chosen."""
        self.learn(step, (message.decree,))

    def on_commit_many(self, step: StepBuilder, sender: NodeId, message: CommitMany) -> None:
        """R20 for a batch: learn the keys that this node accepted in that ballot.

        The other keys are learned later from a feed.
        """
        chosen: dict[Key, Decree] = {}
        for key in message.keys:
            instance = step.instances[key]
            if isinstance(instance, Instance):
                decree = learner.chosen_in(instance, message.ballot)
                if decree is not None:
                    chosen[key] = decree
        self.learn(step, chosen.values())

    def on_fetched(self, step: StepBuilder, sender: NodeId, message: Fetched) -> None:
        """Learn decrees fetched from a peer; terms one by one, as each may push out earlier ones."""
        self.learn(step, [decree for decree in message.decrees if not is_term(decree.key)])
        for term in [decree for decree in message.decrees if is_term(decree.key)]:
            self.learn(step, (term,))

    def _append(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Append newly learned decrees to the feed."""
        digests = {decree.key: decree_digest(decree) for decree in decrees}
        assert len(digests) == len(decrees), "a key is learned once"
        step.learn(self._node.feed_end, decrees, digests)
        self._node.feed_end += len(digests)
        self._recent.add(digests)

    def _spread(
        self, step: StepBuilder, decrees: Sequence[Decree], fresh: Sequence[Decree]
    ) -> None:
        for listener in self._listeners if decrees else ():
            if any(listener.awaited):
                listener.on_learned(step, decrees)
        terms = [decree for decree in decrees if decree.key.startswith(TERMS)]
        if terms:
            self._spread_terms(step, terms, [decree for decree in fresh if is_term(decree.key)])

    def _spread_terms(
        self, step: StepBuilder, terms: Sequence[Decree], fresh: Sequence[Decree]
    ) -> None:
        if self._of_terms is not None:
            self._of_terms.on_terms(step, terms)
        for decree in fresh:
            if self._on_new_term is not None:
                self._on_new_term(step, decree)

    def _dispute(self, step: StepBuilder, instance: Instance, key: Key) -> None:
        assert instance.learned is not None, "only what is learned can be disputed"
        step.alarm(dispute_message(key))
        step.broadcast(self._node.others, Commit(key, instance.learned))
        if self._on_disputed is not None:
            self._on_disputed(step, key)


def dispute_message(key: Key) -> str:
    """The error message for a key with two known decrees."""
    return (
        f"key {key!r}: two nodes know different decrees for it, which means a corrupt disk or a"
        " bug; it is not served until an operator has compared the nodes' data"
    )


def decree_digest(decree: Decree) -> bytes:
    """16 bytes of BLAKE2b over the decree's MessagePack, which has one form for each decree."""
    return blake2b(_encode(decree), digest_size=DIGEST_BYTES).digest()
