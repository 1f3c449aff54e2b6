"""Whether MANIFEST, logs and high-water mark account for every row, on files made by hand."""

import struct
from pathlib import Path

import pytest

from decreed.registry.errors import Damaged
from decreed.storage.continuity import check_directory
from decreed.storage.high_water import NAME, HighWater, note, noted

from .test_logfile import fragment


def edit(last_sequence: int, log: int = 8, next_file: int = 10) -> bytes:
    """A record of a MANIFEST: everything up to this row is in tables, before this log."""
    return fragment(bytes([2, log, 3, next_file, 4, last_sequence]))


def batch(first: int, count: int = 1) -> bytes:
    """A record of a write-ahead log: a batch of these rows."""
    return fragment(struct.pack("<QI", first, count) + b"rows")


ONE, TWO = batch(6), batch(7, count=2)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Its tables hold the rows up to 5, and it had begun log 9 then."""
    (tmp_path / "MANIFEST-000005").write_bytes(edit(3) + edit(5))
    (tmp_path / "CURRENT").write_text("MANIFEST-000005\n")
    note(tmp_path, HighWater(9, 5))
    return tmp_path


def test_a_torn_log_before_an_empty_one_passes(database: Path) -> None:
    (database / "000009.log").write_bytes(ONE + TWO[:9])
    (database / "000010.log").write_bytes(TWO[:5])
    check_directory(database)


def test_a_torn_log_before_one_with_records_does_not(database: Path) -> None:
    (database / "000009.log").write_bytes(ONE + TWO[:9])
    (database / "000010.log").write_bytes(b"")
    (database / "1000000.log").write_bytes(TWO)
    with pytest.raises(Damaged, match=r"000009\.log .* yet 1000000\.log goes on"):
        check_directory(database)


def test_logs_that_follow_one_another_pass(database: Path) -> None:
    (database / "000008.log").write_bytes(batch(4, count=2))
    (database / "000009.log").write_bytes(ONE + TWO)
    (database / "000010.log").write_bytes(batch(9))
    check_directory(database)


def test_R13_a_hole_after_the_tables_is_damage(database: Path) -> None:
    (database / "000009.log").write_bytes(TWO)
    with pytest.raises(Damaged, match=r"begins a batch with row 7, .* ends with row 5"):
        check_directory(database)


def test_R13_a_hole_between_two_logs_is_damage(database: Path) -> None:
    (database / "000009.log").write_bytes(ONE)
    (database / "000011.log").write_bytes(batch(8))
    with pytest.raises(Damaged, match=r"000011\.log begins a batch with row 8, .* with row 6"):
        check_directory(database)


def test_R13_a_batch_that_comes_twice_is_damage(database: Path) -> None:
    (database / "000009.log").write_bytes(ONE + ONE)
    with pytest.raises(Damaged, match=r"begins a batch with row 6, .* with row 6"):
        check_directory(database)


def test_R13_without_the_log_that_was_in_use_at_the_last_edit_the_database_is_damaged(
    database: Path,
) -> None:
    (database / "000010.log").write_bytes(b"")
    with pytest.raises(Damaged, match="no log from 000008 on that was there"):
        check_directory(database)
    (database / "000009.log").write_bytes(b"")
    check_directory(database)


def test_R13_a_database_that_ends_before_its_mark_is_damaged(database: Path) -> None:
    (database / "000009.log").write_bytes(ONE)
    note(database, HighWater(9, 7))
    with pytest.raises(Damaged, match="account for 6 of 7"):
        check_directory(database)


def test_R13_a_newest_log_older_than_the_mark_is_damage(database: Path) -> None:
    (database / "000009.log").write_bytes(ONE + TWO)
    note(database, HighWater(12, 6))
    with pytest.raises(Damaged, match=r"has lost its log 000012: .* is 000009"):
        check_directory(database)


def test_R13_a_missing_mark_is_damage_except_in_formats_without_marks(database: Path) -> None:
    (database / NAME).unlink()
    (database / "000009.log").write_bytes(ONE)
    check_directory(database, marked=False)
    with pytest.raises(Damaged, match=f"{NAME} is missing"):
        check_directory(database)


def test_every_changed_byte_of_the_mark_is_found(database: Path) -> None:
    sound = (database / NAME).read_bytes()
    assert noted(database) == HighWater(9, 5)
    for position in range(len(sound)):
        for bit in range(8):
            changed = bytearray(sound)
            changed[position] ^= 1 << bit
            (database / NAME).write_bytes(changed)
            with pytest.raises(Damaged, match=NAME):
                noted(database)


def test_an_edit_of_an_unknown_form_is_damage(database: Path) -> None:
    for payload in (b"\x63\x01", b"\x04", b"\x01\x09ab", b"\x07\x00\x01"):
        (database / "MANIFEST-000005").write_bytes(fragment(payload))
        with pytest.raises(Damaged, match="an edit of it has an unknown form"):
            check_directory(database)


@pytest.mark.parametrize("text", ["", "MANIFEST-000005", "manifest-000005\n", "MANIFEST-00000X\n"])
def test_a_current_that_names_no_manifest_is_damaged(database: Path, text: str) -> None:
    (database / "CURRENT").write_text(text)
    with pytest.raises(Damaged, match="CURRENT"):
        check_directory(database)


def test_a_missing_manifest_is_damaged(database: Path) -> None:
    (database / "CURRENT").write_text("MANIFEST-000007\n")
    with pytest.raises(Damaged, match="MANIFEST-000007 is missing"):
        check_directory(database)


def test_a_flipped_manifest_is_damaged(database: Path) -> None:
    (database / "MANIFEST-000005").write_bytes(edit(5)[:-1] + b"x")
    with pytest.raises(Damaged, match="MANIFEST-000005"):
        check_directory(database)
