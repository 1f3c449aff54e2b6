"""`Voters`: whose votes decided in the old formation, and which of them can be heard.

Owns the question whether the directories are enough: whether everything that was decided is in them.

* S = n - min(P, A) + 1 voters of the last epoch meet each of its prepare quorums and accept quorums, so
  one of them voted for, or learned, whatever was chosen in it (M01).
* One that is ready holds what was chosen in the epochs before (M09).
* If none is ready, nothing was chosen in the epoch yet, and the question is that of the epoch before.
* A directory with damage, or an old copy, may have forgotten a vote. It is not heard.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from msgspec.structs import replace

from ...registry.config import ClusterConfig
from ...registry.members import MembersChange
from ...registry.paxos.epochs import Epoch
from ...registry.paxos.quorums import Quorums
from ...registry.types import NodeId, Value
from .old_directory import OldDirectory


class Voters(Value, frozen=True):
    """The voters of the last epoch of which the directories know.

    Args:
        epoch: the last epoch; None if the sizes of its quorums are not known.
        before: the one before; None for epoch 0.
        heard: the voters whose directories tell all that they voted for.
        complete: whether everything is in the directories that was decided before they stopped.
    """

    epoch: Epoch | None
    before: Epoch | None
    heard: tuple[NodeId, ...]
    complete: bool

    @property
    def gone(self) -> tuple[NodeId, ...]:
        """The voters that are not heard."""
        nodes = self.epoch.nodes if self.epoch is not None else ()
        return tuple(node for node in nodes if node not in self.heard)


def voters_of(
    directories: Sequence[OldDirectory], config: ClusterConfig, change: MembersChange | None
) -> Voters:
    """Who voted, and who is heard.

    Args:
        directories: all that are read; all of their rows have been read.
        config: of the new cluster; often the old one's too.
        change: the last change of members that may have been decided; None if there was none.
    """
    epoch = change.epoch if change is not None else _formed(directories, config)
    if epoch is None:
        return Voters(None, None, (), False)
    before = change.before if change is not None else None
    heard = _heard(epoch, directories)
    complete = _is_enough(epoch, directories, before)
    return Voters(epoch, before, tuple(sorted(heard)), complete)


def is_of_voter(directory: OldDirectory, epoch: Epoch) -> bool:
    """Whether a directory is that of a voter of an epoch; one that joined is none of epoch 0 (M19)."""
    if directory.identity.joins and epoch.disk_of(directory.node) is None:
        return False
    return epoch.has(directory.node, directory.identity.disk_id)


def is_old_copy(one: OldDirectory, directories: Sequence[OldDirectory], epoch: Epoch | None) -> str:
    """Why a directory is an older copy of its disk, or not its node's disk; empty if it is neither.

    Args:
        one: the directory.
        directories: all that are read.
        epoch: whose voters are looked for. The disk that it names is its node's, whatever a directory
            remembers that was left out of a change of members.
    """
    named = epoch.disk_of(one.node) if epoch is not None else None
    for other in directories:
        peer, cursor = other.peers.get(one.node), other.cursors.get(one.node)
        theirs = one.identity
        if other.identity.disk_id == theirs.disk_id and _age(other) > _age(one):
            return f"{other.path} is a newer copy of the same directory"
        if peer is not None and peer.disk_id != theirs.disk_id:
            if named != theirs.disk_id:
                return f"{other.path} knows {one.node} with another directory"
        elif peer is not None and peer.incarnation > theirs.incarnation:
            return (
                f"{other.path} has met start {peer.incarnation} of {one.node}, and this is of start"
                f" {theirs.incarnation}"
            )
        if cursor is not None and cursor.disk_id == theirs.disk_id and cursor.index > one.feed_end:
            return f"{other.path} has read more of its feed than it has"
    return ""


def _age(directory: OldDirectory) -> tuple[int, int]:
    return directory.identity.incarnation, directory.feed_end


def _is_enough(epoch: Epoch, directories: Sequence[OldDirectory], before: Epoch | None) -> bool:
    heard = _heard(epoch, directories)
    if len(heard) < epoch.seal:
        return False
    if any(each.seat.ready == epoch.number for each in heard.values()):
        return True
    return before is not None and _is_enough(before, directories, None)


def _heard(epoch: Epoch, directories: Sequence[OldDirectory]) -> Mapping[NodeId, OldDirectory]:
    return {
        each.node: each
        for each in directories
        if each.is_sound and is_of_voter(each, epoch) and not is_old_copy(each, directories, epoch)
    }


def _formed(directories: Sequence[OldDirectory], config: ClusterConfig) -> Epoch | None:
    """Epoch 0: the members that the directories met, with the sizes that their digest is of."""
    digests = {each.identity.digest for each in directories if not each.identity.joins}
    if len(digests) != 1:
        return None
    for quorums in (config.quorums, *_possible(directories)):
        members = tuple((node, "") for node in quorums.members)
        if replace(config, addresses=members, quorums=quorums).digest() in digests:
            return Epoch.formed(quorums)
    return None


def _possible(directories: Sequence[OldDirectory]) -> Iterator[Quorums]:
    for each in directories:
        nodes = tuple(sorted({each.node, *each.peers}))
        sizes = range(1, len(nodes) + 1)
        for prepare, accept in product(sizes, sizes):
            if prepare + accept > len(nodes):
                yield Quorums(nodes, prepare, accept)
