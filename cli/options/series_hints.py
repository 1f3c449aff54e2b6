"""What a key and a series of the same name have to do with each other, told where one is missed.

It is asked of the cluster, after a read or a claim that ended without what was wanted; whatever goes
wrong with asking, the hint is left out.
"""

from ...client.keys import Keys
from ...registry.errors import DecreedError
from ...registry.keys import parse_key, parse_series, series_and_slot, slot_key
from ..shell.failures import CommandFailed
from .connection import with_keys
from .types import Call


async def unfrozen_hint(registry: Keys, key: str, call: Call) -> str:
    """The way out for one who reads a key that nobody has frozen; empty if its name says no more."""
    try:
        newest = await _newest_slot(registry, key, call)
    except DecreedError:
        return ""
    if not newest:
        return ""
    series, slot = series_and_slot(parse_key(key))
    what = "it is a series, whose newest slot" if slot is None else "the newest slot of the series"
    return f"{what} is {slot_key(series, newest)}: 'decreed latest {series}' reads it"


async def is_plain_key(registry: Keys, series: str, call: Call) -> bool:
    """Whether the key that has the name of a series, and no slot, is frozen."""
    try:
        return await registry.get(series, timeout=call.seconds) is not None
    except DecreedError:
        return False


def name_next_slot(failure: CommandFailed, call: Call) -> None:
    """Let the way out of one who claimed a slot too far ahead name the slot that is free."""

    async def ask(registry: Keys) -> int:
        return await _newest_slot(registry, failure.thing, call)

    series = series_and_slot(parse_key(failure.thing))[0]
    try:
        newest = with_keys(call, ask)
    except DecreedError:
        return
    free = slot_key(series, newest + 1)
    failure.way_out = f"the next free slot is {free}: 'decreed next {series} VALUE' freezes it"


async def _newest_slot(registry: Keys, key: str, call: Call) -> int:
    """The newest slot of the series that `key` names, or is a slot of; 0 if it has none."""
    series = parse_series(series_and_slot(parse_key(key))[0])
    decree = await registry.latest(series, timeout=call.seconds)
    return (series_and_slot(decree.key)[1] or 0) if decree is not None else 0
