"""One file of decrees on disk, in SQLite: shared by processes, bounded, disposable.

Everything here blocks, so it runs on worker threads, one call at a time. A fault of the file never
raises an error for the caller: it is logged, and a broken file is started again.

Nothing reads the whole file: decrees are found by an index on disk, and triggers keep their number
and their total size, for all processes that share the file.

No part of the file is mapped into memory: if somebody truncates a mapped file, the next access ends
the process with SIGBUS. So there is no write-ahead log, whose index SQLite maps. Nothing is synced:
after a power cut each record is checked, and the file is started again if SQLite cannot read it.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ...registry.errors import ProtocolError
from ...registry.types import Decree, Key
from ...registry.wire import codec
from ..runtime.forks import FORKS

LOG = logging.getLogger(__name__)

BUSY_SECONDS = 0.5
CHECK_BYTES = 8
# bounds are enforced each time this many decrees were written
WRITES_PER_TRIM = 256
KEYS_PER_QUERY = 500

_SCHEMA = """
CREATE TABLE IF NOT EXISTS decrees (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, record BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS endpoints (address TEXT PRIMARY KEY, confirmed REAL NOT NULL);
CREATE TABLE IF NOT EXISTS totals (
    one INTEGER PRIMARY KEY CHECK (one = 1), decrees INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON decrees BEGIN
    UPDATE totals SET decrees = decrees + 1, bytes = bytes + LENGTH(NEW.record);
END;
CREATE TRIGGER IF NOT EXISTS dropped AFTER DELETE ON decrees BEGIN
    UPDATE totals SET decrees = decrees - 1, bytes = bytes - LENGTH(OLD.record);
END;
INSERT OR IGNORE INTO totals
    SELECT 1, (SELECT COUNT(*) FROM decrees), (SELECT TOTAL(LENGTH(record)) FROM decrees)
    WHERE NOT EXISTS (SELECT 1 FROM totals);
"""


class DecreeFile:
    """The decrees of one formation in one file.

    Args:
        path: where the file is; made when first needed.
        max_decrees: how many it keeps at most, approximately; the oldest are dropped first.
        max_bytes: their total size at most, approximately.
    """

    def __init__(self, path: Path, max_decrees: int, max_bytes: int) -> None:
        self.path = path
        self._max_decrees = max_decrees
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._writes = 0

    def get(self, keys: Sequence[Key]) -> list[Decree]:
        """The decrees of `keys` that are stored and intact, in no order."""
        rows: list[tuple[str, bytes]] = []
        for start in range(0, len(keys), KEYS_PER_QUERY):
            some = keys[start : start + KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, record FROM decrees WHERE key IN ({marks})"
            rows += self._run(query, some)
        return [decree for key, record in rows if (decree := self._open_record(key, record))]

    def put(self, decrees: Iterable[Decree]) -> None:
        """Store `decrees`."""
        rows = [(decree.key, _seal(decree)) for decree in decrees]
        self._run_many("INSERT OR IGNORE INTO decrees (key, record) VALUES (?, ?)", rows)
        self._writes += len(rows)
        if self._writes >= WRITES_PER_TRIM:
            self._writes = 0
            self._trim()

    def confirm(self, addresses: Iterable[str], time: float) -> None:
        """Record that the formation was seen at `addresses` at `time`, in seconds since 1970."""
        rows = [(address, time) for address in addresses]
        self._run_many("INSERT OR REPLACE INTO endpoints VALUES (?, ?)", rows)

    def confirmed(self, addresses: Iterable[str]) -> float | None:
        """When the formation was last seen at one of `addresses`, or None."""
        wanted = set(addresses)
        rows = self._run("SELECT address, confirmed FROM endpoints", ())
        return max((float(time) for address, time in rows if address in wanted), default=None)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            try:
                with FORKS.held_off:
                    self._connection.close()
            except sqlite3.Error as error:
                LOG.warning("closing the decree cache %s: %s", self.path, error)
            self._connection = None

    def _trim(self) -> None:
        """Drop the oldest decrees until the rest is well within the bounds."""
        rows = self._run("SELECT decrees, bytes FROM totals", ())
        for count, size in rows:
            share = max(count / self._max_decrees, size / self._max_bytes)
            if share > 1:
                drop = int(count * (1 - 0.9 / share))
                oldest = "SELECT id FROM decrees ORDER BY id LIMIT ?"
                self._run_many(f"DELETE FROM decrees WHERE id IN ({oldest})", [(drop,)])

    def _open_record(self, key: str, record: Any) -> Decree | None:
        decree = _unseal(record)
        if decree is not None and decree.key == key:
            return decree
        LOG.warning("a damaged record of %r in the decree cache %s is dropped", key, self.path)
        self._run_many("DELETE FROM decrees WHERE key = ?", [(key,)])
        return None

    def _run(self, query: str, parameters: Sequence[Any]) -> list[Any]:
        try:
            with FORKS.held_off, closing(self._open().execute(query, parameters)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            self._trouble(error)
            return []

    def _run_many(self, query: str, rows: list[Any]) -> None:
        try:
            with FORKS.held_off, self._open() as connection:
                connection.executemany(query, rows)
        except sqlite3.Error as error:
            self._trouble(error)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, check_same_thread=False, cached_statements=16
            )
            self._connection = connection
            connection.execute("PRAGMA mmap_size = 0")
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("PRAGMA synchronous = OFF")
            connection.executescript(_SCHEMA)
        return self._connection

    def _trouble(self, error: sqlite3.Error) -> None:
        """Log it; remove the file if it is broken, rather than busy or full."""
        self.close()
        if isinstance(error, sqlite3.OperationalError) or not isinstance(
            error, sqlite3.DatabaseError
        ):
            LOG.warning("the decree cache %s does not work now: %s", self.path, error)
            return
        LOG.warning("the decree cache %s is damaged and started again: %s", self.path, error)
        self.remove()

    def remove(self) -> None:
        """Delete the file and the journal of SQLite beside it."""
        self.close()
        for suffix in ("", "-journal"):
            try:
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            except OSError as error:
                LOG.warning("the decree cache %s cannot be removed: %s", self.path, error)


def _seal(decree: Decree) -> bytes:
    data = codec.encode(decree)
    return _digest(data) + data


def _unseal(record: Any) -> Decree | None:
    if not isinstance(record, bytes):
        return None
    check, data = record[:CHECK_BYTES], record[CHECK_BYTES:]
    if check != _digest(data):
        return None
    try:
        return codec.decode(data, Decree)
    except ProtocolError:
        # written by another version of decreed: the caller logs and drops it
        return None


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=CHECK_BYTES).digest()
