"""Learning: the one place where a decree becomes known to a node (R20, R21).

The decree is stored and appended to the feed, and then every part that waited for it is told. Two
different decrees for one key mean a corrupt disk or a bug: the key is not served from then on, and
the peers are shown what this node has, so that they notice too (design 7).

The end of the feed is kept in memory as well, so that a peer's feed and our own cost no disk reads
while in step (`Recent`). Its digests are part of what peers say to each other and of the stored feed;
`docs/protocol.md` gives the rule.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

from msgspec.msgpack import Encoder

from ...locks.terms import TERMS, is_term
from ...paxos import learner
from ...paxos.instance import Instance
from ...paxos.messages import Commit, CommitMany
from ...types import Decree, Key, NodeId
from ...wire.peers import DIGEST_BYTES, Fetched
from ..step.node import Node
from ..step.step_builder import StepBuilder

CAPACITY = 65_536
_DROPPED = 1_024
"""So many of the oldest go at once; one at a time would cost more than all else here."""

_encode = Encoder().encode


class Listener(Protocol):
    """A part of the node that waits for decrees."""

    @property
    def awaited(self) -> tuple[Collection[object], ...]:
        """The tables of what it waits for; while all are empty, it is told nothing."""
        ...

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """The keys of `decrees` are decided, and stored in `step`."""
        ...


class TermListener(Protocol):
    """The part of the node that is told of every term of a lock, whether anybody waits or not."""

    def on_terms(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Terms are decided, and stored in `step`."""
        ...


class Recent:
    """The last keys of the feed and the digests of their decrees; the oldest go first.

    Args:
        start: where the feed ended when this node started.
    """

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._keys: list[Key] = []
        self._digests: list[bytes] = []
        self._by_key: dict[Key, bytes] = {}

    def add(self, digests: Mapping[Key, bytes]) -> None:
        """These keys were learned, with decrees of these digests; the feed has so many entries more."""
        self._keys += digests.keys()
        self._digests += digests.values()
        self._by_key.update(digests)
        while len(self._keys) >= CAPACITY + _DROPPED:
            self._drop()

    def page(self, start: int, end: int) -> tuple[tuple[Key, ...], bytes] | None:
        """The entries from `start` up to `end` in the columns of a page; None if some are gone."""
        first, behind = start - self._start, end - self._start
        if not 0 <= first <= behind <= len(self._keys):
            return None
        return tuple(self._keys[first:behind]), b"".join(self._digests[first:behind])

    def news(self, keys: Sequence[Key], digests: bytes) -> Sequence[tuple[Key, bytes]]:
        """Those entries of a page that are not known to have been learned with just this digest."""
        known = self._by_key.get
        if b"".join([known(key, b"") for key in keys]) == digests:
            return ()  # in step, as nearly always: one look-up a key, and one comparison for all
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
    """What the node has learned.

    Args:
        node: who we are, and where our feed ends.
        recent: the digests of what was learned lately.
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
        """Name those who want to know, once they exist; `new_term` is told behind the others, once."""
        self._listeners += listeners
        self._of_terms = of_terms
        self._on_new_term = new_term
        self._on_disputed = disputed

    def learn(self, step: StepBuilder, decrees: Iterable[Decree]) -> None:
        """`decrees` are known to be chosen."""
        known: list[Decree] = []
        fresh: list[Decree] = []
        for decree in decrees:
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
        """R20: a peer has learned that a decree is chosen."""
        self.learn(step, (message.decree,))

    def on_commit_many(self, step: StepBuilder, sender: NodeId, message: CommitMany) -> None:
        """What was proposed in a ballot for these keys is chosen; what is not held here comes later."""
        chosen: dict[Key, Decree] = {}
        for key in message.keys:
            instance = step.instances[key]
            if isinstance(instance, Instance):
                decree = learner.chosen_in(instance, message.ballot)
                if decree is not None:
                    chosen[key] = decree
        self.learn(step, chosen.values())

    def on_fetched(self, step: StepBuilder, sender: NodeId, message: Fetched) -> None:
        """A peer has learned these. Terms come one by one: each may make earlier ones forgotten."""
        self.learn(step, [decree for decree in message.decrees if not is_term(decree.key)])
        for term in [decree for decree in message.decrees if is_term(decree.key)]:
            self.learn(step, (term,))

    def _append(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Put what was not known before into the feed."""
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
    """What to say of a key for which two decrees are known."""
    return (
        f"key {key!r}: two nodes know different decrees for it, which means a corrupt disk or a"
        " bug; it is not served until an operator has compared the nodes' data"
    )


def decree_digest(decree: Decree) -> bytes:
    """16 bytes of BLAKE2b over the decree's MessagePack, which has one form for each decree."""
    return blake2b(_encode(decree), digest_size=DIGEST_BYTES).digest()
