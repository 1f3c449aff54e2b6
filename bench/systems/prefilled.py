"""Many keys in a moment: a snapshot is made up, and restored as the data of a new cluster.

To claim a million keys takes minutes, and what is measured afterwards does not depend on how they came.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.storage.snapshot.contents import SnapshotHead
from decreed.storage.snapshot.writer import SnapshotWriter

from .cluster import NotReady

BLOCK = 1_000
RESTORE_S = 400.0
ID_BYTES = 16
"""Of a claim."""
FORMATION_BYTES = 16


def write_snapshot(path: Path, keys: int, value_size: int) -> None:
    """Write a snapshot with so many keys, as if they had been claimed one after the other."""
    moment_ms = time.time_ns() // 1_000_000
    nothing = bytes(FORMATION_BYTES)
    head = SnapshotHead(nothing, "made-up", nothing, 0, (), moment_ms, "bench", None)
    with SnapshotWriter.begin(path, head) as writer:
        for first in range(0, keys, BLOCK):
            last = min(keys, first + BLOCK)
            writer.add(tuple(_decrees(range(first, last), value_size, moment_ms)))
        writer.end(moment_ms, None)


def _decrees(numbers: range, value_size: int, moment_ms: int) -> Iterator[Decree]:
    ballot = Ballot(1, Process(NodeId("n1"), 1))
    for number in numbers:
        value = os.urandom(value_size)  # no easier to compress than what people keep
        claim_id = number.to_bytes(ID_BYTES, "big")
        key = Key(f"filled/{number:09}")
        yield Decree(key, value, "text/plain", "bench", claim_id, "", moment_ms, ballot)


def restore(command: Sequence[str], snapshot: Path, folder: Path, data: dict[str, Path]) -> None:
    """Make the data directories of all members from a snapshot.

    Args:
        command: how decreed is run.
        snapshot: the file.
        folder: where ``cluster.toml`` is.
        data: the directory of each member.

    Raises:
        NotReady: if that fails.
    """
    words = ["snapshot", "restore", str(snapshot), "--config", f"{folder}/cluster.toml"]
    named = [f"--data={node}={path}" for node, path in data.items()]
    done = subprocess.run(
        [*command, *words, *named, "--other-cluster", "--yes", "--least-ttl", "1s"],
        cwd=folder, capture_output=True, text=True, timeout=RESTORE_S,
    )  # fmt: skip
    if done.returncode:
        raise NotReady(f"snapshot restore ended with {done.returncode}: {done.stderr[-500:]}")
