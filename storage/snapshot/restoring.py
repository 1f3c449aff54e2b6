"""Restoring: the data directories of a new formation, filled from a snapshot.

`decreed.storage.formation` makes the directories, and says why the rules hold in them. Half-done
proposals are in no snapshot: a save has finished them (R08, R21).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from ...registry.config import ClusterConfig
from ...registry.documents import time_text
from ...registry.errors import BadRequest, Refused
from ...registry.incarnations import NONCE_BYTES
from ...registry.locks.restored import Restoration
from ...registry.locks.terms import is_term, term_of
from ...registry.types import NodeId
from ..durable import replace_text
from ..formation import check_paths, new_formation, start_with
from ..identity import RandomBytes
from .chain import SnapshotChain
from .contents import Contents

NOTE = "restored.json"
"""A file in each directory that says what it was restored from."""


class RestorePlan(Struct, frozen=True):
    """What is restored, and into what.

    Args:
        paths: the chain, the full snapshot first.
        config: the cluster that is to start.
        data: the directory of each of its members.
        time_ms: the time, in milliseconds since 1970; tokens go on above it.
        ttl_ms: the least ttl of the restored terms of locks.
        other_cluster: whether the snapshot may be of a cluster with another id.
    """

    paths: Sequence[Path]
    config: ClusterConfig
    data: Mapping[NodeId, Path]
    time_ms: int
    ttl_ms: int
    other_cluster: bool = False


class Restored(Struct, frozen=True):
    """What a restore made.

    Args:
        formation: the id of the new formation.
        restoration: how it was made.
        contents: how much the snapshot has.
        locks: how many locks the snapshot knows.
    """

    formation: bytes
    restoration: Restoration
    contents: Contents
    locks: int


class Survey(Struct, frozen=True):
    """What a snapshot was found to have, when all of it was read and checked.

    Args:
        contents: how much.
        ttl_ms: the longest ttl of any term; 0 if there are no locks.
    """

    contents: Contents
    ttl_ms: int


def survey(plan: RestorePlan) -> Survey:
    """Check the directories, the cluster and each byte of the files, before anything is written.

    Raises:
        DecreedError: if something does not fit; names it.
        OSError: if a file cannot be read.
    """
    check_paths(plan.config, plan.data)
    longest = 0
    with SnapshotChain(plan.paths) as chain:
        _check_source(plan, chain)
        for decree in chain.decrees():
            if is_term(decree.key):
                longest = max(longest, term_of(decree).ttl_ms)
        return Survey(chain.contents, longest)


def restore(
    plan: RestorePlan,
    found: Survey,
    random_bytes: RandomBytes,
    show: Callable[[int], None] = lambda count: None,
) -> Restored:
    """Make the directories.

    Args:
        plan: what and into what.
        found: what `survey` returned for this plan.
        random_bytes: makes disk ids and nonces.
        show: called with how many decrees are restored so far.

    Raises:
        DecreedError: if a directory or a file does not fit, or was changed meanwhile.
        OSError: if a file cannot be read.
    """
    with SnapshotChain(plan.paths) as chain:
        restoration = Restoration(
            random_bytes(NONCE_BYTES),
            plan.time_ms,
            max(plan.ttl_ms, found.ttl_ms),
            chain.head.id,
            chain.head.formation,
        )
        with new_formation(plan.config, plan.data, restoration, random_bytes) as formation:
            formation.fill(chain.decrees(), show)
            if chain.contents != found.contents:
                raise Refused("the files were changed meanwhile: restore again")
            made = Restored(formation.id, restoration, chain.contents, formation.locks)
            formation.complete()
            for path in plan.data.values():
                _write_note(plan, path, made)
    start_with(plan.data.values())
    return made


def _write_note(plan: RestorePlan, path: Path, made: Restored) -> None:
    note = {
        "formation": made.formation.hex(),
        "restored": time_text(made.restoration.time_ms),
        "nonce": made.restoration.nonce.hex(),
        "snapshot": made.restoration.snapshot.hex(),
        "files": [each.name for each in plan.paths],
        "old_formation": made.restoration.formation.hex(),
        "decrees": made.contents.decrees,
        "locks": made.locks,
        "tokens_above": made.restoration.floor,
        "ttl_ms": made.restoration.ttl_ms,
    }
    replace_text(path / NOTE, json.dumps(note, indent=2) + "\n")


def _check_source(plan: RestorePlan, chain: SnapshotChain) -> None:
    head = chain.head
    if head.cluster_id != plan.config.cluster_id and not plan.other_cluster:
        raise BadRequest(
            f"the snapshot is of cluster {head.cluster_id!r}, and the config of"
            f" {plan.config.cluster_id!r}: take its own config, or say --other-cluster"
        )
    if head.begun_ms > plan.time_ms:
        raise BadRequest(
            f"the clock says {time_text(plan.time_ms)}, and the snapshot was begun at"
            f" {time_text(head.begun_ms)}: set the clock of this machine, since tokens go on above it"
        )
