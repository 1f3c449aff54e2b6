"""Learning: the one place where a decree becomes known to a node (R20, R21).

The decree is stored and appended to the feed, then every part that waits for it is notified. Two
different decrees for one key mean a corrupt disk or a bug. The key is not served from then on, and
the node sends its own decree to all peers so that they notice too (design 7).

The end of the feed is also in memory (`Recent`), so that nodes in step compare and serve pages without
reading their disks. The digests are part of the protocol and of the stored feed; `docs/protocol.md`
specifies them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from ...audit import members_learned
from ...disk import LearnedBatch
from ...keys import RESERVED
from ...locks.terms import TERMS, is_term, is_whole
from ...members import epoch_of
from ...paxos import learner
from ...paxos.decrees import Decrees
from ...paxos.instance import EMPTY, Instance
from ...paxos.messages import Commit, CommitMany
from ...policy.series import number_of
from ...types import DIGEST_BYTES, Decree, Key, NodeId, body_of, decree_digest, digests_of
from ...unserved import DamagedInstance, Unserved, WithheldInstance
from ...wire.peers import Fetched
from ..step.node import Node
from ..step.step_builder import StepBuilder

CAPACITY = 65_536
CONFIRMED = 8_192
"""Of so many entries, and up to twice as many, it is remembered that they were found learned."""
_DROPPED = 1_024
"""How many of the oldest are dropped together: a list loses its head in time linear in its length."""


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


class CountsUse(Protocol):
    """The part of the node that counts what each identity has frozen."""

    @property
    def counts(self) -> Collection[object]:
        """What it counts. While there is nothing, it is not called."""
        ...

    def on_new(self, decrees: Sequence[Decree]) -> None:
        """Count decrees that are learned for the first time."""
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
        self._confirmed: dict[Key, bytes] = {}
        self._confirmed_before: dict[Key, bytes] = {}

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

    def digest(self, key: Key) -> bytes | None:
        """The digest of a key that was learned or told lately; None if it is not known here."""
        return self._by_key.get(key)

    def differing(self, keys: Sequence[Key], digests: bytes) -> Sequence[tuple[Key, bytes]]:
        """The entries of a page that are not known to be learned here with the same digest."""
        known = self._by_key.get
        if b"".join([known(key, b"") for key in keys]) == digests:
            return ()  # in step, the usual case: one look-up for each key, and one comparison
        each = [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]
        pairs = zip(keys, each, strict=True)
        unknown = [(key, digest) for key, digest in pairs if known(key) != digest]
        return self._unconfirmed(unknown) if self._confirmed or self._confirmed_before else unknown

    def _unconfirmed(self, pairs: Sequence[tuple[Key, bytes]]) -> Sequence[tuple[Key, bytes]]:
        now, before = self._confirmed.get, self._confirmed_before.get
        return [(key, d) for key, d in pairs if now(key) != d and before(key) != d]

    def confirm(self, digests: Mapping[Key, bytes]) -> None:
        """Remember that these keys were found learned with these digests.

        They were learned before what is in memory. Other feeds tell them soon.
        """
        self._confirmed.update(digests)
        if len(self._confirmed) >= CONFIRMED:
            self._confirmed_before, self._confirmed = self._confirmed, {}

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
        self._of_members: Callable[[StepBuilder, Decree], None] | None = None
        self._of_policies: Callable[[StepBuilder, Decree], None] | None = None
        self._mend: Callable[[StepBuilder, Decree], Instance | None] | None = None
        self._quotas: CountsUse | None = None
        self._awaits: Callable[[Key], bool] = lambda _: True
        self._look_again: Callable[[StepBuilder, Collection[Key]], None] = _wait_on

    def tell_reads(
        self,
        awaits: Callable[[Key], bool],
        look_again: Callable[[StepBuilder, Collection[Key]], None],
    ) -> None:
        """Register what is learned even without room: `awaits` says of which keys that is.

        `look_again` lets the requests that wait for some keys read them again.
        """
        self._awaits, self._look_again = awaits, look_again

    def tell(
        self,
        *listeners: Listener,
        of_terms: TermListener,
        new_term: Callable[[StepBuilder, Decree], None],
        disputed: Callable[[StepBuilder, Key], None],
        of_members: Callable[[StepBuilder, Decree], None],
        of_policies: Callable[[StepBuilder, Decree], None],
        mend: Callable[[StepBuilder, Decree], Instance | None],
        quotas: CountsUse,
    ) -> None:
        """Register the parts to notify, after all of them exist.

        `new_term` is called after the others, and once for each term. `of_members` is called with each
        decree that changes members, after the requests that wait for it are answered, and `of_policies`
        with each policy. `mend` says what a damaged record is once a decree is told for its key; None:
        it stays damaged. `quotas` hear of what is learned for the first time.
        """
        self._listeners += listeners
        self._of_terms = of_terms
        self._on_new_term = new_term
        self._of_members, self._of_policies = of_members, of_policies
        self._on_disputed = disputed
        self._mend = mend
        self._quotas = quotas

    def learn(self, step: StepBuilder, decrees: Iterable[Decree]) -> None:
        """Store decrees that are known to be chosen, append them to the feed and notify the parts."""
        if isinstance(decrees, Decrees) and self._learn_whole(step, decrees):
            return
        known: list[Decree] = []
        fresh: list[Decree] = []
        for decree in decrees:
            if decree.key.startswith(TERMS) and not is_whole(decree.key):
                step.alarm(f"a peer tells a decree for {decree.key!r}, which is no key: it lies")
                continue
            instance = step.instances[decree.key]
            if not isinstance(instance, Instance):
                instance = self._readable(step, decree, instance)
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

    def _learn_whole(self, step: StepBuilder, decrees: Decrees) -> bool:
        """R20 for a batch of keys that have no decree here; False if any needs a look of its own."""
        found, keys = step.instances, decrees.keys
        if not keys or self._node.failed or not all_open([found[key] for key in keys]):
            return False
        if [key for key in keys if key[0] == RESERVED]:
            return False
        learned = learner.learn_first(decrees)
        if len(learned) < len(keys):
            return False
        step.store_batch(LearnedBatch(decrees, learned))
        self._append(step, decrees)
        self._spread(step, decrees, decrees)
        return True

    def _readable(self, step: StepBuilder, decree: Decree, found: Unserved) -> Instance | Unserved:
        """What a key has that could not be served, now that its decree is told."""
        if isinstance(found, WithheldInstance):
            return self._told(step, decree, found)
        if isinstance(found, DamagedInstance) and self._mend is not None:
            return self._mend(step, decree) or found
        return found

    def _told(
        self, step: StepBuilder, decree: Decree, found: WithheldInstance
    ) -> Instance | Unserved:
        """M18: the decree ends the silence, if it is the one that a feed has told."""
        if found.digest and found.digest != decree_digest(decree):
            step.alarm(
                f"key {decree.key!r}: a peer knows another decree for it than a feed has told, which"
                " means a corrupt disk or a bug; this node stays silent about it"
            )
            return found
        if not found.in_feed or self._node.failed:
            return EMPTY
        restored = Instance(learned=decree)  # it was learned before, so it is no new entry
        step.store(decree.key, restored)
        step.settle()
        return restored

    def on_commit(self, step: StepBuilder, sender: NodeId, message: Commit) -> None:
        """R20: learn a decree from a peer that knows that it is chosen.

        While the disk has no room, only if it is awaited (`tell_reads`); the others later, from a feed.
        """
        if not self._node.is_full or self._awaits(message.key):
            self.learn(step, (message.decree,))

    def on_commit_many(self, step: StepBuilder, sender: NodeId, message: CommitMany) -> None:
        """R20 for a batch: learn the keys that this node accepted in that ballot.

        The other keys are learned later from a feed. While the disk has no room no feed is read, so
        those who wait for one of them ask again.
        """
        is_full = self._node.is_full
        keys = list(filter(self._awaits, message.keys)) if is_full else message.keys
        found = [step.instances[key] for key in dict.fromkeys(keys)]
        held = [instance for instance in found if type(instance) is Instance]
        self.learn(step, Decrees(learner.all_chosen_in(held, message.ballot)))
        if is_full:
            self._look_again(step, keys)

    def on_fetched(self, step: StepBuilder, sender: NodeId, message: Fetched) -> None:
        """Learn decrees fetched from a peer."""
        self.learn_told(step, message.decrees)

    def learn_told(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Learn decrees of many keys; terms one by one, as each may push out earlier ones."""
        terms = [one for one in decrees if one.key[0] == RESERVED and is_term(one.key)]
        if terms:
            decrees = [decree for decree in decrees if not is_term(decree.key)]
        self.learn(step, decrees)
        for term in terms:
            self.learn(step, (term,))

    def _append(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Append newly learned decrees to the feed."""
        if isinstance(decrees, Decrees):
            digests = decrees.digests
        else:
            digests = digests_of(decrees, map(body_of, decrees))
        assert len(digests) == len(decrees), "a key is learned once"
        step.learn(self._node.feed_end, decrees, digests)
        self._node.feed_end += len(digests)
        self._recent.add(digests)
        if self._quotas is not None and self._quotas.counts:
            self._quotas.on_new(decrees)

    def _spread(
        self, step: StepBuilder, decrees: Sequence[Decree], fresh: Sequence[Decree]
    ) -> None:
        for listener in self._listeners if decrees else ():
            if any(listener.awaited):
                listener.on_learned(step, decrees)
        reserved = [decree for decree in decrees if decree.key[0] == RESERVED]
        if reserved:
            self._spread_reserved(step, reserved, fresh)

    def _spread_reserved(
        self, step: StepBuilder, reserved: Sequence[Decree], fresh: Sequence[Decree]
    ) -> None:
        """Terms of locks have a listener of their own; so have changes of members, and policies."""
        terms = [decree for decree in reserved if decree.key.startswith(TERMS)]
        if terms:
            self._spread_terms(step, terms, [decree for decree in fresh if is_term(decree.key)])
        for decree in reserved:
            if epoch_of(decree.key) is not None and self._of_members is not None:
                step.audit(members_learned(decree))
                self._of_members(step, decree)
            if number_of(decree.key) is not None and self._of_policies is not None:
                self._of_policies(step, decree)

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


def all_open(found: Iterable[Instance | Unserved]) -> bool:
    """Whether each of these can be served, and none has a decree."""
    return not [each for each in found if type(each) is not Instance or each.learned is not None]


def dispute_message(key: Key) -> str:
    """The error message for a key with two known decrees."""
    return (
        f"key {key!r}: two nodes know different decrees for it, which means a corrupt disk or a"
        " bug; it is not served until an operator has compared the nodes' data"
    )


def _wait_on(step: StepBuilder, keys: Collection[Key]) -> None:
    """What requests do until the reads are registered: there are none."""
