"""The events of a run as a short hash: two builds that behave alike have the same one.

The hash covers every event of every node, its time, and all that it carries. Names of classes and
fields are left out, and so are texts for people: a rename changes no fingerprint.
"""

import hashlib
from collections.abc import Iterable
from enum import Enum
from typing import Any

from msgspec import Struct

from .lockstorm import LockStorm
from .plan import Plan
from .storm import Storm
from .storms import storm_of

DIGITS = 16


def fingerprint(storm: Storm | LockStorm) -> str:
    """Run a storm and return the hash of all its events."""
    digest = hashlib.sha256()

    def add(now_ms: float, node: str, kind: str, what: object) -> None:
        if not kind:
            digest.update(repr((now_ms, node, _plain(what))).encode())

    storm.world.trace = add
    storm.run()
    return digest.hexdigest()[:DIGITS]


def fingerprints(seeds: Iterable[int]) -> Iterable[tuple[str, int, str]]:
    """For each seed the name of the storm, the seed and the fingerprint."""
    for seed in seeds:
        yield "storm", seed, fingerprint(storm_of(Plan.drawn(seed)))
        yield "governed", seed, fingerprint(storm_of(Plan.drawn(seed, governed=True)))
        yield "locks", seed, fingerprint(LockStorm(Plan(seed)))


def _plain(value: Any) -> object:
    """A value without the names of its class and fields."""
    if isinstance(value, Struct):
        return [_plain(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return "" if isinstance(value, BaseException) or _is_prose(value) else value


def _is_prose(value: object) -> bool:
    """Whether a text is a message for people: keys and names have no blanks."""
    return isinstance(value, str) and " " in value
