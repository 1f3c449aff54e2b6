"""Where an import comes from: a folder of files, or one settings file. Items come in order of key.

The bytes of a folder's files are read one by one, when their turn comes, never all at once.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..registry.errors import BadRequest, DecreedError
from ..registry.keys import sort_key
from .values import LARGEST_VALUE, payload

JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Item:
    """One key to be frozen.

    Args:
        key: its name, not yet checked.
        value: text or bytes.
        path: the file whose bytes are the value, read when their turn comes.
        content_type: the media type, None for that of text or bytes.
        error: why it cannot be frozen, if that is known already.
    """

    key: str
    value: str | bytes = b""
    path: str = ""
    content_type: str | None = None
    error: DecreedError | None = None

    def load(self) -> "Item":
        """The item with its value read.

        Raises:
            BadRequest: if the file cannot be read or is too large.
        """
        if not self.path:
            return self
        try:
            with open(self.path, "rb") as file:
                data = file.read(LARGEST_VALUE + 1)
        except OSError as error:
            raise BadRequest(f"{self.path}: {error.strerror or error}") from error
        if len(data) > LARGEST_VALUE:
            raise BadRequest(f"{self.path}: more than {LARGEST_VALUE} bytes")
        return Item(self.key, payload(data), content_type=self.content_type)


def folder_items(folder: Path, prefix: str) -> list[Item]:
    """An item for each file below `folder`, its path under `prefix` as key.

    Links and special files are not followed or read; they come back as items with an error.
    """
    items = [
        Item(_key(prefix, os.path.relpath(path, folder)), path=path, error=error)
        for path, error in _files(os.fspath(folder))
    ]
    return in_order(items)


def in_order(items: Iterable[Item]) -> list[Item]:
    """Items in order of key, the slots of a series by number; a key may still be malformed."""

    def place(item: Item) -> bytes:
        return sort_key(item.key.encode("utf-8", "backslashreplace").decode())

    return sorted(items, key=place)


def _key(prefix: str, relative: str) -> str:
    path = relative.replace(os.sep, "/")
    return f"{prefix}/{path}" if prefix else path


def _files(folder: str) -> Iterator[tuple[str, DecreedError | None]]:
    """Each file below `folder`, and why it is left out, if it is."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError as error:
            yield current, BadRequest(f"{current}: {error.strerror or error}")
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            else:
                yield entry.path, _fault(entry)


def _fault(entry: "os.DirEntry[str]") -> DecreedError | None:
    if entry.is_symlink():
        return BadRequest(f"{entry.path}: a symbolic link, which is not followed")
    if not entry.is_file(follow_symlinks=False):
        return BadRequest(f"{entry.path}: not a regular file")
    return None
