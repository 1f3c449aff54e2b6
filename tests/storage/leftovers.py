"""Old data directories for tests: of a cluster that has formed, closed, and perhaps damaged."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import (
    CursorRecord,
    EpochRecord,
    FeedRecord,
    FormationRecord,
    InstanceRecord,
    PeerRecord,
    Record,
)
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Ballot, Decree, NodeId, Process, Proposal, decree_digest
from decreed.storage.directory import open_directory

from .conftest import make_config

FORMATION = bytes(range(16))
CONFIG = make_config()


def known(*decrees: Decree) -> list[Record]:
    """Learned decrees, told in a feed that begins with them."""
    keys = tuple(each.key for each in decrees)
    instances = [InstanceRecord(each.key, Instance(learned=each)) for each in decrees]
    return [*instances, FeedRecord(0, keys, b"".join(map(decree_digest, decrees)))]


def proposed(decree: Decree, number: int, node: str = "a") -> InstanceRecord:
    """A decree that was accepted in the round `number` of `node`, and not learned."""
    ballot = Ballot(number, Process(NodeId(node), 1))
    return InstanceRecord(decree.key, Instance(promised=ballot, accepted=Proposal(ballot, decree)))


def disk_of(node: str) -> bytes:
    """The disk id of the directory of a node, as `leave` makes it."""
    return node.encode() * 16


def _random(node: str, count: int) -> bytes:
    """Stands for random bytes: disk ids are `disk_of`, and nonces are alike."""
    return disk_of(node)[:count]


def leave(
    path: Path,
    records: Iterable[Record] = (),
    *,
    config: ClusterConfig = CONFIG,
    formation: bytes | None = FORMATION,
    starts: int = 1,
    joins: bool = False,
) -> Path:
    """Make, or add to, the directory of the node that the last part of `path` names.

    Args:
        path: the directory.
        records: what is written.
        config: the node's cluster.
        formation: the formation that it is of; None if it never formed.
        starts: how often it is opened.
        joins: whether it was made to join a cluster that had formed.
    """
    node = NodeId(path.name[0])
    for _ in range(starts):
        storage = open_directory(path, config, node, partial(_random, node), joins=joins)
        if formation is not None:
            storage.write([FormationRecord(formation)])
        storage.write(list(records))
        records = ()
        storage.close()
    return path


def met(
    node: str, incarnation: int = 1, cursor: int = 0, disk_id: bytes | None = None
) -> list[Record]:
    """What a node remembers of another."""
    disk_id = disk_id or disk_of(node)
    peer = PeerRecord(NodeId(node), disk_id, incarnation, bytes(16))
    return [peer, CursorRecord(NodeId(node), disk_id, cursor)]


def seated(known_epoch: int, ready: int | None) -> EpochRecord:
    """The seat of a node."""
    return EpochRecord(known_epoch, ready, 0)


def state(*folders: Path) -> Mapping[str, bytes | float]:
    """Every file in some folders, with its bytes and when it was written."""
    found: dict[str, bytes | float] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            found[str(path)] = path.read_bytes() if path.is_file() else 0
            found[f"{path} written"] = path.stat().st_mtime_ns
    return found


def flip(path: Path, at: int) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def by_node(decree: Decree, claimant: str) -> Decree:
    """The same decree of another claimant."""
    return replace(decree, claimant=claimant)


def tables(path: Path) -> Sequence[Path]:
    """The tables of a directory."""
    return sorted((path / "db").glob("*.sst"))
