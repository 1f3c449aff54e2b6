"""`SnapshotReader`: reads a snapshot from its first byte to its last, in bounded memory.

Whatever verifies, shows, restores, resumes or continues a snapshot reads it with this. Invariant: what
it yields was written so; what is wrong is raised as `Damaged`, with the block and the byte.
"""

from collections.abc import Iterator
from typing import BinaryIO, TypeVar

from ...registry.errors import Damaged, ProtocolError
from ...registry.types import Decree, Value
from ...registry.wire.codec import decode
from .blocks import Block, BlockFile, Kind
from .contents import Contents, SnapshotEnd, SnapshotHead, check_order, decode_decrees

V = TypeVar("V", bound=Value)


class SnapshotReader:
    """A snapshot in an open file.

    Args:
        file: open for reading, at its beginning.

    Attributes:
        head: its first block.
        end: its last block; None until everything is read.
        contents: how much was read so far.
        last: the last key that was read; empty at the beginning.

    Raises:
        BadRequest: if it is no snapshot.
        Refused: if it has another format.
        Damaged: if its first block is.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.blocks = BlockFile(file)
        block = self.blocks.read()
        if block is None:
            raise Damaged("the file ends before its first block")
        if block.kind != Kind.HEAD:
            raise Damaged(f"block 0: it is of kind {block.kind}, not the first block of a snapshot")
        self.head = _decoded(block, SnapshotHead)
        self.blocks.snapshot = self.head.id
        self.end: SnapshotEnd | None = None
        self.contents = Contents()
        self.last = ""

    def pages(self) -> Iterator[tuple[Decree, ...]]:
        """The decrees of each block, in order of key; at the end `end` is known and checked.

        Raises:
            Damaged: if the file is not as it was written, or not complete.
        """
        whole = self.blocks.whole
        while (block := self.blocks.read()) is not None:
            match block.kind:
                case Kind.DECREES | Kind.PACKED:
                    yield self._decrees(block)
                case Kind.END:
                    self._end(block, whole)
                    return
                case _:
                    raise Damaged(f"block {block.number}: its kind {block.kind} is not known")
            whole = self.blocks.whole
        raise self._cut()

    def check_blocks(self) -> None:
        """Check that all blocks are whole, and that the last one is the end, which is known then.

        What is in the others is not looked at, so it is far faster than `pages`. It reads to the end.

        Raises:
            Damaged: if a block is not as it was written, or the end is missing.
        """
        last, before = None, 0
        whole = self.blocks.whole
        while (block := self.blocks.read()) is not None:
            last, before, whole = block, whole, self.blocks.whole
        if last is None or last.kind != Kind.END:
            raise self._cut()
        self._check_end(_decoded(last, SnapshotEnd), before)

    def decrees(self) -> Iterator[Decree]:
        """All decrees, in order of key; raises as `pages` does."""
        for page in self.pages():
            yield from page

    @property
    def whole(self) -> int:
        """The checksum of everything before the end, once it is read."""
        assert self.end is not None, "it is read to its end"
        return self.end.whole

    def _cut(self) -> Damaged:
        return Damaged(
            f"the file ends after block {self.blocks.number - 1}, at byte {self.blocks.at}, before"
            " its end: it was cut, or never completed"
        )

    def _decrees(self, block: Block) -> tuple[Decree, ...]:
        try:
            decrees = decode_decrees(block.payload, packed=block.kind == Kind.PACKED)
            self.last = check_order(decrees, self.last)
        except Damaged as error:
            raise Damaged(f"block {block.number}: {error}") from error
        self.contents = self.contents.plus(decrees)
        return decrees

    def _end(self, block: Block, whole: int) -> None:
        end = _decoded(block, SnapshotEnd)
        if end.contents != self.contents:
            raise Damaged(f"it should have {end.contents}, and has {self.contents}")
        if self.blocks.read() is not None:
            raise Damaged(f"there is more after the end, at byte {self.blocks.at}")
        self._check_end(end, whole)

    def _check_end(self, end: SnapshotEnd, whole: int) -> None:
        if end.whole != whole:
            raise Damaged("the checksum of the whole file does not match")
        if (end.base_whole is None) != (self.head.base is None):
            raise Damaged("its first and its last block disagree about what it continues")
        if not set(end.marks) <= set(self.head.marks):
            raise Damaged("its last block has marks that its first one has not")
        self.end = end


def _decoded(block: Block, kind: type[V]) -> V:
    try:
        return decode(block.payload, kind)
    except ProtocolError as error:
        raise Damaged(f"block {block.number}: it makes no sense: {error}") from error
