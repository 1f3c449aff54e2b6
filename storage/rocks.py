"""`RocksStorage`: the records of a node in RocksDB.

Owns every call of rocksdict; its plain exceptions are turned into ours here. It must not know what the
bytes mean, nor whose directory it opens.

Invariants:

* R13, R14: a synced write returns when it and all earlier writes are synced. Recovery tolerates a torn
  tail and refuses any other fault; the default mode would silently drop synced records after a flipped
  byte.
* A crash loses a suffix of the unsynced writes, as far as RocksDB can ensure it: a log is begun only
  after the previous one is synced. A power cut may keep a later page of a log and lose an earlier one,
  both unsynced. Such a hole is mostly refused as damage, but may go unnoticed. So every write that
  safety needs is synced, and no space is reused on the strength of an unsynced write.
* The high-water mark is noted at each start, before a log ends, and once the next has begun. A close
  ends one too, and so does the end of a process that closes nothing. It never exceeds what is synced.
  `continuity` compares with it at the next start.
* Every option is set in code. Options that rocksdict stores in the directory are ignored.
* An iterator lives for one call: one that is left over would hold the directory's lock.
"""

import os
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import rocksdict

from ..registry.disk import DirectoryIdentity
from ..registry.errors import Damaged, DecreedError, IdentityRefused, StorageFailed
from ..registry.space import DiskSpace
from .bytestore import Pair, Range, Unreadable
from .continuity import newest_log
from .deferred import DeferredWrites
from .disk_space import measured
from .high_water import HighWater, note
from .identity import STAYS_OUT
from .store import RecordStore

MIB = 1024 * 1024
LOG_BYTES = 16 * MIB
"""The largest size of one write-ahead log; a start after a crash reads two of them."""

_ROW_BYTES = 64
"""The overhead of a row in a write buffer; it counts as part of the log."""

_BLOOM_SHARE = 0.005
"""The share of a write buffer for its Bloom filter: ten bits a row for the smallest rows."""

Walk = Callable[[rocksdict.RdictIter, bytes], Iterator[Pair]]


class RocksBytes:
    """A `ByteStore` in a RocksDB database.

    Args:
        path: the database's own folder.
        create: whether to create it; otherwise it must exist.
        log_bytes: the largest size of one write-ahead log, in bytes.

    Raises:
        IdentityRefused: if a process has it open.
        Damaged: if RocksDB finds that something is missing or broken.
        StorageFailed: if the disk fails, or access is denied.
    """

    def __init__(self, path: Path, *, create: bool, log_bytes: int = LOG_BYTES) -> None:
        self._where = str(path)
        self._log_bytes = log_bytes
        self._in_log = 0
        self._synced = rocksdict.WriteOptions()
        self._synced.sync = True
        self._unsynced = rocksdict.WriteOptions()
        options = _options(log_bytes)
        options.create_if_missing(create)
        with _as_ours(lambda reason: _not_opened(self._where, reason)):
            # by name too: otherwise a reopened database would use rocksdict's defaults for tables
            self._db: rocksdict.Rdict | None = rocksdict.Rdict(
                self._where, options, column_families={"default": options}
            )
        self._end = weakref.finalize(self, _end, self._db, self._where, os.getpid())
        with _as_ours(self._not_written):
            self._note()

    @property
    def where(self) -> str:
        """The database's folder."""
        return self._where

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values at `keys`, in their order."""
        if not keys:
            return []
        db = self._open()
        try:  # as `_as_ours`, for fewer calls: each claim comes here
            return db.get(list(keys)) or []
        except Exception as error:  # noqa: BLE001
            raise Unreadable(str(error)) from None

    def write(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        """Write one batch. A sync of the log makes all earlier batches durable too."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        if self._in_log >= self._log_bytes:
            self._begin_log()
        self._in_log += batch.size_in_bytes() + batch.len() * _ROW_BYTES
        db = self._open()
        try:  # as `_as_ours`
            db.write(batch, self._synced if sync else self._unsynced)
        except Exception as error:  # noqa: BLE001
            raise self._not_written(str(error)) from None

    def write_deferred(self) -> None:
        """Do nothing: every write is given to RocksDB at once."""

    def sync(self) -> None:
        """Sync the write-ahead log."""
        with _as_ours(self._not_written):
            self._open().flush_wal(sync=True)

    def space(self) -> DiskSpace:
        """The free bytes of its file system, and the bytes of its own files by kind."""
        return measured(Path(self._where))

    def _begin_log(self) -> None:
        """Begin a new log and a new write buffer; the full buffer becomes a table meanwhile."""
        self.sync()
        with _as_ours(self._not_written):
            self._note()
            self._open().flush(wait=False)
            self._note()
        self._in_log = 0

    def _note(self) -> None:
        """Note the high-water mark; everything is synced, and nothing is written meanwhile."""
        _note(self._open(), self._where)

    def ascending(self, within: Range, limit: int) -> list[Pair]:
        """The first `limit` pairs of a range."""
        return self._pairs(within, limit, _forwards)

    def walk(self, within: Range, limit: int) -> list[Pair]:
        """The first `limit` pairs of a range; the blocks that are read displace no others."""
        return self._pairs(within, limit, _forwards, keep=False)

    def descending(self, within: Range, limit: int) -> list[Pair]:
        """The last `limit` pairs of a range, the last one first."""
        return self._pairs(within, limit, _backwards)

    def close(self) -> None:
        """Close the database. Safe to call twice. RocksDB may take a second."""
        self._db = None
        self._end()

    def _open(self) -> rocksdict.Rdict:
        if self._db is None:
            raise Unreadable(f"{self._where} is closed")
        return self._db

    def _pairs(self, within: Range, limit: int, walk: Walk, *, keep: bool = True) -> list[Pair]:
        """Up to `limit` pairs. The error holds no frame, since a frame would keep the iterator alive.

        Only the upper bound is set in RocksDB: rocksdict uses a lower bound as an upper one.
        """
        options = rocksdict.ReadOptions()
        options.set_iterate_upper_bound(within[1])
        # the stubs of rocksdict leave out its argument
        options.fill_cache(keep)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        with _as_ours(Unreadable):
            cursor = self._open().iter(options)
        try:
            return list(islice(walk(cursor, within[0]), limit))
        except Exception as error:  # noqa: BLE001
            reason = str(error)
        finally:
            del cursor
        raise Unreadable(reason)

    def _not_written(self, reason: str) -> StorageFailed:
        return StorageFailed(f"a write to {self._where} failed: {reason}")


class RocksView(RocksBytes):
    """A `ByteStore` of a database that is opened for reading only, after all writes were closed.

    RocksDB writes its own log of events into the folder, so it must be a copy, or one of links.

    Args:
        path: the database's folder.

    Raises:
        Damaged: if RocksDB finds that something is missing or broken.
        StorageFailed: if the disk fails, or access is denied.
    """

    def __init__(self, path: Path) -> None:  # pyright: ignore[reportMissingSuperCall]
        self._where = str(path)
        options = _options(LOG_BYTES)
        with _as_ours(lambda reason: _not_opened(self._where, reason)):
            self._db = rocksdict.Rdict(
                self._where,
                options,
                column_families={"default": options},
                access_type=rocksdict.AccessType.read_only(False),
            )

    def close(self) -> None:
        """Close the database. Safe to call twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def write(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        """Never called: nothing is written.

        Raises:
            StorageFailed: always.
        """
        raise StorageFailed(f"{self._where} is open for reading only")


def repair(path: Path) -> None:
    """Make a database of whatever tables and records of logs in a folder can be read.

    Raises:
        Damaged: if nothing can.
    """
    with _as_ours(lambda reason: _not_opened(str(path), reason)):
        rocksdict.Rdict.repair(str(path), _options(LOG_BYTES))


def _note(db: rocksdict.Rdict, where: str) -> None:
    note(Path(where), HighWater(newest_log(Path(where)), db.latest_sequence_number()))


def _end(db: rocksdict.Rdict, where: str, owner: int) -> None:
    """Close a database; also if nobody has closed it when it is dropped, or when the process exits.

    RocksDB moves the rows of the log into a table then, and may delete the log. So they must be noted
    first: otherwise a MANIFEST that loses the edit with the table would lose them unnoticed.
    A process that was forked from the owner knows an older state, and notes nothing.

    All promises are synced, so a database that failed earlier and cannot be flushed now loses none of
    them, and that error was reported. So no error is raised here.
    """
    if os.getpid() != owner:
        return
    with suppress(Exception):
        db.flush_wal(sync=True)
        _note(db, where)
    with suppress(Exception):
        db.close()


class RocksStorage(RecordStore):
    """The node's `Storage` on a disk; `decreed.storage.directory.open_directory` makes it.

    Args:
        data: the open database.
        identity: with the new incarnation, already durable.
        release: unlocks the directory; called once, after the database is closed.
    """

    def __init__(
        self, data: RocksBytes, identity: DirectoryIdentity, release: Callable[[], None]
    ) -> None:
        super().__init__(DeferredWrites(data), identity)
        self._release = release

    def close(self) -> None:
        """Close the database and unlock the directory. Safe to call twice."""
        super().close()
        self._release()


def _forwards(cursor: rocksdict.RdictIter, start: bytes) -> Iterator[Pair]:
    """All pairs from `start` on; the status of an iterator that stopped early raises the error."""
    cursor.seek(start)
    while cursor.valid():
        yield cursor.key(), cursor.value()
        cursor.next()
    cursor.status()


def _backwards(cursor: rocksdict.RdictIter, start: bytes) -> Iterator[Pair]:
    """All pairs from the last one back to `start`."""
    cursor.seek_to_last()
    while cursor.valid() and cursor.key() >= start:
        yield cursor.key(), cursor.value()
        cursor.prev()
    cursor.status()


@contextmanager
def _as_ours(error_of: Callable[[str], Exception]) -> Generator[None, None, None]:
    """Turn the plain `Exception` of a rocksdict call into our error; use it around such calls only."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        raise error_of(str(error)) from None


def _not_opened(where: str, reason: str) -> DecreedError:
    if "/LOCK" in reason:
        return IdentityRefused(f"{where} is in use by another process: {reason}")
    if reason.startswith("IO error"):
        return StorageFailed(f"{where} cannot be opened: {reason}")
    return Damaged(f"{where} is damaged: {reason}. {STAYS_OUT}")


def _options(log_bytes: int) -> rocksdict.Options:
    """Small and bounded: some 60 MiB of memory, few files; see `docs/laboratory.md` for each choice.

    RocksDB must not begin a log by itself, so the bounds at which it would are out of reach: a write
    buffer takes no more than what counts as written to the log.
    """
    options = rocksdict.Options(raw_mode=True)
    options.set_wal_recovery_mode(rocksdict.DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_paranoid_checks(True)
    options.set_recycle_log_file_num(0)
    options.set_write_buffer_size(2 * log_bytes)
    options.set_max_total_wal_size(4 * log_bytes)
    # most keys that are read are new, so a Bloom filter saves most searches
    options.set_memtable_prefix_bloom_ratio(_BLOOM_SHARE)
    options.set_memtable_whole_key_filtering(True)
    options.set_level_zero_file_num_compaction_trigger(8)
    # a MANIFEST that is begun while the database is open does not have how far each table reaches
    options.set_max_manifest_file_size(1024 * MIB)
    options.set_max_open_files(256)
    options.set_max_background_jobs(2)
    options.set_env(_patient())
    options.set_keep_log_file_num(4)
    options.set_max_log_file_size(4 * MIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    options.set_block_based_table_factory(_tables())
    return options


def _patient() -> rocksdict.Env:
    """An environment in which compaction has low CPU priority: it may be late, but claims may not.

    If it is much too late, RocksDB itself delays writes for it.
    """
    env = rocksdict.Env()
    env.lower_thread_pool_cpu_priority()
    return env


def _tables() -> rocksdict.BlockBasedOptions:
    """The options of tables; version 6 of their format is the first with a checksum for the footer.

    Filters and indices are kept outside the cache, at some three bytes a key: the cache is divided into
    shards, and a filter as large as a shard would evict everything else at each use.
    """
    tables = rocksdict.BlockBasedOptions()
    tables.set_format_version(6)
    tables.set_checksum_type(rocksdict.ChecksumType.xxh3())
    tables.set_bloom_filter(10, False)
    tables.set_block_cache(rocksdict.Cache(16 * MIB))
    tables.set_cache_index_and_filter_blocks(False)
    return tables
