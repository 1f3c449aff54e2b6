"""A small file beside the config that remembers which nodes have formed, and in which formation.

A lost data directory must not come back empty and vote (design, section 8). The peers refuse it; with
this file the node itself refuses, even when no peer is up. It is best effort: if it cannot be written,
there is only a warning, and the peers still refuse.

Each line is a JSON object with ``cluster_id``, ``node``, ``formation`` (hexadecimal) and ``time``.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...registry.config import ClusterConfig
from ...registry.errors import IdentityRefused
from ...registry.server import log
from ...registry.types import NodeId
from ..shell.failures import reading

_NOT_DATA = {"lost+found"}


def marker_path(config_path: Path) -> Path:
    """The path of the file: ``cluster.toml.formed`` beside ``cluster.toml``."""
    return config_path.with_name(config_path.name + ".formed")


def write_marker(config_path: Path, cluster_id: str, node: NodeId, formation: bytes) -> None:
    """Remember that `node` belongs to `formation`. Repeating it adds nothing; a failure warns."""
    path = marker_path(config_path)
    facts = {"cluster_id": cluster_id, "node": node, "formation": formation.hex()}
    try:
        if not any(facts.items() <= note.items() for note in _notes(path)):
            _append(path, facts | {"time": datetime.now(UTC).isoformat(timespec="seconds")})
    except OSError as error:
        log.warning("marker not written", path=str(path), error=str(error))


def check_not_formed_before(
    config_path: Path, config: ClusterConfig, node: NodeId, data_dir: Path
) -> None:
    """Refuse to start `node` on a fresh directory if it has formed before.

    Raises:
        IdentityRefused: if it has; names the ways out.
    """
    with reading(str(data_dir)):
        fresh = is_fresh(data_dir)
    with reading(str(marker_path(config_path))):
        notes = list(_notes(marker_path(config_path)))
    wanted = {"cluster_id": config.cluster_id, "node": node}
    if fresh and any(wanted.items() <= note.items() for note in notes):
        raise IdentityRefused(
            f"{node} has formed before, as {marker_path(config_path)} says, but {data_dir} is"
            " empty, and a node that forgot its promises must not vote: put the directory back, or"
            f" start it with --join HOST:PORT and run 'decreed member replace {node}'; only if the"
            " directories of all members are gone, start every node with --new-formation"
        )


def is_fresh(data_dir: Path) -> bool:
    """Whether a data directory is missing or empty."""
    if not data_dir.exists():
        return True
    return all(entry.name in _NOT_DATA for entry in data_dir.iterdir())


def _notes(path: Path) -> Iterator[dict[str, Any]]:
    """The readable lines; a line that a crash cut off is skipped."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            note = json.loads(line)
        except ValueError:
            continue
        if isinstance(note, dict):
            yield note


def _append(path: Path, note: dict[str, str]) -> None:
    """Append one line, on a line of its own even after one that was cut off."""
    before = path.read_bytes() if path.exists() else b""
    cut_off = before and not before.endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut_off else "") + json.dumps(note) + "\n")
