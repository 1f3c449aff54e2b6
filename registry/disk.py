"""What a node keeps on disk: the records, and what a storage must offer.

The node's state machine emits records; the server hands all records of one turn to `Storage.write`,
which makes them durable in one batch, at once or with the next sync. `decreed.storage` has the
implementations; nothing in `registry` imports them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar, Protocol, Self

from . import errors
from .keys import series_and_slot
from .lineage import Lineage
from .paxos.instance import Class, Instance
from .types import Counter, Key, KeyText, NodeText, Value
from .wire.handshake import ClusterId, Digest, IdBytes
from .wire.requests import PathText


class Identity(Value, frozen=True):
    """Whose directory this is, and which life of the node is using it (R05).

    Args:
        cluster_id: the cluster's id, from ``cluster.toml``.
        node: the member's name.
        digest: of members and quorum sizes, as they were when the directory was made.
        disk_id: random, made with the directory.
        incarnation: how often the directory has been opened, this time included.
        nonce: random, made at this opening; tells this life from those of copies of the directory.
        formation: the formation that the node belongs to, None while it has not formed.
    """

    cluster_id: ClusterId
    node: NodeText
    digest: Digest
    disk_id: IdBytes
    incarnation: Counter
    nonce: IdBytes
    formation: IdBytes | None


class InstanceRecord(Value, frozen=True, tag=1):
    """The node's state of one Paxos instance, replacing the one before (R13, R14)."""

    key: KeyText
    instance: Instance


class FeedRecord(Value, frozen=True, tag=2):
    """The node's feed goes on with entry `index`: these keys were learned.

    Args:
        index: of the first one.
        keys: one for each entry.
        digests: those of their decrees, in one string.
    """

    index: Counter
    keys: tuple[KeyText, ...]
    digests: bytes


class FeedEntry(Value, frozen=True):
    """Entry `index` of the feed, as it is read back."""

    index: Counter
    key: KeyText
    digest: Digest


class PeerRecord(Value, frozen=True, tag=3):
    """What the node remembers of a peer: its disk, and the highest life of it that was met."""

    node: NodeText
    disk_id: IdBytes
    incarnation: Counter
    nonce: IdBytes


class CursorRecord(Value, frozen=True, tag=4):
    """Up to where a peer's feed has been pulled: all entries below `index` are learned here too."""

    node: NodeText
    disk_id: IdBytes
    index: Counter


class FormationRecord(Value, frozen=True, tag=5):
    """The cluster has formed; every member has confirmed this node's disk id."""

    formation: IdBytes


class ForgetRecord(Value, frozen=True, tag=6):
    """The slots of `series` below `floor` are forgotten, for ever.

    The floor is written in the same batch in which the instances below it are deleted, so no crash
    leaves a node that has dropped a promise and does not know it. A floor never goes down: a record
    that would lower it changes nothing.
    """

    series: PathText
    floor: Counter


class ClassRecord(Value, frozen=True, tag=7):
    """The standing promise that this node has given to a home, replacing the one before (R13)."""

    promised: Class


Record = (
    InstanceRecord
    | FeedRecord
    | PeerRecord
    | CursorRecord
    | FormationRecord
    | ForgetRecord
    | ClassRecord
)


class Unserved(Value, frozen=True):
    """Stands in for an instance that this node can say nothing about, as an acceptor least of all.

    Args:
        message: why, for people to read.
    """

    error: ClassVar[type[errors.DecreedError]] = errors.Refused

    message: str


class Damaged(Unserved, frozen=True):
    """The instance's record cannot be read; `message` names key and file."""

    error = errors.Damaged


class Forgotten(Unserved, frozen=True):
    """The slots of `series` below `floor` are forgotten; the one at `floor` is decided somewhere.

    Whoever has forgotten an instance never acts as its acceptor again: an empty one would let another
    value be chosen. To all the others it is as good as a node that is down.
    """

    error = errors.Forgotten

    series: PathText
    floor: Counter

    @classmethod
    def below(cls, series: str, floor: int) -> Self:
        """All slots of `series` before `floor`."""
        return cls(
            f"{series!r} is forgotten below slot {floor}; later ones are kept", series, floor
        )

    def covers(self, key: Key) -> bool:
        """Whether `key` is one of the slots that are forgotten."""
        series, slot = series_and_slot(key)
        return series == self.series and slot is not None and slot < self.floor


class ScanPage(Value, frozen=True):
    """Instances in key order; `complete` says that nothing lies behind the last one.

    Only instances with a decree learned or a proposal accepted are given; a mere promise is not.
    """

    instances: tuple[tuple[Key, Instance], ...]
    complete: bool


class Recovered(Value, frozen=True):
    """What a node needs in memory when it starts.

    Args:
        identity: with the new incarnation and its nonce, already durable.
        lineage: all lives of the directory, this one included.
        peers: what is remembered of each peer.
        cursors: how far each peer's feed has been pulled.
        feed_end: the index of the next feed entry.
        unlearned: keys with an acceptance whose outcome is not known; none may be left out, since
            standing promises are given on the strength of it.
        classes: the standing promises given to homes, one each at most.
    """

    identity: Identity
    lineage: Lineage
    peers: tuple[PeerRecord, ...]
    cursors: tuple[CursorRecord, ...]
    feed_end: Counter
    unlearned: tuple[Key, ...]
    classes: tuple[Class, ...] = ()


def weight_of_learned(instances: Iterable[Instance | Unserved]) -> int:
    """The bytes of the decrees that were learned. What is accepted only is bounded otherwise."""
    # in one expression, and types are compared: it is done for each key that is read
    return sum(
        [len(i.learned.value) for i in instances if type(i) is Instance and i.learned is not None]
    )


class Storage(Protocol):
    """A node's disk. Calls block. Loads and writes are made by one thread, scans and reads by others.

    A batch is durable once it is synced. One that is not may be lost when the machine loses power,
    but never alone: what is lost is a suffix of all that was written since the last sync, in whole
    batches. Nothing is lost when only the process is killed. Every read sees every batch, synced or
    not.

    All reading methods raise `Damaged` as an error (`decreed.registry.errors.Damaged`) when what
    they read is damaged; `load` reports it key by key instead.
    """

    def recovered(self) -> Recovered:
        """What was found when the directory was opened."""
        ...

    def load(
        self, keys: Collection[Key], max_bytes: float = ...
    ) -> Mapping[Key, Instance | Unserved]:
        """The instances of `keys`, each one; a key never seen has the empty instance.

        Of a slot below the floor of its series only that is said: it is `Forgotten`.

        Args:
            keys: which are wanted.
            max_bytes: once more was read from the disk, the others are left out. None are at first.
        """
        ...

    def write(self, records: Sequence[Record], *, sync: bool = True) -> None:
        """Write all records in one batch.

        A `ForgetRecord` counts last, wherever it stands among the others. The newest feed entry is
        never deleted, whatever it is about: where the feed ends is read from it.

        Args:
            records: what to write; none at all is a batch, too.
            sync: whether they are durable when this returns, and with them everything written
                before. Otherwise they are with the next synced write, or the next `sync`.

        Raises:
            StorageFailed: if the disk is full or the write failed. Every later write and sync
                raises it too. A synced batch that failed is never read in this life; after a crash
                it may be there.
        """
        ...

    def sync(self) -> None:
        """Make everything durable that was written so far; nothing to do is nothing done.

        Raises:
            StorageFailed: if that failed, or an earlier write or sync. Every later one raises it.
        """
        ...

    def scan(
        self, prefix: str, after: str, limit: int, max_bytes: int, until: str = ""
    ) -> ScanPage:
        """Instances under `prefix` (whole segments) behind the key `after`, in key order.

        None behind `until`, if that is given; the page is complete then if none lies before it either.

        At most `limit` of them, and none more once `max_bytes` are met; at least one if there is
        any, so a page that is not complete is never empty.
        """
        ...

    def feed(self, start: int, limit: int) -> tuple[Sequence[FeedEntry], int]:
        """Up to `limit` entries from `start` on, and the index behind the last one given."""
        ...

    def last_slot(self, series: str) -> int:
        """The highest slot of `series` that is known here to be decided, 0 if none.

        It is the highest learned one, or the floor if that is higher: what is decided there may not
        be learned here.
        """
        ...

    def close(self) -> None:
        """Give the directory back. Safe to call twice."""
        ...
