"""`SnapshotChain`: a full snapshot and its increments, read as one.

Invariants: each file continues the one before it, byte for byte; no key has two decrees. So the union
has everything that was answered before the last of them began.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ...registry.errors import BadRequest, Damaged, DecreedError
from ...registry.keys import sort_key
from ...registry.types import Decree
from .contents import Contents, SnapshotHead
from .reader import SnapshotReader

MERGED = 250
"""How many decrees of several files make a page."""


class SnapshotChain:
    """The files of a chain, open; to be used in a ``with`` block.

    Args:
        paths: the files, the full one first.

    Attributes:
        readers: one for each file.

    Raises:
        DecreedError: if a file is no snapshot, or does not belong behind the one before it; names it.
        OSError: if a file cannot be read.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.contents = Contents()
        with ExitStack() as files:
            self.readers = [_named(path, files.enter_context(path.open("rb"))) for path in paths]
            self._check_first()
            self._files = files.pop_all()

    @property
    def head(self) -> SnapshotHead:
        """The first block of the last file: what is said of the whole."""
        return self.readers[-1].head

    @property
    def whole(self) -> int:
        """The checksum of the last file, once everything is read."""
        return self.readers[-1].whole

    def decrees(self) -> Iterator[Decree]:
        """The union, in order of key; at its end the chain is checked.

        Raises:
            Damaged: if a file is damaged, or the chain is wrong; names the file.
        """
        each = [self._of(*pair) for pair in zip(self.paths, self.readers, strict=True)]
        before: Decree | None = None
        for decree in merge(*each, key=_place) if len(each) > 1 else each[0]:
            if before is not None and before.key == decree.key:
                raise Damaged(f"two of the files have the key {decree.key!r}")
            before = decree
            yield decree
        self._end()

    def pages(self) -> Iterator[Sequence[Decree]]:
        """The union as `decrees` gives it, some at a time: the blocks themselves, if it is one file."""
        if len(self.readers) == 1:
            with _naming(self.paths[0]):
                yield from self.readers[0].pages()
            self._end()
        else:
            decrees = self.decrees()
            while page := list(islice(decrees, MERGED)):
                yield page

    def _end(self) -> None:
        self._check_links()
        for reader in self.readers:
            self.contents = self.contents.joined(reader.contents)

    def _of(self, path: Path, reader: SnapshotReader) -> Iterator[Decree]:
        with _naming(path):
            yield from reader.decrees()

    def _check_first(self) -> None:
        """Check what the first blocks say of the chain, before anything else is read."""
        for path, reader, before in zip(
            self.paths, self.readers, [None, *self.readers], strict=False
        ):
            _check_base(path, reader, before)

    def check_blocks(self) -> None:
        """Check all bytes of all files, and the chain; what is in the blocks is not looked at.

        Raises:
            Damaged: if a file is damaged, or the chain is wrong; names the file.
        """
        for path, reader in zip(self.paths, self.readers, strict=True):
            with _naming(path):
                reader.check_blocks()
        self._check_links()

    def _check_links(self) -> None:
        """Check that each file is the very one that the next continues."""
        for path, reader, following in zip(
            self.paths, self.readers, self.readers[1:], strict=False
        ):
            if following.end is None or following.end.base_whole != reader.whole:
                raise Damaged(f"{path} is not the file that the next one continues: it was changed")

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_base(path: Path, reader: SnapshotReader, before: SnapshotReader | None) -> None:
    base = reader.head.base
    if before is None and base is not None:
        raise BadRequest(
            f"{path} is an increment: name the snapshot {base.id.hex()} before it, with those that it"
            " continues"
        )
    if before is None:
        return
    if base is None:
        raise BadRequest(f"{path} is a full snapshot, and continues no other")
    if base.id != before.head.id:
        raise BadRequest(
            f"{path} continues the snapshot {base.id.hex()}, not {before.head.id.hex()}, which is"
            " named before it"
        )
    if reader.head.formation != before.head.formation:
        raise BadRequest(f"{path} was taken from another formation than the one before it")


def _named(path: Path, file: BinaryIO) -> SnapshotReader:
    with _naming(path):
        return SnapshotReader(file)


@contextmanager
def _naming(path: Path) -> Generator[None]:
    """Errors in the block are about this file."""
    try:
        yield
    except DecreedError as error:
        raise type(error)(f"{path}: {error}") from error


def _place(decree: Decree) -> bytes:
    return sort_key(decree.key)
