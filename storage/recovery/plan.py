"""What a recovery is to do, and what it made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from ...registry.config import ClusterConfig
from ...registry.locks.restored import Restoration
from ...registry.types import NodeId


class RecoverPlan(Struct, frozen=True):
    """What is read, and what is made of it.

    Args:
        sources: the old directories.
        config: the cluster that is to start.
        data: the new directory of each of its members; empty if nothing is to be made.
        time_ms: the time, in milliseconds since 1970; tokens go on above it.
        ttl_ms: the least ttl of the restored terms of locks.
        other_cluster: whether the directories may be of a cluster with another id.
        read_only: whether the old directories stay as they are, such as copies on another machine.
        again: whether directories that were recovered before will do.
    """

    sources: Sequence[Path]
    config: ClusterConfig
    data: Mapping[NodeId, Path]
    time_ms: int
    ttl_ms: int
    other_cluster: bool = False
    read_only: bool = False
    again: bool = False


class RecoveredFormation(Struct, frozen=True):
    """What a recovery made.

    Args:
        formation: the id of the new formation.
        restoration: how it was made.
        locks: how many locks it goes on with.
    """

    formation: bytes
    restoration: Restoration
    locks: int
