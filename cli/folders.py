"""A folder of files: which of them are imported, and why others are not.

Symbolic links are followed if what they lead to lies in the folder, so a mounted ConfigMap or Secret
reads as it looks. Names that begin with two dots are how those are mounted, and never of interest.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..registry.errors import BadRequest
from .flatten import MOST_ITEMS
from .items import File, Item, key_below

_GENERATION = "..data"
"""The link by which a mounted folder is exchanged as a whole."""


@dataclass(frozen=True)
class Folder:
    """A folder that is looked through.

    Args:
        real: its path, with every link followed.
        prefix: what keys are put under.
        hidden: whether names that begin with a dot are wanted.
        unwanted: says of a path below the folder, with ``/`` at the end of that of a folder, whether
            it is to be left out.
    """

    real: str
    prefix: str
    hidden: bool
    unwanted: Callable[[str], bool]

    def items(self) -> Iterator[Item]:
        """An item for each file, its path as its name, and for whatever else is met."""
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
        """The item of an entry, or the folder that it is; None for what is never of interest."""
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
        """Where a symbolic link leads in the end.

        Raises:
            BadRequest: if that is nothing, or lies outside of the folder.
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
    """A folder to be looked through: its real path, its name, and the real paths of all above it."""

    real: str
    name: str
    above: tuple[str, ...]

    def inside(self, real: str, name: str) -> "_Place":
        """The folder `real`, which lies in this one.

        Raises:
            BadRequest: if it is one that this one lies in: there would be no end.
        """
        if real in self.above:
            raise BadRequest("a symbolic link to a folder that it lies in, which has no end")
        return _Place(real, name, (*self.above, real))


def folder_items(
    folder: Path, prefix: str, hidden: bool, unwanted: Callable[[str], bool]
) -> list[Item]:
    """An item for each file below `folder`.

    What cannot be read or must not be followed comes back with an error, and what is not wanted as
    left out. Values are read later, one by one.

    Raises:
        BadRequest: if there is too much, or the folder was exchanged meanwhile.
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
