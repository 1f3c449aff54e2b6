"""Which items of a source are frozen, and under which names: renaming, excluding, checking.

Everything that can be checked without a cluster is checked here, before anything is frozen.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ...registry.errors import BadRequest
from ...registry.keys import parse_key
from ..shell.shown import show
from .items import Item, in_order, key_below

MOST_SHOWN = 3
"""How many of the entries that make one key are named in the error."""


@dataclass(frozen=True)
class Names:
    """The options about names.

    Args:
        renames: pairs as ``OLD=NEW``; each is the name of an entry, or of a table or folder.
        excludes: patterns, as in a ``.gitignore``, of names that are left out.
        skip_bad: whether names that make no valid key are left out.
    """

    renames: Sequence[str] = ()
    excludes: Sequence[str] = ()
    skip_bad: bool = False


def arranged(items: Sequence[Item], prefix: str, names: Names) -> list[Item]:
    """The items in order of key, renamed and checked.

    Raises:
        BadRequest: if a name that is to be changed does not exist.
    """
    unwanted = excluding(names.excludes)
    wanted = [replace(i, left_out="excluded") if unwanted(i.name) else i for i in items]
    renamed = _renamed(wanted, prefix, names.renames)
    return _without_twins(in_order(_checked(item, names.skip_bad) for item in renamed))


def excluding(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A function that tells whether a name is excluded; the last pattern that matches counts."""
    if not patterns:
        return lambda name: False
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(patterns).match_file
    except ValueError as error:
        raise BadRequest(f"--exclude: {error}") from error


def _renamed(items: Sequence[Item], prefix: str, renames: Sequence[str]) -> list[Item]:
    changes = [_change(text, items) for text in renames]
    return [_with_name(item, prefix, changes) for item in items]


def _change(text: str, items: Iterable[Item]) -> tuple[str, str]:
    """The old and the new name; of several ``=`` the first counts that follows an existing name."""
    pairs = [(text[:at], text[at + 1 :]) for at, mark in enumerate(text) if mark == "="]
    if not pairs:
        raise BadRequest(f"--rename {show(text)!r}: write OLD=NEW")
    for old, new in pairs:
        if any(_is_in(item.name, old) for item in items):
            return old, new
    raise BadRequest(f"--rename {show(text)!r}: nothing is called {show(pairs[0][0])!r}")


def _is_in(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def _with_name(item: Item, prefix: str, changes: Iterable[tuple[str, str]]) -> Item:
    """The item with its new name, by the longest old name that matches."""
    fitting = [pair for pair in changes if _is_in(item.name, pair[0])]
    if not fitting:
        return item
    old, new = max(fitting, key=lambda pair: len(pair[0]))
    return replace(item, key=key_below(prefix, new + item.name[len(old) :]))


def _checked(item: Item, skip_bad: bool) -> Item:
    """The item, with an error if its key is malformed."""
    if item.left_out:
        return item
    if not item.bad_name:
        try:
            parse_key(item.key)
        except BadRequest as error:
            item = replace(item, error=error, bad_name=True)
    return replace(item, left_out=str(item.error)) if item.bad_name and skip_bad else item


def _without_twins(items: Iterable[Item]) -> list[Item]:
    """The items; the ones with the same key have an error."""
    return [item for _, alike in groupby(items, lambda i: i.key) for item in _twins([*alike])]


def _twins(items: list[Item]) -> Iterator[Item]:
    sound = [item for item in items if not item.left_out and item.error is None]
    names = " and ".join(show(repr(item.name)) for item in sound[:MOST_SHOWN])
    for item in items:
        twin = len(sound) > 1 and not item.left_out and item.error is None
        yield item.failing(f"{len(sound)} entries make this key: {names}") if twin else item
