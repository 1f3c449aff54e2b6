"""The data directory: whether it is ours, held by one process, and whole enough to be opened.

Owns the files around the database::

    decreed.txt   says that this is a data directory, of which format, and whether it is ready
    lock          held while a process uses the directory
    db/           RocksDB's

It must not know what is in the database; `decreed.storage.identity` checks whose it is.

Invariants:

* Nothing is written, and no lock taken, in a directory that is not ours or is of another format.
* R01, R13: a directory that was ready once is never begun anew. What is damaged or gone is refused.
* One process at a time, so that the logs can be checked while nobody writes to them.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ..registry.config import ClusterConfig
from ..registry.errors import IdentityRefused, StorageFailed
from ..registry.types import NodeId
from .identity import STAYS_OUT, RandomBytes, check_member, take
from .logfile import check_directory
from .rocks import RocksBytes, RocksStorage

FORMAT = 5
MARKER = "decreed.txt"
LOCK = "lock"
DATABASE = "db"

_NEW_MARKER = "decreed.new"
_HARMLESS = {LOCK, _NEW_MARKER, "lost+found"}
_MARKER = re.compile(r"decreed data directory, format ([1-9][0-9]{0,8}), (making|ready)\n")


def open_directory(
    path: Path, config: ClusterConfig, node: NodeId, random_bytes: RandomBytes = os.urandom
) -> RocksStorage:
    """Open the node's data directory, and make it if there is none.

    Args:
        path: the directory.
        config: the cluster as the node's own ``cluster.toml`` has it.
        node: who the node is.
        random_bytes: where a new disk id and the nonce of the life come from.

    Raises:
        IdentityRefused: if the directory is not this node's, of another format, or in use.
        Damaged: if anything in it is broken or gone.
        StorageFailed: if the disk is full, or does not let us.
    """
    check_member(config, node)
    try:
        return _open(path, config, node, random_bytes)
    except OSError as error:
        raise StorageFailed(f"the data directory {path} cannot be opened: {error}") from error


def _open(
    path: Path, config: ClusterConfig, node: NodeId, random_bytes: RandomBytes
) -> RocksStorage:
    _is_ready(path)
    _make(path)
    with ExitStack() as undo:
        release = _lock(path)
        undo.callback(release)
        fresh = not _is_ready(path)
        data = _new_database(path) if fresh else _old_database(path)
        undo.callback(data.close)
        identity = take(data, config, node, random_bytes, fresh=fresh)
        storage = RocksStorage(data, identity, release)
        if fresh:
            _mark(path, "ready")
        undo.pop_all()
        return storage


def _is_ready(path: Path) -> bool:
    """Whether the directory was made to the end; one that is no directory of ours is refused."""
    names: set[str] = set(os.listdir(path)) if path.exists() else set()
    if MARKER not in names:
        _check_nothing_there(path, names)
        return False
    text = (path / MARKER).read_text(errors="replace")
    marked = _MARKER.fullmatch(text)
    if not marked:
        raise IdentityRefused(
            f"{path / MARKER} is not as decreed writes it: it is damaged, or {path} is no data"
            f" directory. {STAYS_OUT}"
        )
    if int(marked[1]) != FORMAT:
        age = "newer" if int(marked[1]) > FORMAT else "older"
        raise IdentityRefused(
            f"the data directory {path} has format {marked[1]}, and this decreed reads format"
            f" {FORMAT}: start the node with the {age} decreed that wrote it"
        )
    return marked[2] == "ready"


def _check_nothing_there(path: Path, names: set[str]) -> None:
    strange = sorted(names - _HARMLESS)
    if strange:
        raise IdentityRefused(
            f"{path} is no data directory of decreed, and is not empty (it has {strange[0]!r}):"
            f" name an empty directory, or one that holds {MARKER}"
        )


def _make(path: Path) -> None:
    if not path.exists():
        path.mkdir(parents=True)
        _sync(path.parent)


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


def _new_database(path: Path) -> RocksBytes:
    """Begin a database. What an interrupted first start left was never used, so it goes."""
    _mark(path, "making")
    shutil.rmtree(path / DATABASE, ignore_errors=True)
    return RocksBytes(path / DATABASE, create=True)


def _old_database(path: Path) -> RocksBytes:
    check_directory(path / DATABASE)
    return RocksBytes(path / DATABASE, create=False)


def _mark(path: Path, state: str) -> None:
    """Replace the marker, durably."""
    new = path / _NEW_MARKER
    with new.open("w") as file:
        file.write(f"decreed data directory, format {FORMAT}, {state}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path / MARKER)
    _sync(path)


def _sync(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
