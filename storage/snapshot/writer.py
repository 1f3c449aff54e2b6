"""`SnapshotWriter`: writes a snapshot under a temporary name, and renames it once it is complete.

The temporary file stays when the writing is interrupted, and can be continued after its last whole
block: everything that is whole was read after the snapshot began. Invariant: a file with the final name
is complete and durable.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ...registry.errors import BadRequest, Damaged, Refused
from ...registry.types import Decree
from ...registry.wire.codec import encode
from ...registry.wire.marks import FeedMark
from ...registry.wire.packed import pack_decrees
from ..checksum import checksum, extend
from ..durable import sync_names
from .blocks import FIRST_LINE, Block, BlockFile, Kind, packed
from .contents import Contents, SnapshotEnd, SnapshotHead, check_order
from .reader import SnapshotReader

PARTIAL = ".partial"
"""What is appended to the name of a file that is not complete."""

PRIVATE = 0o600
"""Values may be secret, so only the owner may read a snapshot."""


def partial_path(path: Path) -> Path:
    """Where a snapshot is written until it is complete; there is an answer for ``.`` and ``/`` too."""
    return path.parent / f"{path.name}{PARTIAL}"


class SnapshotWriter:
    """A snapshot that is being written. To be closed in any case; only `end` completes it.

    Args:
        path: the file's final name.
        file: the temporary file, locked.
        head: the first block.

    Attributes:
        contents: how much was written so far.
        last: the last key that was written; empty at the beginning.
    """

    def __init__(self, path: Path, file: BinaryIO, head: SnapshotHead) -> None:
        self._path = path
        self._file = file
        self.head = head
        self.contents = Contents()
        self.last = ""
        self._number = 0
        self._at = len(FIRST_LINE)
        self._whole = checksum(FIRST_LINE)

    @classmethod
    def begin(cls, path: Path, head: SnapshotHead) -> Self:
        """Begin a snapshot.

        Raises:
            BadRequest: if the file, or a part of it, is there already.
            OSError: if it cannot be created.
        """
        check_new(path)
        try:
            file = _locked(partial_path(path), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileExistsError as error:
            raise BadRequest(
                f"{partial_path(path)} is there already, from a save that was interrupted: go on with"
                " --resume, or remove it"
            ) from error
        writer = cls(path, file, head)
        file.write(FIRST_LINE)
        writer._add(Kind.HEAD, encode(head))
        return writer

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Continue an interrupted snapshot after its last whole block; the rest is cut off.

        Raises:
            BadRequest: if there is nothing to continue.
            Damaged: if not even its first block is whole.
            OSError: if it cannot be opened.
        """
        check_new(path)
        try:
            file = _locked(partial_path(path), os.O_RDWR)
        except FileNotFoundError as error:
            raise BadRequest(f"there is no {partial_path(path)} to go on with") from error
        try:
            return cls._after_the_last_whole_block(path, file)
        except BaseException:
            file.close()
            raise

    @classmethod
    def _after_the_last_whole_block(cls, path: Path, file: BinaryIO) -> Self:
        reader = SnapshotReader(file)
        writer = cls(path, file, reader.head)
        writer._note(reader)
        try:
            for _ in reader.pages():
                writer._note(reader)
        except Damaged:
            pass  # what was written last is not whole
        file.seek(writer._at)
        file.truncate()
        return writer

    def _note(self, reader: SnapshotReader) -> None:
        """Remember that everything that `reader` has read is whole."""
        blocks: BlockFile = reader.blocks
        self._at, self._whole, self._number = blocks.at, blocks.whole, blocks.number
        self.contents, self.last = reader.contents, reader.last

    @property
    def size(self) -> int:
        """The bytes of the file so far."""
        return self._at

    def add(self, decrees: tuple[Decree, ...], packed: bytes | None = None) -> None:
        """Append decrees as one block.

        Args:
            decrees: in order of key, behind all that were added before.
            packed: the same, packed already.

        Raises:
            Damaged: if they are not in order: a reader would refuse the file.
        """
        if decrees:
            self.last = check_order(decrees, self.last)
            self._add(Kind.PACKED, packed or pack_decrees(decrees))
            self.contents = self.contents.plus(decrees)

    def end(
        self, ended_ms: int, base_whole: int | None, marks: tuple[FeedMark, ...] = ()
    ) -> SnapshotEnd:
        """Complete the file durably, and give it its name.

        Args:
            ended_ms: the time, in milliseconds since 1970.
            base_whole: the checksum of the snapshot that this one continues.
            marks: how far the feeds of voters are in it.
        """
        end = SnapshotEnd(self.contents, ended_ms, self._whole, base_whole, marks)
        self._add(Kind.END, encode(end))
        self._file.flush()
        os.fsync(self._file.fileno())
        partial_path(self._path).rename(self._path)
        sync_names(self._path.parent)
        return end

    def close(self) -> None:
        """Close the file. What is not complete stays under its temporary name."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _add(self, kind: Kind, payload: bytes) -> None:
        data = packed(Block(self._number, kind, payload), self.head.id)
        self._file.write(data)
        self._whole = extend(self._whole, data)
        self._at += len(data)
        self._number += 1


def check_new(path: Path) -> None:
    """Check that a snapshot may get this name.

    Raises:
        BadRequest: if there is a file.
    """
    if path.exists():
        raise BadRequest(f"{path} is there already, and no snapshot is overwritten: name another")


def _locked(path: Path, flags: int) -> BinaryIO:
    """Open a temporary file, which one process at a time may write.

    Raises:
        Refused: if another one writes it.
    """
    file = os.fdopen(os.open(path, flags | os.O_CLOEXEC, PRIVATE), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise Refused(f"{path} is being written by another process: wait for it") from error
    return file
