"""A snapshot that was changed or cut anywhere is an error, and never anything that was not written."""

from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.errors import BadRequest, Damaged, Refused
from decreed.registry.types import Decree
from decreed.registry.wire.codec import encode
from decreed.registry.wire.packed import pack_decrees
from decreed.storage.checksum import checksum
from decreed.storage.snapshot.blocks import FIRST_LINE, Block, Kind, packed
from decreed.storage.snapshot.contents import Contents, SnapshotEnd, SnapshotHead
from decreed.storage.snapshot.reader import SnapshotReader

from . import targets
from .strategies import values_of
from .texts import keys

HEAD = SnapshotHead(bytes(range(16)), "c", bytes(16), 0, (), 1, "fuzz", None)


def snapshot_of(pages: list[list[Decree]]) -> bytes:
    """The bytes of a complete snapshot."""
    data = FIRST_LINE + packed(Block(0, Kind.HEAD, encode(HEAD)), HEAD.id)
    contents = Contents()
    for number, page in enumerate(pages, 1):
        contents = contents.plus(page)
        data += packed(Block(number, Kind.PACKED, pack_decrees(page)), HEAD.id)
    end = SnapshotEnd(contents, 2, checksum(data), None)
    return data + packed(Block(len(pages) + 1, Kind.END, encode(end)), HEAD.id)


@st.composite
def pages(draw: st.DrawFn) -> list[list[Decree]]:
    """Pages of decrees in order of key."""
    from msgspec.structs import replace

    from decreed.registry.keys import sort_key

    names = sorted(draw(st.sets(keys(), min_size=1, max_size=6)), key=sort_key)
    one = draw(values_of(Decree))
    decrees = [replace(one, key=name) for name in names]
    cut = draw(st.integers(0, len(decrees)))
    return [page for page in (decrees[:cut], decrees[cut:]) if page]


def read(data: bytes) -> tuple[list[Decree], bool]:
    """What is read, and whether there was no error."""
    seen: list[Decree] = []
    try:
        for page in SnapshotReader(BytesIO(data)).pages():
            seen += page
    except (BadRequest, Damaged, Refused):
        return seen, False
    return seen, True


@given(pages())
def test_a_snapshot_is_read_as_it_was_written(written: list[list[Decree]]) -> None:
    assert read(snapshot_of(written)) == ([each for page in written for each in page], True)


@given(pages(), st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_are_found(written: list[list[Decree]], flips: list[tuple[int, int]]) -> None:
    sound = snapshot_of(written)
    data = bytearray(sound)
    for at, mask in flips:
        data[at % len(data)] ^= mask
    seen, complete = read(bytes(data))
    everything = [each for page in written for each in page]
    assert seen == everything[: len(seen)]
    assert complete == (data == sound)


@given(pages(), st.integers(0), st.integers(0))
def test_a_cut_or_a_hole_is_found(written: list[list[Decree]], one: int, other: int) -> None:
    sound = snapshot_of(written)
    start, end = sorted((one % (len(sound) + 1), other % (len(sound) + 1)))
    for data in (sound[:start], sound[:start] + sound[end:], sound + sound[start:end]):
        seen, complete = read(data)
        everything = [each for page in written for each in page]
        assert seen == everything[: len(seen)]
        assert complete == (data == sound)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_snapshot_or_refused(data: bytes) -> None:
    targets.snapshot(data)
