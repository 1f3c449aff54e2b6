"""Everything that can be read is read, past what cannot, and what cannot is told."""

from collections.abc import Mapping, Sequence

import pytest

from decreed.storage.bytestore import Pair, Range, Unreadable
from decreed.storage.layout import Table, table_range
from decreed.storage.recovery.salvage import Gap, Salvage

WITHIN = table_range(Table.INSTANCES)


class Blocks:
    """A store of blocks, as a table has them: a read that touches a bad one fails."""

    where = "blocks"

    def __init__(self, blocks: Sequence[Sequence[bytes]], bad: Sequence[int]) -> None:
        self._block_of = {key: at for at, block in enumerate(blocks) for key in block}
        self._keys = sorted(self._block_of)
        self._last = [block[-1] for block in blocks]
        self._bad = frozenset(bad)
        self.reads = 0

    def get(self, key: bytes) -> bytes | None:
        return self.get_many([key])[0]

    def space(self) -> None:
        return None

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        for key in keys:
            self._touch(next((n for n, last in enumerate(self._last) if key <= last), None))
        return [key if key in self._block_of else None for key in keys]

    def ascending(self, within: Range, limit: int) -> list[Pair]:
        self.reads += 1
        # seeking reads the block in which the place would be, also if nothing of it is behind the place
        self._touch(next((n for n, last in enumerate(self._last) if within[0] <= last), None))
        found = [key for key in self._keys if within[0] <= key < within[1]][:limit]
        for key in found:
            self._touch(self._block_of[key])
        return [(key, key) for key in found]

    def walk(self, within: Range, limit: int) -> list[Pair]:
        return self.ascending(within, limit)

    def _touch(self, block: int | None) -> None:
        if block in self._bad:
            raise Unreadable(f"block {block} is damaged")

    def descending(self, within: Range, limit: int) -> list[Pair]:
        raise AssertionError("not used")

    def write(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        raise AssertionError("not used")

    def write_deferred(self) -> None:
        raise AssertionError("not used")

    def sync(self) -> None:
        raise AssertionError("not used")

    def close(self) -> None:
        raise AssertionError("not used")


def blocks_of(keys: Sequence[bytes], size: int) -> list[Sequence[bytes]]:
    return [keys[at : at + size] for at in range(0, len(keys), size)]


SHORT = [b"i%03d" % at for at in range(60)]
LONG = [b"i" + b"prefix/" * 60 + b"%06d" % (at * at) for at in range(60)]
MIXED = sorted([b"i" + bytes([97 + at % 26]) * (1 + at % 40) + b"%d" % at for at in range(60)])


@pytest.mark.parametrize("keys", [SHORT, LONG, MIXED], ids=["short", "long", "mixed"])
@pytest.mark.parametrize("bad", [(), (0,), (3,), (3, 4), (2, 5), (1, 3, 5, 7), (9,), range(10)])
def test_only_the_damaged_blocks_are_lost(keys: Sequence[bytes], bad: Sequence[int]) -> None:
    blocks = blocks_of(keys, 6)
    salvage = Salvage(Blocks(blocks, bad))
    found = [key for key, _ in salvage.each(WITHIN)]
    if len(bad) <= 1 or bad in (
        (3, 4),
        range(10),
    ):  # sound rows between damaged blocks may be passed
        assert found == [key for at, block in enumerate(blocks) if at not in bad for key in block]
    lost = set(keys) - set(found)
    assert all(any(gap.has(key) for gap in salvage.gaps) for key in lost)
    assert {key for at in bad for key in blocks[at]} <= lost
    assert not any(gap.has(key) for gap in salvage.gaps for key in found)


@pytest.mark.parametrize("bad", [(2, 5), (1, 3, 5, 7)])
def test_rows_between_damaged_blocks_are_read_by_their_keys(bad: Sequence[int]) -> None:
    blocks = blocks_of(LONG, 6)
    salvage = Salvage(Blocks(blocks, bad))

    def fill(gap: Gap) -> list[Pair]:
        inside = [(key, salvage.get(key)) for key in LONG if gap.has(key)]
        return [(key, data) for key, data in inside if data is not None]

    found = [key for key, _ in salvage.each(WITHIN, fill)]
    assert found == [key for at, block in enumerate(blocks) if at not in bad for key in block]


def test_a_row_that_cannot_be_read_by_its_key_is_a_gap_of_one_row() -> None:
    salvage = Salvage(Blocks(blocks_of(SHORT, 6), [1]))
    assert salvage.get(SHORT[0]) == SHORT[0]
    assert salvage.get(SHORT[7]) is None
    (gap,) = salvage.gaps
    assert gap.has(SHORT[7]) and not gap.has(SHORT[8])
    assert "block 1 is damaged" in str(gap)


def test_a_search_behind_damage_is_bounded() -> None:
    data = Blocks(blocks_of(LONG, 6), [4])
    list(Salvage(data).each(WITHIN))
    assert data.reads < 256 * len(LONG[0]) + 8 * 640 + 100
