"""The data directory: checks that it is ours, not in use, and complete, and opens it.

Owns the files around the database::

    decreed.txt   says that this is a data directory, of which format, and whether it is ready
    lock          held while a process uses the directory
    db/           RocksDB's

It must not know what is in the database; `decreed.storage.identity` checks whose it is.

Invariants:

* Nothing is written, and no lock is taken, in a directory that is not ours or has another format.
* R01, R13: a directory that was ready once is never initialised again. If it is damaged or incomplete,
  it is refused.
* One process at a time, so that the logs can be checked while no process writes to them.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ..registry.config import ClusterConfig
from ..registry.errors import Damaged, IdentityRefused, StorageFailed
from ..registry.types import NodeId
from ..registry.version import FORMAT, described
from .continuity import check_directory, count_records
from .durable import replace_text, sync_names
from .identity import STAYS_OUT, RandomBytes, check_member, take
from .rocks import LOG_BYTES, RocksBytes, RocksStorage

READABLE = (5, 6)
FIRST_MARKED = 6
"""The first format with a high-water mark."""

MARKER = "decreed.txt"
LOCK = "lock"
DATABASE = "db"

_NEW_MARKER = "decreed.new"
_HARMLESS = {LOCK, _NEW_MARKER, "lost+found"}
_MARKER = re.compile(r"decreed data directory, format ([1-9][0-9]{0,8}), (making|ready)\n")


def open_directory(
    path: Path,
    config: ClusterConfig,
    node: NodeId,
    random_bytes: RandomBytes = os.urandom,
    *,
    log_bytes: int = LOG_BYTES,
) -> RocksStorage:
    """Open the node's data directory; create it if it does not exist.

    Args:
        path: the directory.
        config: the cluster, from the node's own ``cluster.toml``.
        node: the node's name.
        random_bytes: makes a new disk id and the nonce of the incarnation.
        log_bytes: the largest size of one write-ahead log, in bytes.

    Raises:
        IdentityRefused: if the directory is another node's, has another format, or is in use.
        Damaged: if anything in it is broken or missing.
        StorageFailed: if the disk is full, or access is denied.
    """
    check_member(config, node)
    try:
        return _open(path, config, node, random_bytes, log_bytes)
    except OSError as error:
        raise StorageFailed(f"the data directory {path} cannot be opened: {error}") from error


def _open(
    path: Path, config: ClusterConfig, node: NodeId, random_bytes: RandomBytes, log_bytes: int
) -> RocksStorage:
    if not _format_of_ready(path):
        _make(path)
    with ExitStack() as undo:
        release = _lock(path)
        undo.callback(release)
        found = _format_of_ready(path)
        _check_database(path, found)
        data = RocksBytes(path / DATABASE, create=not found, log_bytes=log_bytes)
        undo.callback(data.close)
        identity = take(data, config, node, random_bytes, fresh=not found)
        storage = RocksStorage(data, identity, release)
        if found != FORMAT:
            _mark(path, "ready")
        undo.pop_all()
        return storage


def _format_of_ready(path: Path) -> int | None:
    """The format of a directory whose creation was completed; None if there is no such directory yet.

    Raises:
        IdentityRefused: if it is not a directory of ours, or has a format that we cannot read.
    """
    names: set[str] = set(os.listdir(path)) if path.exists() else set()
    if MARKER not in names:
        _check_nothing_there(path, names)
        return None
    text = (path / MARKER).read_text(errors="replace")
    marked = _MARKER.fullmatch(text)
    if not marked:
        raise IdentityRefused(
            f"{path / MARKER} is not as decreed writes it: it is damaged, or {path} is no data"
            f" directory. {STAYS_OUT}"
        )
    found = int(marked[1])
    if found not in READABLE:
        age = "newer" if found > FORMAT else "older"
        raise IdentityRefused(
            f"the data directory {path} has format {found}, and this decreed ({described()}) reads the"
            f" formats {' and '.join(map(str, READABLE))}: start the node with the {age} decreed that"
            " wrote it"
        )
    return found if marked[2] == "ready" else None


def _check_nothing_there(path: Path, names: set[str]) -> None:
    strange = sorted(names - _HARMLESS)
    if strange:
        raise IdentityRefused(
            f"{path} is no data directory of decreed, and is not empty (it has {strange[0]!r}):"
            f" name an empty directory, or one that holds {MARKER}"
        )


def _make(path: Path) -> None:
    """Create a directory and its parents, each with a durable name.

    An existing directory may come from an earlier start that was killed before the name was durable. If
    we may not write to its parent, another user made it.
    """
    if not path.exists():
        _make(path.parent)
        path.mkdir(exist_ok=True)
    elif not os.access(path.parent, os.W_OK):
        return
    sync_names(path.parent)


def _lock(path: Path) -> Callable[[], None]:
    """Hold the directory until the returned function is called."""
    held = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(held)
        raise IdentityRefused(
            f"the data directory {path} is in use by another process: stop that one, or name"
            " another directory"
        ) from error
    undo = ExitStack()
    undo.callback(os.close, held)
    return undo.close


def _check_database(path: Path, found: int | None) -> None:
    """Check the database of a directory with the format `found`, or prepare for a new one."""
    if found:
        check_directory(path / DATABASE, marked=found >= FIRST_MARKED)
        return
    # the remains of an interrupted first start were never used, so they are removed
    _check_never_used(path / DATABASE)
    _mark(path, "making")
    shutil.rmtree(path / DATABASE, ignore_errors=True)


def _check_never_used(database: Path) -> None:
    """Check that a database is that of an interrupted first start: at most one batch, and no table.

    Raises:
        Damaged: if there is more, so that the marker is older than the database.
    """
    if not database.exists():
        return
    if any(database.glob("*.sst")) or count_records(database) > 1:
        raise Damaged(
            f"{database} holds records, but {MARKER} beside it says that it was never used: the"
            f" marker is an older one. {STAYS_OUT}"
        )


def _mark(path: Path, state: str) -> None:
    """Replace the marker, durably."""
    replace_text(path / MARKER, f"decreed data directory, format {FORMAT}, {state}\n")
