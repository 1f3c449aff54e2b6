"""The data directories of a new formation, filled with decrees: by a restore, or by a recovery.

All members get their directories here, at once, in the state in which they would be if they had formed
and each had read the whole feed of every other. Why the rules hold in the new formation:

* R05: the disks are new, and nobody has made a ballot in this formation. Ballots of the old one are in
  decrees only, where they are information.
* R07, R13: every node remembers the disk of every other with its first incarnation. So a directory that
  was wiped, copied, or restored another time is refused from the first greeting on.
* R08, R21: nodes hold nothing but decrees, and all hold the same, so no quorum can choose anything
  else.
* Home promises are asked for by each node's next incarnation. Its own instance of every restored key is
  learned, and the cursors say truly that everything in the others' feeds is learned here.
* Locks go on above all tokens that may have been given (`decreed.registry.locks.restored`).

Invariant: a directory can be opened by a node only once all directories of the formation are durable.
"""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..registry.config import ClusterConfig
from ..registry.disk import (
    CursorRecord,
    DirectoryIdentity,
    FeedRecord,
    ForgetRecord,
    FormationRecord,
    InstanceRecord,
    PeerRecord,
    Record,
)
from ..registry.errors import BadRequest, Refused
from ..registry.incarnations import NONCE_BYTES
from ..registry.locks.restored import Restoration, fits
from ..registry.locks.terms import is_term, lock_and_term, lock_path, term_key
from ..registry.paxos.instance import Instance
from ..registry.types import Decree, Key, NodeId, Value, decree_digest
from ..registry.wire.codec import encode
from ..registry.wire.frames import portions
from ..registry.wire.peers import FLOOR_DIGEST
from . import incarnations
from .bytestore import ByteStore
from .directory import check_unused, make_usable, new_directory
from .identity import RandomBytes
from .layout import IDENTITY_KEY
from .records import pack
from .store import RecordStore

BATCH_BYTES = 1024 * 1024
BATCH_DECREES = 1_000
FIRST = 1
"""The incarnation in which a directory is filled; a node's first start is the next one."""

Show = Callable[[int], None]


class NewMember(Value, frozen=True):
    """A member of the new formation.

    Args:
        node: its name.
        disk_id: the id of its new directory.
        nonce: of its first incarnation.
    """

    node: NodeId
    disk_id: bytes
    nonce: bytes


class Filling:
    """Writes decrees into all stores alike.

    Args:
        stores: of all members.
        restoration: where the tokens of locks go on.

    Attributes:
        index: the end of their feeds.
        locks: how many locks were met.
    """

    def __init__(self, stores: Sequence[RecordStore], restoration: Restoration) -> None:
        self._stores = stores
        self._restoration = restoration
        self.index = 0
        self.locks = 0

    def fill(self, decrees: Iterable[Decree]) -> Iterator[int]:
        """Write all decrees; yields how many are written, from time to time."""
        kept = self._without_old_terms(decrees)
        for batch in portions(kept, _size, BATCH_BYTES, BATCH_DECREES):
            records = list(self._records(batch))
            for store in self._stores:
                store.write(records, sync=False)
            yield self.index

    def _without_old_terms(self, decrees: Iterable[Decree]) -> Iterator[Decree]:
        """The decrees, with one restored term for all terms of a lock."""
        latest: Decree | None = None
        for decree in decrees:
            is_next = is_term(decree.key)
            if latest is not None and not (is_next and _is_same_lock(latest, decree)):
                yield self._restored(latest)
                latest = None
            if is_next:
                latest = decree
            else:
                yield decree
        if latest is not None:
            yield self._restored(latest)

    def _restored(self, latest: Decree) -> Decree:
        lock, number = lock_and_term(latest.key)
        if not fits(self._restoration, number):
            raise Refused(f"the lock {lock!r} is at term {number}, and has no room for new ones")
        self.locks += 1
        return self._restoration.known_term(lock, latest, number)

    def _records(self, batch: Sequence[Decree]) -> Iterator[Record]:
        """The records of some decrees; a restored term has a floor, which the feed tells too (M16)."""
        keys: list[Key] = []
        digests: list[bytes] = []
        for decree in batch:
            yield InstanceRecord(decree.key, Instance(learned=decree))
            keys.append(decree.key)
            digests.append(decree_digest(decree))
            if is_term(decree.key):
                lock, number = lock_and_term(decree.key)
                yield ForgetRecord(lock_path(lock), number, self.index + len(keys))
                keys.append(term_key(lock, number - 1))
                digests.append(FLOOR_DIGEST)
        yield FeedRecord(self.index, tuple(keys), b"".join(digests))
        self.index += len(keys)


class NewFormation:
    """The directories of all members, open and being filled; `new_formation` makes it.

    Args:
        config: the cluster that is to start.
        restoration: how the formation is made.
        data: the empty byte store of each member.

    Attributes:
        id: of the formation.
        locks: how many locks it goes on with.
    """

    def __init__(
        self,
        config: ClusterConfig,
        restoration: Restoration,
        data: Mapping[NewMember, ByteStore],
    ) -> None:
        self._restoration = restoration
        self._stores = {member: _begin(each, config, member) for member, each in data.items()}
        self._filling = Filling(list(self._stores.values()), restoration)
        self.id = formation_id(config, list(data), restoration)

    @property
    def locks(self) -> int:
        """How many locks it goes on with."""
        return self._filling.locks

    def fill(self, decrees: Iterable[Decree], show: Show) -> None:
        """Write all decrees, which are in order of key; `show` is told how many from time to time."""
        for count in self._filling.fill(decrees):
            show(count)

    def complete(self) -> None:
        """Form: each remembers all others, and that their feeds are read; all of it durable."""
        members = list(self._stores)
        for member, store in self._stores.items():
            others = [other for other in members if other != member]
            peers = [PeerRecord(each.node, each.disk_id, FIRST, each.nonce) for each in others]
            end = self._filling.index
            cursors = [CursorRecord(each.node, each.disk_id, end) for each in others]
            formed = FormationRecord(self.id, self._restoration)
            store.write([formed, *peers, *cursors])


@contextmanager
def new_formation(
    config: ClusterConfig,
    paths: Mapping[NodeId, Path],
    restoration: Restoration,
    random_bytes: RandomBytes,
) -> Generator[NewFormation]:
    """The directories of a new formation, to be filled and completed in a ``with`` block.

    If the block succeeds, all of them are durable. No node opens any of them before `start_with`.

    Args:
        config: the cluster that is to start.
        paths: the directory of each of its members.
        restoration: how the formation is made.
        random_bytes: makes disk ids and nonces.

    Raises:
        DecreedError: if a directory does not fit, or cannot be written.
    """
    members = [
        NewMember(node, random_bytes(16), random_bytes(NONCE_BYTES)) for node in config.nodes
    ]
    with ExitStack() as opened:
        data = {each: opened.enter_context(new_directory(paths[each.node])) for each in members}
        yield NewFormation(config, restoration, data)


def start_with(paths: Iterable[Path]) -> None:
    """Let nodes open the directories of a new formation, after the last thing that must come first.

    It may be repeated: a crash in the middle leaves some that may be opened, which alone are no
    formation but do no harm, since all of them are complete.
    """
    for path in paths:
        make_usable(path)


def check_paths(config: ClusterConfig, paths: Mapping[NodeId, Path]) -> None:
    """Check that each member has a directory of its own, with nothing in it.

    Raises:
        BadRequest: if a directory is missing, strange, or named twice.
        IdentityRefused: if there is anything in one.
    """
    missing = [node for node in config.nodes if node not in paths]
    if missing:
        raise BadRequest(
            f"no directory is named for {', '.join(missing)}: all members get theirs together, since"
            " each must know the others"
        )
    strange = [node for node in paths if node not in config.nodes]
    if strange:
        raise BadRequest(
            f"{', '.join(strange)} is no member; the members are {', '.join(config.nodes)}"
        )
    if len({path.absolute() for path in paths.values()}) < len(paths):
        raise BadRequest("two members have the same directory")
    for path in paths.values():
        check_unused(path)


def formation_id(
    config: ClusterConfig, members: Sequence[NewMember], restoration: Restoration
) -> bytes:
    """The id of the new formation: a hash of what it is restored from, a nonce, and all disks."""
    disks = [(member.node, member.disk_id) for member in members]
    facts = ("restored", restoration, config.cluster_id, disks)
    return hashlib.blake2b(encode(facts), digest_size=16).digest()


def _begin(data: ByteStore, config: ClusterConfig, member: NewMember) -> RecordStore:
    """A store with the identity of a node that has not formed."""
    identity = DirectoryIdentity(
        config.cluster_id, member.node, config.digest(), member.disk_id, FIRST, member.nonce, None
    )
    history = incarnations.added(data, FIRST, member.nonce)
    data.write({IDENTITY_KEY: pack(IDENTITY_KEY, identity), **history})
    return RecordStore(data, identity)


def _is_same_lock(one: Decree, other: Decree) -> bool:
    return lock_and_term(one.key)[0] == lock_and_term(other.key)[0]


def _size(decree: Decree) -> int:
    return len(decree.value) + 256
