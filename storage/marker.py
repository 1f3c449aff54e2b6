"""The marker: the small file in a data directory that says what it is, and whether a node may open it.

Owns the text of ``decreed.txt``, and the states of a directory:

=========  =========================================================================================
making     a first start has begun; nothing in it was used
restoring  it is being filled by a restore or a recovery
restored   it is filled, durably; no node opens it before its whole formation is
ready      a node may open it
recovered  it was read by a recovery, and its node must never start again
=========  =========================================================================================

Invariant: a directory never leaves ``recovered``. What it decided goes on in another formation, and a
node that went on with it could decide the same keys otherwise.
"""

import os
import re
from enum import Enum
from pathlib import Path

from ..registry.errors import IdentityRefused
from ..registry.types import Value
from ..registry.version import FORMAT, described
from .durable import replace_text
from .identity import STAYS_OUT

MARKER = "decreed.txt"
NEW_MARKER = "decreed.new"
READABLE = (5, 6)

_MARKER = re.compile(
    r"decreed data directory, format ([1-9][0-9]{0,8}), (?:(making|restoring|restored|ready)"
    r"|(recovered) from ([0-9a-f]{32}) into ([0-9a-f]{32}))\n"
)


class DirectoryState(Enum):
    """What a directory is."""

    MAKING = "making"
    RESTORING = "restoring"
    RESTORED = "restored"
    READY = "ready"
    RECOVERED = "recovered"


class Marker(Value, frozen=True):
    """What the marker of a directory says.

    Args:
        format: the format of the directory.
        state: what it is.
        formation: the formation that it was of; only of one that was recovered.
        into: the formation that goes on with it; only of one that was recovered.
    """

    format: int
    state: DirectoryState
    formation: bytes = b""
    into: bytes = b""


def read_marker(path: Path) -> Marker | None:
    """The marker of a directory; None if it has none.

    Raises:
        IdentityRefused: if it is not as decreed writes it, or of a format that we cannot read.
        OSError: if it cannot be read.
    """
    try:
        text = (path / MARKER).read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = _MARKER.fullmatch(text)
    if not found:
        raise IdentityRefused(
            f"{path / MARKER} is not as decreed writes it: it is damaged, or {path} is no data"
            f" directory. {STAYS_OUT}"
        )
    number = int(found[1])
    _check_format(path, number)
    formation, into = (bytes.fromhex(found[at] or "") for at in (4, 5))
    return Marker(number, DirectoryState(found[2] or found[3]), formation, into)


def mark(path: Path, state: DirectoryState) -> None:
    """Replace the marker, durably, by one of this build's format."""
    replace_text(path / MARKER, f"decreed data directory, format {FORMAT}, {state.value}\n")


def mark_recovered(path: Path, formation: bytes, into: bytes) -> None:
    """Close a directory permanently, durably: another formation goes on with what it has.

    Args:
        path: a directory that was ready, or that was marked before.
        formation: the one that it is of.
        into: the one that goes on.
    """
    found = read_marker(path)
    assert found is not None, "only a directory that was read is marked"
    facts = f"recovered from {formation.hex()} into {into.hex()}"
    replace_text(path / MARKER, f"decreed data directory, format {found.format}, {facts}\n")


def may_be_marked(path: Path) -> bool:
    """Whether the marker of a directory can be replaced, as far as that shows without trying."""
    return os.access(path, os.W_OK | os.X_OK)


def check_not_recovered(path: Path, found: Marker) -> None:
    """Check that a node may go on with a directory.

    Raises:
        IdentityRefused: if another formation does; names both.
    """
    if found.state is DirectoryState.RECOVERED:
        raise IdentityRefused(
            f"{path} is of formation {found.formation.hex()}, and was recovered into formation"
            f" {found.into.hex()}, which goes on with all that it has: its node must never start"
            " again. Start the nodes of the new formation, from the directories that the recovery"
            " made; to see what this one has that they lack, use decreed recover --compare"
        )


def _check_format(path: Path, found: int) -> None:
    if found not in READABLE:
        age = "newer" if found > FORMAT else "older"
        raise IdentityRefused(
            f"the data directory {path} has format {found}, and this decreed ({described()}) reads the"
            f" formats {' and '.join(map(str, READABLE))}: start the node with the {age} decreed that"
            " wrote it"
        )
