"""What is shown of a snapshot: as lines for people, and as a JSON document."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...registry.documents import time_text
from ...storage.snapshot.chain import SnapshotChain
from ...storage.snapshot.contents import Contents, SnapshotHead
from ..shell.shown import counted
from ..shell.shown import show as shown


def document(paths: Sequence[Path], head: SnapshotHead, contents: Contents) -> dict[str, Any]:
    """The facts of a snapshot, or of a chain, as plain data."""
    return {
        "files": [str(path) for path in paths],
        "id": head.id.hex(),
        "cluster_id": head.cluster_id,
        "formation": head.formation.hex(),
        "epoch": head.epoch,
        "members": {member.node: member.address for member in head.members},
        "begun": time_text(head.begun_ms),
        "software": head.software,
        "base": None if head.base is None else head.base.id.hex(),
        "decrees": contents.decrees,
        "terms": contents.terms,
        "value_bytes": contents.value_bytes,
    }


def summary(contents: Contents) -> str:
    """How much there is, on one line."""
    decrees, terms = counted(contents.decrees, "decree"), counted(contents.terms, "term")
    return f"{decrees}, {terms} of locks, {counted(contents.value_bytes, 'byte')} of values"


def lines(chain: SnapshotChain) -> Iterator[str]:
    """The facts of a chain that was read to its end, for people."""
    head = chain.head
    members = ", ".join(f"{member.node} {member.address}" for member in head.members)
    yield f"snapshot   {head.id.hex()}"
    if head.base is not None:
        yield f"continues  {head.base.id.hex()}"
    yield f"cluster    {shown(head.cluster_id)}"
    yield f"formation  {head.formation.hex()}"
    yield f"members    {shown(members)} (epoch {head.epoch})"
    yield f"begun      {time_text(head.begun_ms)}"
    yield f"software   {shown(head.software)}"
    yield f"contents   {summary(chain.contents)}"
