"""Checks, before RocksDB opens a database, that it still holds everything that was synced to it.

RocksDB opens what it finds. If the MANIFEST ends early, it deletes the tables that the lost edits
named. It does not notice a missing log. Every row has a sequence number, without gaps, so lost rows
show as a hole.

Invariants (R13, R14), for a database in which one file was lost or changed:

* each log is whole, except for a torn last record, which was never synced;
* the log that was in use at the last edit of the MANIFEST is there;
* the logs hold every sequence number after those in tables, without a hole;
* the sequence numbers and the numbers of the logs reach the high-water mark.

It cannot detect a newest log that lost whole records at its end after the last mark.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..registry.errors import Damaged
from .high_water import HighWater, noted
from .identity import STAYS_OUT
from .logfile import damaged_at, verify
from .manifest import Edits, read_edits

_CURRENT = re.compile(rb"(MANIFEST-[0-9]{6,})\n")
_LOG = re.compile(r"([0-9]{6,})\.log")
Logs = Sequence[tuple[int, Path]]

_BATCH = struct.Struct("<QI")
"""The head of each record of a write-ahead log: its first sequence number, and how many it takes."""


def check_directory(directory: Path, *, marked: bool = True) -> None:
    """Check the current MANIFEST and every write-ahead log of a database that is not open.

    Args:
        directory: the database's folder.
        marked: whether there must be a high-water mark; formats before 6 had no mark.

    Raises:
        Damaged: if a check fails; the message names the fault and the file.
    """
    manifest = directory / _manifest(directory)
    edits = read_edits(manifest, verify(manifest).records)
    logs = _logs(directory)
    if not any(edits.log <= number < edits.next_file for number, _ in logs):
        raise _not_in_use(directory, manifest, edits)
    reached = _follow(logs, manifest, edits.sequence)
    if marked:
        _check_mark(directory, noted(directory), manifest, _newest(logs), reached)


def newest_log(directory: Path) -> int:
    """The number of the newest write-ahead log; 0 if there is none."""
    return _newest(_logs(directory))


def count_records(directory: Path) -> int:
    """How many records the write-ahead logs of a database hold."""
    return sum(len(verify(path).records) for _, path in _logs(directory))


def _not_in_use(directory: Path, manifest: Path, edits: Edits) -> Damaged:
    """The log in use at the last edit stays until a later edit says that it may go."""
    return Damaged(
        f"{directory} has no log from {edits.log:06} on that was there when the last edit of"
        f" {manifest.name} was made: the log is gone, or later edits are. {STAYS_OUT}"
    )


def _follow(logs: Logs, manifest: Path, covered: int) -> int:
    """Follow the logs from where the tables end; returns the last sequence number.

    A torn log may be followed only by empty logs: recovery begins a new log, and writes to it only
    after the torn one was moved into a table and deleted.
    """
    reached: int | None = None
    torn: Path | None = None
    for _, path in logs:
        verdict = verify(path)
        if torn is not None and verdict.records:
            raise damaged_at(torn, torn.stat().st_size, f"it breaks off, yet {path.name} goes on")
        torn = path if verdict.torn else torn
        for first, following in _batches(path, verdict.records):
            if first > covered + 1 if reached is None else first != reached + 1:
                raise _hole(path, manifest, covered if reached is None else reached, first)
            reached = following - 1
    return covered if reached is None else max(covered, reached)


def _batches(path: Path, records: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """The sequence number of each batch, and the one that follows it."""
    for record in records:
        if len(record) < _BATCH.size:
            raise damaged_at(path, 0, f"a record of {len(record)} bytes holds no batch")
        first, count = _BATCH.unpack_from(record)
        yield first, first + count


def _check_mark(
    directory: Path, mark: HighWater, manifest: Path, newest: int, reached: int
) -> None:
    if newest < mark.log:
        raise Damaged(
            f"{directory} has lost its log {mark.log:06}: the newest that is left is {newest:06}."
            f" {STAYS_OUT}"
        )
    if reached < mark.sequence:
        raise Damaged(
            f"{directory} has lost rows: {manifest.name} and the logs account for {reached} of"
            f" {mark.sequence}; a MANIFEST that lost its end, or a log that did. {STAYS_OUT}"
        )


def _hole(path: Path, manifest: Path, reached: int, first: int) -> Damaged:
    return Damaged(
        f"{path} begins a batch with row {first}, but what {manifest.name} and the logs before"
        f" account for ends with row {reached}: a log or an edit between them is gone. {STAYS_OUT}"
    )


def _manifest(directory: Path) -> str:
    """The name of the MANIFEST in use."""
    path = directory / "CURRENT"
    try:
        named = _CURRENT.fullmatch(path.read_bytes())
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing. {STAYS_OUT}") from error
    if not named:
        raise damaged_at(path, 0, "it names no MANIFEST")
    return named[1].decode()


def _newest(logs: Logs) -> int:
    return max((number for number, _ in logs), default=0)


def _logs(directory: Path) -> Logs:
    """The write-ahead logs and their numbers, the oldest first."""
    found = [(int(m[1]), path) for path in directory.iterdir() if (m := _LOG.fullmatch(path.name))]
    return sorted(found)
