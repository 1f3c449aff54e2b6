"""Freezing many items: in batches bounded by count and bytes, each tried until its deadline.

Repeating is safe: an item that an earlier try froze is then found frozen to the same value.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import trio

from ...client import Claimed, Registry
from ...client.requests.claims import make_claim
from ...registry.config import MIB
from ...registry.errors import Busy, DecreedError, Exit, OutcomeUnknown, Unreachable
from ...registry.keys import parse_key, series_and_slot
from ...registry.types import Decree, Key, Outcome, outcome
from .items import Item

BATCH_ITEMS = 128
BATCH_BYTES = 2 * MIB
PAUSE = 0.2
"""Seconds between two tries of items that the cluster could not accept."""

WORTH_ANOTHER_TRY = (Unreachable, OutcomeUnknown, Busy)


class Fate(Enum):
    """The outcome of an item, or in a dry run the expected outcome."""

    FROZEN = "frozen"
    NEW = "new"
    SAME = "same"
    LOST = "lost"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Row:
    """An item's fate, with the decree of its key, its error, or why it was left out."""

    key: str
    fate: Fate
    decree: Decree | None = None
    error: DecreedError | None = None
    why: str = ""
    bad_name: bool = False

    @property
    def exit_code(self) -> int:
        """The exit code of the command if this were the only item."""
        if self.error is not None:
            return self.error.exit_code
        return Exit.LOST if self.fate is Fate.LOST else Exit.DONE


FATES = {Outcome.WON: Fate.FROZEN, Outcome.SAME: Fate.SAME, Outcome.LOST: Fate.LOST}


async def freeze_all(
    registry: Registry,
    items: Iterable[Item],
    note: str,
    seconds: float,
    tell: Callable[[Row], None],
) -> None:
    """Freeze all items in order and `tell` each one's fate; a failed item does not stop the others."""
    for batch in batches(items, tell):
        for row in await freeze_batch(registry, batch, note, seconds):
            tell(row)


async def look_up_all(
    registry: Registry, items: Iterable[Item], seconds: float, tell: Callable[[Row], None]
) -> None:
    """Read all keys in order and `tell` each item's expected fate; nothing is frozen."""
    for batch in batches(items, tell):
        for row in await _look_up(registry, batch, seconds):
            tell(row)


async def _look_up(registry: Registry, batch: Sequence[Item], seconds: float) -> list[Row]:
    try:
        found = await registry.get_many([item.key for item in batch], timeout=seconds)
    except DecreedError as error:
        return [Row(item.key, Fate.FAILED, error=error) for item in batch]
    return [_foreseen(item, found[item.key]) for item in batch]


def _foreseen(item: Item, decree: Decree | None) -> Row:
    if decree is None:
        return Row(item.key, Fate.NEW)
    claim = make_claim(Key(item.key), item.value, "", content_type=item.content_type)
    return Row(item.key, FATES[outcome(claim, decree)], decree)


def batches(items: Iterable[Item], tell: Callable[[Row], None]) -> Iterator[list[Item]]:
    """Loaded items in bounded batches, each of one content type.

    A slot can be frozen only after the one before it, so a batch has at most one slot of a series.
    Items that cannot be loaded, or whose key is malformed, are reported and left out.
    """
    batch: list[Item] = []
    size = 0
    for item in _loaded(items, tell):
        full = len(batch) >= BATCH_ITEMS or size + len(item.value) > BATCH_BYTES
        if batch and (full or not _go_together(batch[-1], item)):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item.value)
    if batch:
        yield batch


def _go_together(last: Item, item: Item) -> bool:
    """Whether `item`, which follows `last` in order of key, may be in one batch with it."""
    series, slot = series_and_slot(Key(item.key))
    follows = slot is not None and series_and_slot(Key(last.key))[0] == series
    return item.content_type == last.content_type and not follows


async def freeze_batch(
    registry: Registry, batch: Sequence[Item], note: str, seconds: float
) -> list[Row]:
    """Freeze one batch; items that the cluster could not accept are tried again until the deadline."""
    deadline = trio.current_time() + seconds
    rows: dict[str, Row] = {}
    left = list(batch)
    while left:
        rest = max(deadline - trio.current_time(), PAUSE)
        found = await _claim(registry, left, note, rest)
        rows |= {row.key: row for row in found}
        left = [item for item in left if isinstance(rows[item.key].error, WORTH_ANOTHER_TRY)]
        if trio.current_time() + PAUSE >= deadline:
            break
        await trio.sleep(PAUSE if left else 0)
    return [rows[item.key] for item in batch]


async def _claim(registry: Registry, items: Sequence[Item], note: str, seconds: float) -> list[Row]:
    results = await registry.claim_many(
        [(item.key, item.value) for item in items],
        content_type=items[0].content_type,
        note=note,
        timeout=seconds,
    )
    return [_row(item, result) for item, result in zip(items, results, strict=True)]


def _row(item: Item, result: Claimed | DecreedError) -> Row:
    if isinstance(result, DecreedError):
        return Row(item.key, Fate.FAILED, error=result)
    return Row(item.key, FATES[result.outcome], result.decree)


def _loaded(items: Iterable[Item], tell: Callable[[Row], None]) -> Iterator[Item]:
    for item in items:
        try:
            if item.error is not None:
                raise item.error
            key = parse_key(item.key)
            yield replace(item.load(), key=key)
        except DecreedError as error:
            tell(Row(item.key, Fate.FAILED, error=error))
