"""A snapshot is read as it was written, or an error names what is wrong with it."""

from io import BytesIO
from pathlib import Path

import pytest

from decreed.registry.errors import BadRequest, Damaged, DecreedError, Refused
from decreed.registry.types import Decree
from decreed.registry.wire.codec import encode
from decreed.registry.wire.packed import pack_decrees
from decreed.storage.checksum import checksum
from decreed.storage.snapshot.blocks import FIRST_LINE, HEAD_BYTES, Block, BlockFile, Kind, packed
from decreed.storage.snapshot.chain import SnapshotChain
from decreed.storage.snapshot.contents import Contents, SnapshotEnd
from decreed.storage.snapshot.reader import SnapshotReader
from decreed.storage.snapshot.writer import SnapshotWriter, partial_path

from .samples import decree
from .snapshots import ALL, ID, PAGES, head, read, write

WRITTEN = list(ALL)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "full")


def blocks_of(path: Path) -> list[bytes]:
    """The bytes of each block."""
    found: list[bytes] = []
    with path.open("rb") as file:
        blocks = BlockFile(file)
        while (block := blocks.read()) is not None:
            blocks.snapshot = ID
            found.append(packed(block, ID))
    return found


def put(path: Path, *blocks: bytes) -> Path:
    path.write_bytes(FIRST_LINE + b"".join(blocks))
    return path


def refusal(path: Path) -> str:
    """What is said of a file that must not be read as a snapshot; whatever it yields is right."""
    from decreed.storage.snapshot.chain import SnapshotChain

    seen: list[Decree] = []
    with pytest.raises(DecreedError) as raised, SnapshotChain([path]) as chain:
        seen += chain.decrees()
    assert seen == WRITTEN[: len(seen)]
    assert isinstance(raised.value, BadRequest | Damaged | Refused)
    return str(raised.value)


def test_what_was_written_is_read(path: Path) -> None:
    assert read(path) == WRITTEN


def test_only_its_owner_may_read_a_snapshot(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def refused(data: bytes) -> bool:
    """Whether an error is raised for these bytes, and nothing wrong was read before it."""
    seen: list[Decree] = []
    try:
        for page in SnapshotReader(BytesIO(data)).pages():
            seen += page
    except (BadRequest, Damaged, Refused):
        return seen == WRITTEN[: len(seen)]
    return False


def test_every_flipped_bit_is_found(path: Path) -> None:
    data = path.read_bytes()
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        assert refused(bytes(flipped)), at


def test_every_cut_is_found(path: Path) -> None:
    data = path.read_bytes()
    for length in range(len(data)):
        assert refused(data[:length]), length


def test_a_file_that_was_cut_between_two_blocks_says_so(path: Path) -> None:
    put(path, *blocks_of(path)[:3])
    assert "before its end: it was cut, or never completed" in refusal(path)


def test_a_flipped_byte_is_named_with_its_block(path: Path) -> None:
    blocks = blocks_of(path)
    blocks[2] = blocks[2][:-1] + b"?"
    at = len(FIRST_LINE) + len(blocks[0]) + len(blocks[1])
    assert f"block 2, at byte {at}: its checksum does not match" in refusal(put(path, *blocks))


def test_swapped_blocks_are_named(path: Path) -> None:
    first, one, other, *rest = blocks_of(path)
    assert "block 1, at byte" in refusal(put(path, first, other, one, *rest))
    assert "block 2 stands in its place" in refusal(put(path, first, other, one, *rest))


def test_a_missing_and_a_repeated_block_are_named(path: Path) -> None:
    first, one, other, *rest = blocks_of(path)
    assert "block 2 stands in its place" in refusal(put(path, first, other, *rest))
    assert "block 1 stands in its place" in refusal(put(path, first, one, one, other, *rest))


def test_a_block_of_another_snapshot_is_found(path: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", of=head(bytes(16)))
    with (tmp_path / "other").open("rb") as file:
        blocks = BlockFile(file)
        blocks.read()
        blocks.snapshot = bytes(16)
        strange = packed(blocks.read() or Block(0, 0, b""), bytes(16))
    first, _, *rest = blocks_of(path)
    assert "is of another snapshot" in refusal(put(path, first, strange, *rest))


def test_what_comes_after_the_end_is_found(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")
    assert "the file ends within its head" in refusal(path)
    put(path, *blocks_of_extended(path))
    assert "there is more after the end" in refusal(path)


def blocks_of_extended(path: Path) -> list[bytes]:
    write(path.with_name("sound"))
    blocks = blocks_of(path.with_name("sound"))
    return [*blocks, packed(Block(len(blocks), Kind.DECREES, b"\x80"), ID)]


def end_of(contents: Contents, whole: int) -> bytes:
    return encode(SnapshotEnd(contents, 1, whole, None))


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([(Kind.PACKED, pack_decrees([decree("b"), decree("a")]))], "the key 'a' stands behind"),
        ([(Kind.PACKED, pack_decrees([decree("a"), decree("a")]))], "the key 'a' stands behind"),
        ([(Kind.DECREES, b"\xff")], "block 1: it makes no sense"),
        ([(Kind.PACKED, b"\xff")], "block 1: it makes no sense"),
        ([(Kind.PACKED, b"\x91\x01")], "block 1: it makes no sense"),
        ([(Kind.HEAD, encode(head()))], "block 1: its kind 0 is not known"),
        ([(7, b"")], "block 1: its kind 7 is not known"),
        ([(Kind.END, b"\x80")], "block 1: it makes no sense"),
        ([(Kind.END, end_of(Contents(), 1))], "the checksum of the whole file does not match"),
    ],
)
def test_blocks_that_are_whole_and_wrong_are_named(
    path: Path, blocks: list[tuple[int, bytes]], said: str
) -> None:
    first = blocks_of(path)[0]
    made = [packed(Block(n, *block), ID) for n, block in enumerate(blocks, 1)]
    assert said in refusal_of_any(put(path, first, *made))


def test_a_snapshot_that_counts_other_decrees_than_it_has_is_named(path: Path) -> None:
    """All checksums are right: what wrote it has lost something."""
    *sound, _ = blocks_of(path)
    whole = checksum(FIRST_LINE + b"".join(sound))
    for contents in (Contents(), Contents(len(ALL) + 1)):
        end = packed(Block(len(sound), Kind.END, end_of(contents, whole)), ID)
        assert "it should have" in refusal_of_any(put(path, *sound, end))


def refusal_of_any(path: Path) -> str:
    with pytest.raises(Damaged) as raised:
        read(path)
    return str(raised.value)


def test_decrees_in_cbor_are_read_too_as_earlier_builds_wrote_them(path: Path) -> None:
    first = blocks_of(path)[0]
    blocks = [first, packed(Block(1, Kind.DECREES, encode(ALL)), ID)]
    whole = checksum(FIRST_LINE + b"".join(blocks))
    contents = Contents().plus(ALL)
    put(path, *blocks, packed(Block(2, Kind.END, end_of(contents, whole)), ID))
    assert read(path) == list(ALL)


def test_a_key_that_cannot_be_is_found(path: Path) -> None:
    from msgspec.structs import replace

    first = blocks_of(path)[0]
    block = Block(1, Kind.PACKED, pack_decrees([replace(decree("a"), key="a//b")]))
    assert "'a//b'" in refusal_of_any(put(path, first, packed(block, ID)))


def test_other_files_and_formats_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    assert "is no snapshot" in refusal(file)
    file.write_bytes(b"\x7fELF" * 100)
    assert "is no snapshot" in refusal(file)
    file.write_bytes(b"decreed snapshot, format 2\nwhatever")
    assert "it has format 2, and this decreed" in refusal(file)


def test_a_length_is_not_believed_when_its_head_is_damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(FIRST_LINE) + 9] = 0xFF  # the first byte of the length of block 0
    path.write_bytes(data)
    assert "its head is damaged" in refusal(path)


# ---- writing ----


def test_no_file_is_overwritten(path: Path) -> None:
    with pytest.raises(BadRequest, match="no snapshot is overwritten"):
        SnapshotWriter.begin(path, head())


def test_the_file_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new"
    with SnapshotWriter.begin(path, head()) as writer:
        writer.add(PAGES[0])
        assert not path.exists()
        writer.end(1, None)
        assert path.exists() and not partial_path(path).exists()


def test_an_interrupted_save_is_not_begun_again_by_mistake(tmp_path: Path) -> None:
    SnapshotWriter.begin(tmp_path / "new", head()).close()
    with pytest.raises(BadRequest, match="--resume, or remove it"):
        SnapshotWriter.begin(tmp_path / "new", head())


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    with (
        SnapshotWriter.begin(tmp_path / "new", head()),
        pytest.raises(Refused, match="written by another process"),
    ):
        SnapshotWriter.resume(tmp_path / "new")


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="to go on with"):
        SnapshotWriter.resume(tmp_path / "new")


def test_a_save_goes_on_wherever_it_was_cut(tmp_path: Path) -> None:
    """After its first block; it may have been interrupted between its last block and its new name."""
    path = write(tmp_path / "whole")
    data, begun = path.read_bytes(), len(FIRST_LINE) + len(blocks_of(path)[0])
    for length in (*range(begun, len(data), 41), len(data)):
        new = tmp_path / "new"
        partial_path(new).write_bytes(data[:length])
        with SnapshotWriter.resume(new) as writer:
            kept = writer.contents.decrees + writer.contents.terms
            assert writer.last == (WRITTEN[kept - 1].key if kept else "")
            assert kept in (0, 3, 7, len(WRITTEN))
            writer.add(tuple(WRITTEN[kept:]))
            writer.end(1, None)
        assert read(new) == WRITTEN
        new.unlink()


def test_a_save_that_is_damaged_goes_on_before_the_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "whole")
    blocks = blocks_of(path)
    blocks[2] = blocks[2][:HEAD_BYTES] + b"?" + blocks[2][HEAD_BYTES + 1 :]
    new = tmp_path / "new"
    put(partial_path(new), *blocks)
    with SnapshotWriter.resume(new) as writer:
        assert writer.contents == Contents().plus(PAGES[0])


def test_what_stands_behind_a_later_key_is_never_written(tmp_path: Path) -> None:
    with SnapshotWriter.begin(tmp_path / "full", head()) as writer:
        writer.add((decree("b"),))
        for late in (decree("a"), decree("b")):
            with pytest.raises(Damaged):
                writer.add((late,))
        writer.add((decree("c"),), pack_decrees((decree("c"),)))
        writer.end(1, None)
    with SnapshotChain([tmp_path / "full"]) as chain:
        assert [each.key for each in chain.decrees()] == ["b", "c"]
