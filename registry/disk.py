"""The records that a node keeps on disk, and the protocol that a storage implements.

The node's state machine emits records. The server passes all records of one turn to `Storage.write`,
which makes them durable in one batch, immediately or with the next sync. `decreed.storage` has the
implementations; no module of `registry` imports them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar, Protocol, Self

from . import errors
from .incarnations import IncarnationHistory
from .keys import series_and_slot
from .paxos.instance import Class, Instance
from .types import Counter, Key, KeyText, NodeText, Value
from .wire.handshake import ClusterId, Digest, IdBytes
from .wire.requests import PathText


class Identity(Value, frozen=True):
    """The owner of a directory, and the incarnation that is using it (R05).

    Args:
        cluster_id: the cluster's id, from ``cluster.toml``.
        node: the member's name.
        digest: the digest of members and quorum sizes at the time when the directory was made.
        disk_id: random, made with the directory.
        incarnation: how often the directory has been opened, including this time.
        nonce: random, made at this opening; distinguishes this incarnation from those of copies.
        formation: the formation that the node belongs to; None until it has formed.
    """

    cluster_id: ClusterId
    node: NodeText
    digest: Digest
    disk_id: IdBytes
    incarnation: Counter
    nonce: IdBytes
    formation: IdBytes | None


class InstanceRecord(Value, frozen=True, tag=1):
    """The node's state of one Paxos instance; replaces the record before (R13, R14)."""

    key: KeyText
    instance: Instance


class FeedRecord(Value, frozen=True, tag=2):
    """Entries of the node's feed from `index` on: these keys were learned.

    Args:
        index: the index of the first entry.
        keys: one for each entry.
        digests: the digests of their decrees, joined.
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
    """What the node remembers of a peer: its disk, and the highest incarnation that it met."""

    node: NodeText
    disk_id: IdBytes
    incarnation: Counter
    nonce: IdBytes


class CursorRecord(Value, frozen=True, tag=4):
    """How far a peer's feed has been read: all entries below `index` are learned here too."""

    node: NodeText
    disk_id: IdBytes
    index: Counter


class FormationRecord(Value, frozen=True, tag=5):
    """The cluster has formed; every member has confirmed this node's disk id."""

    formation: IdBytes


class ForgetRecord(Value, frozen=True, tag=6):
    """The slots of `series` below `floor` are forgotten permanently.

    The floor is written in the batch that deletes the instances below it. So after a crash a node
    knows that it has dropped a promise. A floor never goes down: a record that would lower it changes
    nothing.
    """

    series: PathText
    floor: Counter


class ClassRecord(Value, frozen=True, tag=7):
    """The class promise that this node has given to a home; replaces the one before (R13)."""

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
    """Stands in for an instance that this node cannot answer about, least of all as an acceptor.

    Args:
        message: the reason, for people to read.
    """

    error: ClassVar[type[errors.DecreedError]] = errors.Refused

    message: str


class DamagedInstance(Unserved, frozen=True):
    """The instance's record cannot be read; `message` names key and file."""

    error = errors.Damaged


class ForgottenInstance(Unserved, frozen=True):
    """The slots of `series` below `floor` are forgotten; the one at `floor` is decided somewhere.

    A node that has forgotten an instance never acts as its acceptor again: an empty instance would let
    another value be chosen. For such an instance the node counts as down.
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
    """Instances in key order; `complete` means that there is none after the last one.

    It contains only instances with a learned decree or an accepted proposal, and none with only a
    promise.
    """

    instances: tuple[tuple[Key, Instance], ...]
    complete: bool


class Recovered(Value, frozen=True):
    """What a node needs in memory when it starts.

    Args:
        identity: with the new incarnation and its nonce, already durable.
        history: all incarnations of the directory, including this one.
        peers: what is remembered of each peer.
        cursors: how far each peer's feed has been read.
        feed_end: the index of the next feed entry.
        unlearned: all keys with an acceptance whose outcome is not known; class promises report them,
            so none may be missing.
        classes: the class promises to homes, at most one for each.
    """

    identity: Identity
    history: IncarnationHistory
    peers: tuple[PeerRecord, ...]
    cursors: tuple[CursorRecord, ...]
    feed_end: Counter
    unlearned: tuple[Key, ...]
    classes: tuple[Class, ...] = ()


def weight_of_learned(instances: Iterable[Instance | Unserved]) -> int:
    """The bytes of the learned decrees. Proposals that are only accepted have another bound."""
    # one expression that compares types, since this runs for each key that is read
    return sum(
        [len(i.learned.value) for i in instances if type(i) is Instance and i.learned is not None]
    )


class Storage(Protocol):
    """A node's disk. Calls block. One thread loads and writes; other threads scan and read.

    A batch is durable once it is synced. When the machine loses power, a suffix of the batches since
    the last sync may be lost, in whole batches. Nothing is lost when only the process is killed.
    Every read sees every batch, synced or not.

    All reading methods except `load` raise `decreed.registry.errors.Damaged` if they read a damaged
    record; `load` reports it for each key instead.
    """

    def recovered(self) -> Recovered:
        """What was recovered when the directory was opened."""
        ...

    def load(
        self, keys: Collection[Key], max_bytes: float = ...
    ) -> Mapping[Key, Instance | Unserved]:
        """The instances of `keys`; a key never seen has the empty instance.

        A slot below the floor of its series is only reported as `ForgottenInstance`.

        Args:
            keys: the keys to load.
            max_bytes: once more than this was read from the disk, the other keys are left out; by
                default there is no limit.
        """
        ...

    def write(self, records: Sequence[Record], *, sync: bool = True) -> None:
        """Write all records in one batch.

        A `ForgetRecord` takes effect last, wherever it stands among the others. The newest feed entry
        is never deleted, since the end of the feed is read from it.

        Args:
            records: what to write; an empty batch is a batch too.
            sync: whether the batch is durable when this returns, with everything written before it.
                Otherwise it becomes durable with the next synced write, or the next `sync`.

        Raises:
            StorageFailed: if the disk is full or the write failed. Every later write and sync
                raises it too. A synced batch that failed is never read in this incarnation; after
                a crash it may be there.
        """
        ...

    def sync(self) -> None:
        """Make everything durable that was written so far; does nothing if all of it is durable.

        Raises:
            StorageFailed: if this sync, or an earlier write or sync, failed. All later ones raise it.
        """
        ...

    def scan(
        self, prefix: str, after: str, limit: int, max_bytes: int, until: str = ""
    ) -> ScanPage:
        """Instances under `prefix` (whole segments) after the key `after`, in key order.

        If `until` is given, no instance after it is returned, and a page is complete if it has all
        others.

        It has at most `limit` instances, and stops once it has `max_bytes`. It has at least one if
        there is any, so a page that is not complete is never empty.
        """
        ...

    def feed(self, start: int, limit: int) -> tuple[Sequence[FeedEntry], int]:
        """Up to `limit` entries from `start` on, and the index after the last of them."""
        ...

    def last_slot(self, series: str) -> int:
        """The highest slot of `series` that this node knows to be decided; 0 if there is none.

        It is the highest learned slot, or the floor if that is higher: the slot at the floor is
        decided, but this node may not have learned it.
        """
        ...

    def close(self) -> None:
        """Release the directory. It is safe to call this twice."""
        ...
