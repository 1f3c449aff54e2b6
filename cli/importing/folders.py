"""A folder of files: which of them are imported, and why others are not.

Symbolic links are followed if their target is in the folder, so that a mounted ConfigMap or Secret
works. Names that begin with two dots belong to the mechanism of such mounts, and are ignored.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...registry.errors import BadRequest
from .flatten import MOST_ITEMS
from .items import File, Item, key_below

_GENERATION = "..data"
"""The symbolic link that replaces a mounted folder as a whole."""


@dataclass(frozen=True)
class Folder:
    """A folder that is searched.

    Args:
        real: its path, with every link followed.
        prefix: the prefix of keys.
        hidden: whether names that begin with a dot are included.
        unwanted: whether a path below the folder is to be left out; a folder's path ends with ``/``.
    """

    real: str
    prefix: str
    hidden: bool
    unwanted: Callable[[str], bool]

    def items(self) -> Iterator[Item]:
        """An item for each file, with its path as its name, and for every other entry."""
        waiting = [_Place(self.real, "", (self.real,))]
        while waiting:
            place = waiting.pop()
            try:
                entries = sorted(os.scandir(place.real), key=lambda entry: entry.name)
            except OSError as error:
                yield self._item(place.name).failing(_reason(error))
                continue
            for entry in entries:
                found = self._look(place, entry)
                if isinstance(found, _Place):
                    waiting.append(found)
                elif found is not None:
                    yield found

    def _look(self, place: "_Place", entry: "os.DirEntry[str]") -> "_Place | Item | None":
        """The item of an entry, or the folder that it is; None for ignored entries."""
        if entry.name.startswith(".."):
            return None
        name = f"{place.name}/{entry.name}" if place.name else entry.name
        item = self._item(name)
        if entry.name.startswith(".") and not self.hidden:
            return replace(item, left_out="hidden")
        try:
            real = self._target(entry.path) if entry.is_symlink() else entry.path
            is_folder = os.path.isdir(real)
            if self.unwanted(f"{name}/" if is_folder else name):
                return replace(item, left_out="excluded")
            return place.inside(real, name) if is_folder else replace(item, file=File.at(real))
        except OSError as error:
            return item.failing(_reason(error))
        except BadRequest as error:
            return item.failing(str(error))

    def _target(self, link: str) -> str:
        """The final target of a symbolic link.

        Raises:
            BadRequest: if it does not exist, or is outside the folder.
        """
        shown = os.readlink(link)
        try:
            target = os.path.realpath(link, strict=True)
        except OSError as error:
            raise BadRequest(f"a symbolic link to {shown!r}: {_reason(error)}") from error
        if not target.startswith(self.real.rstrip(os.sep) + os.sep):
            raise BadRequest(f"a symbolic link to {shown!r}, which is not below the folder")
        return target

    def _item(self, name: str) -> Item:
        return Item(key_below(self.prefix, name), name=name)


@dataclass(frozen=True)
class _Place:
    """A folder to be searched: its real path, its name, and the real paths of all folders above it."""

    real: str
    name: str
    above: tuple[str, ...]

    def inside(self, real: str, name: str) -> "_Place":
        """The folder `real` inside this one.

        Raises:
            BadRequest: if it contains this one, which would be an endless loop.
        """
        if real in self.above:
            raise BadRequest("a symbolic link to a folder that it lies in, which has no end")
        return _Place(real, name, (*self.above, real))


def folder_items(
    folder: Path, prefix: str, hidden: bool, unwanted: Callable[[str], bool]
) -> list[Item]:
    """An item for each file below `folder`.

    Entries that cannot be read or must not be followed have an error; unwanted ones are marked as left
    out. Values are read later, one by one.

    Raises:
        BadRequest: if there are too many, or the folder was replaced meanwhile.
    """
    real = os.path.realpath(folder)
    before = _generation(real)
    items: list[Item] = []
    for item in Folder(real, prefix, hidden, unwanted).items():
        items.append(item)
        if len(items) > MOST_ITEMS:
            raise BadRequest(f"it has more than {MOST_ITEMS} files")
    if _generation(real) != before:
        raise BadRequest("it was updated while it was read: run it again")
    return items


def _generation(folder: str) -> str:
    return os.path.realpath(os.path.join(folder, _GENERATION))


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
