"""Checks of an import that need the cluster: its size limit, and the slots before new slots."""

from collections.abc import Sequence
from dataclasses import replace

from ...client import Registry
from ...registry.errors import SeriesGap
from ...registry.keys import slot_before
from ...registry.types import Key
from .items import Item

PORTION = 1_000
"""How many keys are read at a time."""


async def checked(registry: Registry, items: Sequence[Item], seconds: float) -> list[Item]:
    """The items; the ones that the cluster would refuse have an error.

    Raises:
        DecreedError: if the cluster cannot be asked.
    """
    limit = await registry.max_value_bytes(timeout=seconds)
    fitting = [_sized(item, limit) for item in items]
    loose = await _loose(registry, fitting, seconds)
    return [_behind(item, loose) for item in fitting]


def _sized(item: Item, limit: int) -> Item:
    if _is_sound(item) and item.size > limit:
        return item.failing(f"a value of {item.size} bytes; the cluster takes at most {limit}")
    return item


async def _loose(registry: Registry, items: Sequence[Item], seconds: float) -> set[Key]:
    """The slots before slots among the items that are neither frozen nor among the items."""
    here = {item.key for item in items if _is_sound(item)}
    before = {slot_before(Key(key)) for key in here} - {None}
    missing = sorted(key for key in before if key is not None and key not in here)
    loose: set[Key] = set()
    for start in range(0, len(missing), PORTION):
        found = await registry.get_many(missing[start : start + PORTION], timeout=seconds)
        loose |= {Key(key) for key, decree in found.items() if decree is None}
    return loose


def _behind(item: Item, loose: set[Key]) -> Item:
    before = slot_before(Key(item.key)) if _is_sound(item) else None
    if before is not None and before in loose:
        return replace(item, error=SeriesGap(f"the slot before it, {before}, is not frozen"))
    return item


def _is_sound(item: Item) -> bool:
    return item.error is None and not item.left_out
