"""Keys parsed by simple functions of the judge's own.

The product has functions for this. The judge does not use them, since a mistake in them could then
hide itself.
"""

import re
from collections.abc import Iterator

_SLOT = re.compile(r"[1-9][0-9]{0,17}")


def slot_of(key: str) -> int | None:
    """The slot of a key, None when it is no slot of a series."""
    slot = key.partition("@")[2]
    return int(slot) if _SLOT.fullmatch(slot) else None


def path_of(key: str) -> str:
    """The path of a key, which is the name of its series when it is a slot."""
    return key.partition("@")[0]


def place_of(key: str) -> tuple[bytes, int]:
    """The place of a key in a list: by the bytes up to the ``@``, and within a series by number."""
    path, at, _ = key.partition("@")
    return (path + at).encode(errors="surrogatepass"), slot_of(key) or 0


def is_under(prefix: str, key: str) -> bool:
    """Whether a key's path begins with the segments of `prefix`."""
    wanted = prefix.split("/") if prefix else []
    return path_of(key).split("/")[: len(wanted)] == wanted


def paths_above(key: str) -> Iterator[str]:
    """Every prefix that a key is under: the empty one, and each run of its first segments."""
    segments = path_of(key).split("/")
    for count in range(len(segments) + 1):
        yield "/".join(segments[:count])
