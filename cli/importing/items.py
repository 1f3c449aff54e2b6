"""The items of an import, one for each key, and the files that their values are read from later."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ...registry.errors import BadRequest, DecreedError
from ...registry.keys import sort_key
from ..options.values import LARGEST_VALUE, payload

JSON_TYPE = "application/json"

# do not wait for a pipe, and do not follow a link that has replaced a file
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class File:
    """A regular file as it was when it was checked.

    Args:
        path: its path, with every link followed.
        size: its bytes.
        stamp: changes when the file does.
    """

    path: str
    size: int
    stamp: tuple[int, int, int]

    @classmethod
    def at(cls, path: str) -> "File":
        """The file at `path`.

        Raises:
            OSError: if it cannot be opened to be read.
            BadRequest: if it is not a regular file, or is larger than a value may be.
        """
        descriptor = os.open(path, _FLAGS)
        try:
            return cls._of(descriptor, path)
        finally:
            os.close(descriptor)

    @classmethod
    def _of(cls, descriptor: int, path: str) -> "File":
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BadRequest("not a regular file")
        if found.st_size > LARGEST_VALUE:
            raise BadRequest(f"more than {LARGEST_VALUE} bytes")
        return cls(path, found.st_size, (found.st_dev, found.st_ino, found.st_mtime_ns))

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            BadRequest: if it cannot be read, or has changed since it was checked.
        """
        try:
            with open(os.open(self.path, _FLAGS), "rb") as file:
                unchanged = self._of(file.fileno(), self.path) == self
                data = file.read(LARGEST_VALUE + 1)
        except OSError as error:
            raise BadRequest(f"{self.path}: {error.strerror or error}") from error
        # files of the system, as in /proc, have the size 0
        if not unchanged or len(data) != (self.size or len(data)):
            raise BadRequest(f"{self.path}: it was changed after it was checked")
        return data


@dataclass(frozen=True)
class Item:
    """One key to be frozen.

    Args:
        key: its name, not yet checked.
        value: text or bytes.
        file: the file with the value, if the value is not given.
        content_type: the media type; None for that of text or bytes.
        error: why it cannot be frozen, if that is known already.
        name: the key below the prefix, as the source names it.
        bad_name: whether its name is the reason.
        left_out: why it is left out; empty if it is not.
    """

    key: str
    value: str | bytes = b""
    file: File | None = None
    content_type: str | None = None
    error: DecreedError | None = None
    name: str = ""
    bad_name: bool = False
    left_out: str = ""

    @property
    def size(self) -> int:
        """The bytes of its value."""
        if self.file is not None:
            return self.file.size
        return len(self.value.encode() if isinstance(self.value, str) else self.value)

    def load(self) -> "Item":
        """The item with its value read.

        Raises:
            BadRequest: if its file cannot be read, or has changed.
        """
        if self.file is None:
            return self
        return replace(self, value=payload(self.file.read()), file=None)

    def failing(self, why: str) -> "Item":
        """The item as one that cannot be frozen."""
        return replace(self, error=BadRequest(why))


def in_order(items: Iterable[Item]) -> list[Item]:
    """Items in order of key, the slots of a series by number; a key may still be malformed."""

    def place(item: Item) -> bytes:
        return sort_key(item.key.encode("utf-8", "backslashreplace").decode())

    return sorted(items, key=place)


def key_below(prefix: str, name: str) -> str:
    """The key that `name` makes under `prefix`."""
    return f"{prefix}/{name}" if prefix else name
