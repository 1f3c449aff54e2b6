"""The check of log files: a torn tail passes, any other fault does not."""

from pathlib import Path

import google_crc32c
import pytest

from decreed.registry.errors import Damaged
from decreed.storage.logfile import BLOCK, RecordKind, verify


def fragment(payload: bytes, kind: int = RecordKind.FULL) -> bytes:
    """One fragment, as RocksDB writes it."""
    crc: int = google_crc32c.value(bytes([kind]) + payload)
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return (
        masked.to_bytes(4, "little") + len(payload).to_bytes(2, "little") + bytes([kind]) + payload
    )


def checked(path: Path, data: bytes) -> tuple[list[bytes], bool]:
    """The records of a log of these bytes, and whether it is torn."""
    path.write_bytes(data)
    verdict = verify(path)
    return list(verdict.records), verdict.torn


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "000004.log"


ONE = fragment(b"one")
TWO = fragment(b"second")
LARGE = [
    fragment(b"a" * (BLOCK - 7), RecordKind.FIRST),
    fragment(b"b" * (BLOCK - 7), RecordKind.MIDDLE),
    fragment(b"c" * 100, RecordKind.LAST),
]
WHOLE = b"a" * (BLOCK - 7) + b"b" * (BLOCK - 7) + b"c" * 100


def test_whole_records_pass(log: Path) -> None:
    assert checked(log, b"") == ([], False)
    assert checked(log, ONE + TWO) == ([b"one", b"second"], False)
    assert checked(log, b"".join(LARGE) + ONE) == ([WHOLE, b"one"], False)


def test_the_rest_of_a_block_is_stepped_over(log: Path) -> None:
    for rest in range(7):
        block = fragment(b"x" * (BLOCK - 7 - rest)) + b"\0" * rest
        assert checked(log, block + ONE) == ([b"x" * (BLOCK - 7 - rest), b"one"], False)


def test_a_log_cut_anywhere_in_its_last_record_is_torn(log: Path) -> None:
    for cut in range(len(ONE) + 1, len(ONE + TWO)):
        assert checked(log, (ONE + TWO)[:cut]) == ([b"one"], True)
    for cut in (3, 7, 100, BLOCK - 1, BLOCK, BLOCK + 50, 2 * BLOCK, 2 * BLOCK + 20):
        assert checked(log, b"".join(LARGE)[:cut]) == ([], True)


def test_preallocated_space_is_a_torn_tail(log: Path) -> None:
    assert checked(log, ONE + b"\0" * 5000) == ([b"one"], True)
    with pytest.raises(Damaged, match="data follows"):
        checked(log, ONE + b"\0" * 5000 + b"x")


def test_every_flipped_bit_of_every_record_is_found(log: Path) -> None:
    data = ONE + TWO + fragment(b"") + fragment(b"the last one")
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(Damaged, match=r"000004\.log is damaged at byte \d+"):
                checked(log, bytes(flipped))


def test_every_other_length_of_a_record_is_found(log: Path) -> None:
    for length in range(0, 65536, 97):
        data = ONE + TWO[:4] + length.to_bytes(2, "little") + TWO[6:] + ONE
        if length != 6:
            with pytest.raises(Damaged):
                checked(log, data)


def test_fragments_out_of_order_are_found(log: Path) -> None:
    for wrong in ([LARGE[1]], [LARGE[2]], [LARGE[0], fragment(b"x")], [LARGE[0], LARGE[0]]):
        with pytest.raises(Damaged, match="out of order"):
            checked(log, b"".join(wrong))
