"""The records that a node keeps on disk, and the protocol that a storage implements.

The node's state machine emits records. The server passes all records of one turn to `Storage.write`,
which makes them durable in one batch, immediately or with the next sync. `decreed.storage` has the
implementations; no module of `registry` imports them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from .batch_records import AcceptedBatch as AcceptedBatch
from .batch_records import LearnedBatch as LearnedBatch
from .checked import CheckedPage
from .counting import CacheCounts
from .incarnations import IncarnationHistory
from .locks.restored import Restoration
from .paxos.instance import Class, Instance
from .space import DiskSpace
from .types import Counter, Decree, Key, KeyText, NodeText, Value
from .unserved import Unserved
from .wire.handshake import NO_MEMBERS, Address, ClusterId, Digest, IdBytes, PublicKey
from .wire.requests import PathText


class FormedMembers(Value, frozen=True):
    """The members of epoch 0, with which a directory was made (M19).

    Args:
        addresses: their names, in order, and where ``cluster.toml`` had them last.
        prepare, accept: the sizes of their quorums.
    """

    addresses: tuple[tuple[NodeText, Address], ...]
    prepare: Counter
    accept: Counter


class DirectoryIdentity(Value, frozen=True):
    """The owner of a directory, and the incarnation that is using it (R05).

    Args:
        cluster_id: the cluster's id, from ``cluster.toml``.
        node: the member's name.
        digest: the digest of members and quorum sizes at the time when the directory was made;
            `NO_MEMBERS` if it was made to join.
        disk_id: random, made with the directory.
        incarnation: how often the directory has been opened, including this time.
        nonce: random, made at this opening; distinguishes this incarnation from those of copies.
        formation: the formation that the node belongs to; None until it has formed.
        signing_key: the directory's public key; None only in what earlier builds wrote.
        members: those of epoch 0; None if it was made to join, or in what earlier builds wrote.
    """

    cluster_id: ClusterId
    node: NodeText
    digest: Digest
    disk_id: IdBytes
    incarnation: Counter
    nonce: IdBytes
    formation: IdBytes | None
    signing_key: PublicKey | None = None
    members: FormedMembers | None = None

    @property
    def joins(self) -> bool:
        """Whether the cluster formed without this directory (M19); true permanently."""
        return self.digest == NO_MEMBERS


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
    """What the node remembers of a peer: its disk, and the highest incarnation that it met.

    Args:
        node: the peer.
        disk_id: of its directory.
        incarnation, nonce: the highest incarnation that was met.
        address: where it last said that it is reached; None if it said nothing.
        signing_key: the public key of its directory; None if it has not been told yet.
    """

    node: NodeText
    disk_id: IdBytes
    incarnation: Counter
    nonce: IdBytes
    address: Address | None = None
    signing_key: PublicKey | None = None


class CursorRecord(Value, frozen=True, tag=4):
    """How far a peer's feed has been read: all entries below `index` are learned here too."""

    node: NodeText
    disk_id: IdBytes
    index: Counter


class FormationRecord(Value, frozen=True, tag=5):
    """The node belongs to a formation from now on.

    The cluster has formed, and every member has confirmed this node's disk id; or the node has joined.

    Args:
        formation: its id.
        restoration: how it was restored; None if it was not. It is in this record so that no batch
            can have the one without the other (M19).
    """

    formation: IdBytes
    restoration: Restoration | None = None


class ForgetRecord(Value, frozen=True, tag=6):
    """The slots of `series` below `floor` are forgotten permanently.

    The floor is written in the batch that deletes the instances below it. So after a crash a node
    knows that it has dropped a promise. A floor never goes down: a record that would lower it changes
    nothing. A `FeedRecord` of the same batch has the entry that tells the floor to readers of the
    feed (M16); the next floor of the series deletes it.

    Args:
        series: its path.
        floor: all slots below it are forgotten.
        entry: the index of the feed entry that tells the floor.
    """

    series: PathText
    floor: Counter
    entry: Counter


class ClassRecord(Value, frozen=True, tag=7):
    """The class promise that this node has given to a home; replaces the one before (R13)."""

    promised: Class


class EpochRecord(Value, frozen=True, tag=8):
    """The node's seat; replaces the record before (M05, M09).

    Args:
        known: the node has learned ``$members@known``, and votes in no epoch below (M04).
        ready: the latest epoch for which it has taken over; None if there is none.
        base: where its feed ended when it became ready for that epoch (M17).
        since: the incarnation in which it became ready; 0 in epoch 0. A copy of the directory from
            before that becomes ready in another one, by which its peers know it (M22).
    """

    known: Counter
    ready: Counter | None
    base: Counter
    since: Counter = 0


class PeerSeatRecord(Value, frozen=True, tag=9):
    """The highest seat that a peer's directory has told; replaces the one before (M22).

    Args:
        node: the peer.
        incarnation: of the peer, when it told this.
        known, ready, base, since: as in `EpochRecord`.
    """

    node: NodeText
    incarnation: Counter
    known: Counter
    ready: Counter | None
    base: Counter
    since: Counter = 0


class WithheldRecord(Value, frozen=True, tag=10):
    """The node is silent about `key` (M18): no sound page showed it at a change, or the record is gone.

    The key reads back as `WithheldInstance`, also after a restart, and counts as one in doubt. What the
    node had accepted for it stays on the disk. The next `InstanceRecord` of the key replaces this. A
    learned decree is never replaced by it.

    Args:
        key: the key.
        epoch: the epoch that was taken over, or the one that was known.
        digest: of the decree, if a feed says that the key is decided, and its node cannot read the
            decree: then nothing else ends the silence. Otherwise empty.
        in_feed: whether that feed is the node's own. So it had learned the decree, and has lost it; the
            decree adds nothing to its feed when it comes back.
    """

    key: KeyText
    epoch: Counter
    digest: bytes = b""
    in_feed: bool = False


Record = (
    InstanceRecord
    | AcceptedBatch
    | LearnedBatch
    | FeedRecord
    | PeerRecord
    | CursorRecord
    | FormationRecord
    | ForgetRecord
    | ClassRecord
    | EpochRecord
    | PeerSeatRecord
    | WithheldRecord
)


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
        floors: the floor of each series that has one.
        epoch: the node's seat; None in epoch 0.
        members: the decree that names the voters of the epoch that the seat knows; None in epoch 0,
            or if it cannot be read or is disputed.
        disputed: the changes of members for which the directory has two decrees (M21).
        seats: what peers have told of theirs.
        withheld: the keys that are withheld, in order; they are among `unlearned`.
        restoration: how the node's formation was restored; None if it was not.
        policies: the newest learned policies, newest first, down to one that this version can read.
    """

    identity: DirectoryIdentity
    history: IncarnationHistory
    peers: tuple[PeerRecord, ...]
    cursors: tuple[CursorRecord, ...]
    feed_end: Counter
    unlearned: tuple[Key, ...]
    classes: tuple[Class, ...] = ()
    floors: tuple[ForgetRecord, ...] = ()
    epoch: EpochRecord | None = None
    members: Decree | None = None
    seats: tuple[PeerSeatRecord, ...] = ()
    withheld: tuple[Key, ...] = ()
    restoration: Restoration | None = None
    disputed: tuple[Key, ...] = ()
    policies: tuple[Decree, ...] = ()


def weight_of_learned(instances: Iterable[Instance | Unserved]) -> int:
    """The bytes of the learned decrees. Proposals that are only accepted have another bound."""
    # one expression that compares types, since this runs for each key that is read
    return sum(
        [len(i.learned.value) for i in instances if type(i) is Instance and i.learned is not None]
    )


class Storage(Protocol):
    """A node's disk. Calls block. One thread loads and writes; other threads scan and read.

    A batch is durable once it is synced. When the machine loses power, or the process is killed, a
    suffix of the batches since the last sync may be lost, in whole batches. Every read sees every
    batch, synced or not.

    All reading methods except `load` and `check` raise `decreed.registry.errors.Damaged` if they read a
    damaged record; `load` reports it for each key instead.
    """

    def recovered(self) -> Recovered:
        """What was recovered when the directory was opened."""
        ...

    @property
    def cached(self) -> CacheCounts:
        """How often `load` found keys in memory."""
        ...

    @property
    def space(self) -> Callable[[], DiskSpace | None]:
        """Measures what the directory takes and what is free; None without a disk. It blocks."""
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

        A `ForgetRecord` takes effect last, wherever it stands among the others; its feed entry is in
        the same batch. So the newest feed entry is never deleted, and the feed's end is read from it.

        Args:
            records: what to write; an empty batch is a batch too.
            sync: whether the batch is durable when this returns, with everything written before it.
                Otherwise it waits in memory for the next synced write, or for `write_deferred`.

        Raises:
            StorageFailed: if the disk is full or the write failed. Every later write and sync
                raises it too. A synced batch that failed is never read in this incarnation; after
                a crash it may be there.
        """
        ...

    def write_deferred(self) -> None:
        """Give the system what waits for a synced write, without a sync: a kill takes it no more.

        Raises:
            StorageFailed: if this write, or an earlier write or sync, failed. All later ones raise it.
        """
        ...

    def sync(self) -> None:
        """Make everything durable that was written so far; does nothing if all of it is durable.

        Raises:
            StorageFailed: if this sync, or an earlier write or sync, failed. All later ones raise it.
        """
        ...

    def scan(
        self,
        prefix: str,
        after: str,
        limit: int,
        max_bytes: int,
        until: str = "",
        within: tuple[str, ...] = (),
    ) -> ScanPage:
        """Instances under `prefix` (whole segments) after the key `after`, in key order.

        If `until` is given, no instance after it is returned, and a page is complete if it has all
        others. If `within` is given, only what is under one of these prefixes is read: they are below
        `prefix`, and none is below another.

        It has at most `limit` instances, and stops once it has `max_bytes`. It has at least one if
        there is any, so a page that is not complete is never empty.
        """
        ...

    def feed(self, start: int, limit: int, known_below: int = 0) -> tuple[Sequence[FeedEntry], int]:
        """Up to `limit` entries from `start` on, and the index where the next ones begin.

        Entries below `known_below` may be left out, unless their keys are reserved. Then more may have
        been looked at than are returned.
        """
        ...

    def check(self, position: bytes, max_bytes: int) -> CheckedPage:
        """Read what lies on the disk from `position` on, and check it; damage is reported, not raised.

        Args:
            position: the `next` of the page before; empty at the beginning.
            max_bytes: about so much is read.
        """
        ...

    def last_slot(self, series: str) -> int:
        """The highest slot of `series` that this node knows to be decided; 0 if there is none.

        It is the highest learned slot, or the floor if that is higher: the slot at the floor is
        decided, but this node may not have learned it.
        """
        ...

    def keep_in_memory(self, keeps: bool) -> None:
        """Say whether what is read and written from now on will be needed soon; at first it is.

        What is in memory stays right either way.
        """
        ...

    def close(self) -> None:
        """Release the directory. It is safe to call this twice."""
        ...
