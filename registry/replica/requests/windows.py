"""Which stretch of keys a page of a list reads, if its caller may not read all of the prefix. Pure.

Invariants kept here (S64):

* every key of a window is under one of the caller's prefixes, and every such key after the window's
  beginning and up to its end is in it;
* a window names at most `MAX_WITHIN` prefixes. Where there are more, it ends at the last of these, and
  the next window begins there. So a window is never the same again: the prefixes that contain one
  place in the order of keys begin each other, so there are fewer of them than bytes in a key.
"""

from bisect import bisect_right
from collections.abc import Sequence

from msgspec import Struct

from ...keys import MAX_SLOT, slot_key, sort_key
from ...types import MAX_KEY_BYTES, Key
from ...wire.peers import MAX_WITHIN
from ..step.read_rights import Within

assert MAX_WITHIN > MAX_KEY_BYTES, "so a window moves on"


class Window(Struct, frozen=True):
    """A stretch of keys.

    Args:
        after: the key after which it begins; empty: at the beginning.
        within: the prefixes in it that may be read; empty: all of it may be.
        until: its last key; None: it goes to the end of the prefix that is listed.
    """

    after: str
    within: tuple[str, ...] = ()
    until: Key | None = None


def window(after: str, within: Within) -> Window | None:
    """The first window after a key; None if there is nothing more to read."""
    if within is None:
        return Window(after)
    left = _left(after, within)
    if not left:
        return None
    if len(left) <= MAX_WITHIN:
        return Window(after, tuple(left))
    return Window(after, tuple(left[:MAX_WITHIN]), Key(left[MAX_WITHIN - 1]))


def _left(after: str, within: Sequence[str]) -> list[str]:
    """The prefixes under which a key may come after this one; `within` is in the order of keys."""
    if not after:
        return list(within)
    place = sort_key(after)
    behind = bisect_right(within, place, key=sort_key)
    begin = [
        each for each in within[:behind] if after.startswith(each)
    ]  # only these can contain it
    around = [each for each in begin if sort_key(slot_key(each, MAX_SLOT)) > place]
    return [*around, *within[behind:]]
