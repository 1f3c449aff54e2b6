"""The data directory: checks that it is ours, not in use, and complete, and opens it.

Owns the files around the database::

    decreed.txt   says that this is a data directory, of which format, and its state; see `marker`
    restored.json what it was restored from, for people; only after a restore
    lock          held while a process uses the directory
    signing-key   the directory's own key, secret; see `signing_key`
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
import shutil
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from ..registry.config import ClusterConfig
from ..registry.disk import DirectoryIdentity
from ..registry.errors import Damaged, IdentityRefused, StorageFailed
from ..registry.types import NodeId
from ..registry.version import FORMAT
from .continuity import check_directory, count_records
from .durable import sync_names
from .identity import STAYS_OUT, RandomBytes, check_member, take
from .marker import (
    MARKER,
    NEW_MARKER,
    DirectoryState,
    Marker,
    check_not_recovered,
    mark,
    read_marker,
)
from .rocks import LOG_BYTES, RocksBytes, RocksStorage
from .signing_key import signing_key

FIRST_MARKED = 6
"""The first format with a high-water mark."""

LOCK = "lock"
DATABASE = "db"

_HARMLESS = {LOCK, NEW_MARKER, "lost+found"}
_UNUSED = (DirectoryState.MAKING, DirectoryState.RESTORING, DirectoryState.RESTORED)


def open_directory(
    path: Path,
    config: ClusterConfig,
    node: NodeId,
    random_bytes: RandomBytes = os.urandom,
    *,
    log_bytes: int = LOG_BYTES,
    joins: bool = False,
) -> RocksStorage:
    """Open the node's data directory; create it if it does not exist.

    Args:
        path: the directory.
        config: the cluster, from the node's own ``cluster.toml``.
        node: the node's name.
        random_bytes: makes a new disk id and the nonce of the incarnation.
        log_bytes: the largest size of one write-ahead log, in bytes.
        joins: whether a directory that is new joins a cluster that has formed.

    Raises:
        IdentityRefused: if the directory is another node's, has another format, or is in use.
        Damaged: if anything in it is broken or missing.
        StorageFailed: if the disk is full, or access is denied.
    """
    try:
        if not joins and not _format_of_ready(path):
            check_member(config, node)
        return _open(path, config, node, random_bytes, log_bytes, joins=joins)
    except OSError as error:
        raise StorageFailed(f"the data directory {path} cannot be opened: {error}") from error


def check_unused(path: Path) -> None:
    """Check that `new_directory` may fill a directory.

    Raises:
        IdentityRefused: if there is anything in it, other than an interrupted restore.
    """
    if _used(path) is not None:
        raise IdentityRefused(
            f"{path} is the data directory of a node already, and is not replaced: name one that is"
            " empty, or move it away"
        )


@contextmanager
def new_directory(path: Path) -> Generator[RocksBytes]:
    """An empty database in a new data directory, to be filled in a ``with`` block.

    If the block succeeds, all of it is durable. No node opens the directory before `make_usable`.

    Raises:
        IdentityRefused: if there is anything in it, or another process uses it.
        StorageFailed: if the disk is full, or access is denied.
    """
    check_unused(path)
    _make(path)
    release = _lock(path)
    try:
        mark(path, DirectoryState.RESTORING)
        shutil.rmtree(path / DATABASE, ignore_errors=True)
        data = RocksBytes(path / DATABASE, create=True)
        try:
            yield data
        finally:
            data.close()
        sync_names(path)
        mark(path, DirectoryState.RESTORED)
    finally:
        release()


def make_usable(path: Path) -> None:
    """Let a node open a directory that `new_directory` has filled, durably; it may be repeated."""
    if read_marker(path) == Marker(FORMAT, DirectoryState.RESTORED):
        mark(path, DirectoryState.READY)


@contextmanager
def held_directory(path: Path, *, restored: bool = False) -> Generator[Marker]:
    """Keep nodes from opening a data directory, in a ``with`` block, without writing into it.

    Args:
        path: the directory.
        restored: whether one that was filled and that no node may open yet will do.

    Returns:
        What its marker says.

    Raises:
        IdentityRefused: if it is not one that a node has used, or is in use.
        StorageFailed: if access is denied.
    """
    try:
        found = _used(path, restored=restored)
        if found is None:
            raise IdentityRefused(f"{path} is no data directory that a node has used")
        release = _lock(path, create=False)
    except OSError as error:
        raise StorageFailed(f"the data directory {path} cannot be read: {error}") from error
    try:
        yield found
    finally:
        release()


def _open(
    path: Path,
    config: ClusterConfig,
    node: NodeId,
    random_bytes: RandomBytes,
    log_bytes: int,
    *,
    joins: bool,
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
        key = partial(signing_key, path)
        identity = take(data, config, node, random_bytes, key, fresh=not found, joins=joins)
        storage = _stored(data, identity, release)
        if found != FORMAT:
            mark(path, DirectoryState.READY)
        undo.pop_all()
        return storage


def _stored(
    data: RocksBytes, identity: DirectoryIdentity, release: Callable[[], None]
) -> RocksStorage:
    """The storage of a node; what cannot be read of it keeps the node from starting."""
    try:
        return RocksStorage(data, identity, release)
    except Damaged as error:
        raise Damaged(f"{error}. {STAYS_OUT}") from error


def _format_of_ready(path: Path) -> int | None:
    """The format of a directory that a node may open; None if there is no such directory yet.

    Raises:
        IdentityRefused: if it is not a directory of ours, has a format that we cannot read, was not
            filled to the end, or was recovered.
    """
    found = _marker(path)
    if found is None or found.state is DirectoryState.MAKING:
        return None
    check_not_recovered(path, found)
    if found.state in _UNUSED:
        raise IdentityRefused(
            f"{path} was being filled by a restore or a recovery, and that was not completed: do it"
            " again"
        )
    return found.format


def _used(path: Path, *, restored: bool = False) -> Marker | None:
    """The marker of a directory that a node has used; None if there is no such directory.

    Args:
        path: the directory.
        restored: whether one that was filled completely counts too.
    """
    found = _marker(path)
    if found is None or (restored and found.state is DirectoryState.RESTORED):
        return found
    return found if found.state not in _UNUSED else None


def _marker(path: Path) -> Marker | None:
    names: set[str] = set(os.listdir(path)) if path.exists() else set()
    if MARKER not in names:
        _check_nothing_there(path, names)
    return read_marker(path)


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


def _lock(path: Path, *, create: bool = True) -> Callable[[], None]:
    """Hold the directory until the returned function is called.

    Args:
        path: the directory.
        create: whether a lock file may be made; a copy of a directory may be without one.
    """
    if not create and not (path / LOCK).exists():
        return lambda: None
    flags = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
    held = os.open(path / LOCK, flags | os.O_CLOEXEC, 0o600)
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
    mark(path, DirectoryState.MAKING)
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
