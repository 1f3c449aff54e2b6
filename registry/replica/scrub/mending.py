"""Mending: damaged records of decrees are taken from the others, once a scrub has found them.

A record that cannot be read was one of two kinds. If this node had learned the decree, its own feed
names the key with the digest of that decree: both were written in one batch. If the feed does not name
the key, the record was a vote, whose outcome this node did not know.

Invariants kept here:

* A record that the feed names is replaced by that decree alone: the digest must be the one in the feed.
  If it is another one, two decrees were learned for the key, and nothing is repaired.
* A vote is never made up, weakened or copied. A node whose record of one is damaged is silent about the
  key (as in M18) until it learns the decree from a node that has learned it (R20). Then promises and
  acceptances do not matter any more: every question is answered with the decree. What this node still
  has in memory is what it had written, so it may be written again (R13, R14).
* A decree whose record is gone, or is older than the feed says, is withheld in the step that finds that
  out (M18): until the decree comes, the node is silent about the key, also after a restart. Before that
  step it answers as if it had never heard of the key. So it does with a vote that is gone, and that
  nothing names (`docs/recovery.md` says what that can cost).
* Nothing is repaired before the whole feed was read. A part of it that cannot be read is passed over,
  and only the keys that the rest names are repaired.
* Of the keys that are withheld, those that the whole feed does not name were never learned here: that
  lets pages of others release them (`members.releasing`).
* A key that a peer has learned and the walk has not shown here is only behind, unless the feed named it
  before the scrub began: then its record was lost.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from ...disk import FeedEntry
from ...paxos.instance import EMPTY, Instance
from ...types import Decree, Key, NodeId, decree_digest
from ...unserved import ForgottenInstance, Unserved
from ...wire.peers import FLOOR_DIGEST, MAX_FETCH, Fetch
from ..feed.serving import PAGE_ENTRIES, SERVE_KEYS
from ..step.disk_reads import FeedDone
from ..step.effects import ReadFeed, Send
from ..step.events import Named, ResendRead
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone
from .tally import ScrubTally

PATIENCE_MS = 1_000
"""So long a node is waited for, as long as decrees come from it, before the next one is asked."""


FINER = 4
"""A page of the feed that cannot be read is read again in parts: the first one is so much smaller."""
MAX_STRIDE = 256
"""The most entries that are passed over together, once the first of them cannot be read."""


class Silence(Protocol):
    """The keys that this node withholds (M18)."""

    @property
    def keys(self) -> Collection[Key]:
        """All of them."""
        ...

    def withhold_lost(self, step: StepBuilder, key: Key, digest: bytes) -> None:
        """Be silent about a key whose record is gone; the feed has this digest of its decree."""
        ...

    def on_unnamed(self, keys: Iterable[Key]) -> None:
        """The whole feed of this node names none of these keys."""
        ...


class Mending:
    """The repair at the end of a scrub.

    Args:
        node: who we are.
        over: called when the repair is over.
        silence: the keys that are withheld, and more of them.
    """

    def __init__(self, node: Node, over: Callable[[StepBuilder], None], silence: Silence) -> None:
        self._node = node
        self._over = over
        self._silence = silence
        self._tally = ScrubTally(0, 0, 0.0)
        self._reading = 0
        self._limit, self._stride, self._has_gap = PAGE_ENTRIES, 1, False
        self._token = 0
        self._names: dict[Key, FeedEntry] = {}
        self._suspects: dict[Key, None] = {}
        self._wanted: dict[Key, None] = {}
        self._peers: list[NodeId] = []
        self._left = 0
        self.awaited = (self._wanted,)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"suspect records": self._suspects, "records to repair": self._wanted}

    # -- what the feed says

    def begin(self, step: StepBuilder, tally: ScrubTally) -> None:
        """Repair what a scrub has found; `over` is called at the end."""
        self._tally = tally
        self._names.clear()
        self._limit, self._stride, self._has_gap = PAGE_ENTRIES, 1, False
        self._suspects.update(dict.fromkeys(tally.damaged))
        self._suspects.update(tally.missing)
        tally.withheld.update(self._silence.keys)
        self._suspects.update(dict.fromkeys(tally.withheld))
        if self._suspects and not self._node.failed:
            self._read(step, 0)
        else:
            self._end(step)

    def _read(self, step: StepBuilder, start: int) -> None:
        self._reading = start
        step.read(ReadFeed(self._node.tokens.read(self), start, self._limit))

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """Look for the suspects in a page of this node's own feed."""
        assert isinstance(done, FeedDone), "the feed was asked for"
        self._limit, self._stride = min(PAGE_ENTRIES, self._limit * FINER), 1
        for entry in done.entries:
            if entry.key in self._suspects and entry.digest != FLOOR_DIGEST:
                self._names.setdefault(entry.key, entry)
        if done.entries and done.next_index > self._reading:
            self._read(step, done.next_index)
        else:
            self._judge(step)

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """A part of the feed cannot be read: come as near to it as can be, and go on behind it."""
        start = self._reading
        if self._limit > 1:
            self._limit //= FINER
        else:
            self._has_gap = True
            start += self._stride
            self._stride = min(MAX_STRIDE, self._stride * 2)
        if start < self._tally.feed_end:
            self._read(step, start)
        else:
            self._has_gap = True
            self._judge(step)

    def _judge(self, step: StepBuilder) -> None:
        """The feed is read: look at what is damaged, and at what the disk should have shown."""
        damaged, began = self._tally.damaged, self._tally.feed_end
        if self._has_gap:  # what the rest does not name may be named there
            for key in [key for key in self._suspects if key not in self._names]:
                del self._suspects[key]
        self._silence.on_unnamed([key for key in self._suspects if key not in self._names])
        looked_at = [key for key in self._suspects if key in damaged or self._was_named(key, began)]
        self._suspects.clear()
        step.again(Named(tuple(looked_at)))

    def _was_named(self, key: Key, before: int) -> bool:
        """Whether the feed has named a key before this entry."""
        entry = self._names.get(key)
        return entry is not None and entry.index < before

    def on_named(self, step: StepBuilder, event: Named) -> None:
        """Write again what is still in memory, and ask the others for the rest."""
        for key in event.keys[:SERVE_KEYS]:
            self._begin_repair(step, key, step.instances[key])
        if event.keys[SERVE_KEYS:]:
            step.again(Named(event.keys[SERVE_KEYS:]))
        else:
            self._peers = list(self._node.sources)
            self._next_peer(step)

    def _begin_repair(self, step: StepBuilder, key: Key, found: Instance | Unserved) -> None:
        if isinstance(found, ForgottenInstance):
            if key in self._tally.damaged:
                self._tally.repair(key)  # nobody needs it
            return
        lost = key not in self._tally.damaged
        if lost and key in self._tally.withheld and isinstance(found, Instance):
            return  # its row was no instance when it was walked over; the decree has come since
        if lost:
            self._tally.add_lost(key)
        if isinstance(found, Instance) and self._is_whole(key, found):
            if lost:
                step.alarm(
                    f"the record of key {key!r} {self._what_is_wrong()}; it is written again"
                )
            step.store(key, found)
            step.settle()
            self._tally.repair(key)
            return
        self._wanted[key] = None
        if lost and isinstance(found, Instance):
            self._silence.withhold_lost(step, key, self._names[key].digest)

    def _what_is_wrong(self) -> str:
        """What may be said of a record that the walk has not shown, and that memory has."""
        if self._tally.faults:
            return "was not found: it is gone, or behind what cannot be read"
        return "is gone: the disk has lost what it had synced"

    def _is_whole(self, key: Key, found: Instance) -> bool:
        """Whether what is in memory is all that the record had; it had a decree if the feed names one.

        A blank instance stands for no record, and there was one.
        """
        entry = self._names.get(key)
        if entry is None:
            return found != EMPTY
        return found.learned is not None and decree_digest(found.learned) == entry.digest

    # -- what the others have

    def _next_peer(self, step: StepBuilder) -> None:
        if not self._wanted or not self._peers:
            self._end(step)
            return
        self._token = self._node.tokens.ask(self)
        self._fetch(step)

    def _fetch(self, step: StepBuilder) -> None:
        self._left = len(self._wanted)
        keys = tuple(self._wanted)
        for start in range(0, len(keys), MAX_FETCH):
            step.at_once(Send(self._peers[0], Fetch(keys[start : start + MAX_FETCH])))
        step.ask_again(self._token, PATIENCE_MS)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Ask the same node again if decrees came from it, and otherwise the next one."""
        if timer.token != self._token:
            return
        if self._wanted and len(self._wanted) < self._left:
            self._fetch(step)
            return
        self._node.tokens.close(self._token)
        del self._peers[0]
        self._next_peer(step)

    def readable(self, step: StepBuilder, decree: Decree) -> Instance | None:
        """What a damaged record is now that a peer tells its decree; None: it stays damaged.

        The blank instance stands for a record that the feed does not name: the decree is learned like
        a new one.
        """
        key = decree.key
        if key not in self._wanted or self._node.failed:
            return None
        named = self._names.get(key)
        if named is None:
            return EMPTY
        if named.digest != decree_digest(decree):
            self._differs(step, key)
            return None
        mended = Instance(learned=decree)
        step.store(key, mended)
        step.settle()
        return mended

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """The decrees of these keys are on the disk again."""
        for decree in decrees:
            if decree.key not in self._wanted:
                continue
            del self._wanted[decree.key]
            self._tally.repair(decree.key)
            named = self._names.get(decree.key)
            if named is not None and named.digest != decree_digest(decree):
                self._differs(step, decree.key)
        self._end_if_all_came(step)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Nobody needs the records of forgotten terms."""
        for key in [key for key in self._wanted if gone.covers(key)]:
            del self._wanted[key]
            self._tally.repair(key)
        self._end_if_all_came(step)

    def _differs(self, step: StepBuilder, key: Key) -> None:
        step.alarm(
            f"key {key!r}: a peer knows another decree for it than this node has learned, as its feed"
            " says; one of the two disks is corrupt, or it is a bug: nothing is repaired"
        )
        self._tally.differing[key] = None
        self._wanted.pop(key, None)
        self._end_if_all_came(step)

    def _end_if_all_came(self, step: StepBuilder) -> None:
        if self._peers and not self._wanted:
            self._node.tokens.close(self._token)
            self._end(step)

    def _end(self, step: StepBuilder) -> None:
        self._wanted.clear()
        self._suspects.clear()
        self._peers, self._token = [], 0
        self._over(step)
