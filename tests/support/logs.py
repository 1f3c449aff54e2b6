"""The positions of the records in RocksDB's logs, for tests that cut them."""

from pathlib import Path

from decreed.storage.logfile import BLOCK, verify

HEADER = 7


def record_starts(path: Path) -> list[int]:
    """Where each record of a log begins."""
    starts: list[int] = []
    position = 0
    for record in verify(path).records:
        position = _where_fits(position)
        starts.append(position)
        left = len(record)
        while True:
            position = _where_fits(position)
            part = min(left, BLOCK - position % BLOCK - HEADER)
            position += HEADER + part
            left -= part
            if not left:
                break
    return starts


def _where_fits(position: int) -> int:
    """The next place where a header fits into its block."""
    left = BLOCK - position % BLOCK
    return position if left >= HEADER else position + left


def cut(path: Path, records: int) -> None:
    """Cut a log after its first `records` records."""
    data = path.read_bytes()
    path.write_bytes(data[: [*record_starts(path), len(data)][records]])
