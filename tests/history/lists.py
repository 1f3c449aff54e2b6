"""The weaker promise of `list`: complete as of its beginning, in order, but not a snapshot.

A list has every decree that any client had got before it began. Keys that are decided while it runs
may or may not be in it. Whether its decrees are right, and were claimed, is judged key by key: each is
a sighting like any other.

The decrees known under a prefix are sorted by the time at which a client first got them. The ones that
were known before a list began are then a prefix of that order, and all must be in the list. So the
check takes no longer than reading the list.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from .facts import Facts, Sighting
from .names import paths_above, place_of
from .operations import Operation
from .verdict import Rule, Violation

Told = list[tuple[float, str, Sighting]]
"""Decrees under one prefix: when a client first got each, its key, and that sighting."""


def check_lists(facts: Facts) -> Iterator[Violation]:
    """Everything that is wrong with lists: decrees that are missing or out of order."""
    told = _told_by_prefix(facts)
    times = {prefix: [since for since, _, _ in known] for prefix, known in told.items()}
    for operation in facts.lists:
        yield from _order(operation)
        before = bisect_left(times.get(operation.subject, []), operation.called)
        yield from _missing(operation, told.get(operation.subject, [])[:before])


def _told_by_prefix(facts: Facts) -> dict[str, Told]:
    wanted = {operation.subject for operation in facts.lists}
    told: dict[str, Told] = defaultdict(list)
    for key, known in facts.keys.items() if wanted else ():
        if known.seen:
            first = known.first_seen
            for prefix in wanted.intersection(paths_above(key)):
                told[prefix].append((first.operation.end, key, first))
    for known_under in told.values():
        known_under.sort(key=lambda entry: entry[0])
    return told


def _missing(operation: Operation, known: Told) -> Iterator[Violation]:
    listed = {decree.key for decree in operation.decrees}
    for _, key, sighting in known:
        if key not in listed:
            detail = f"{key!r} was known before the list began, and is not in it"
            operations = (sighting.operation, operation)
            yield Violation(Rule.LIST_COMPLETE, operation.subject, operations, detail)
            return


def _order(operation: Operation) -> Iterator[Violation]:
    for one, other in pairwise(decree.key for decree in operation.decrees):
        if place_of(one) >= place_of(other):
            detail = f"{other!r} was listed behind {one!r}"
            yield Violation(Rule.LIST_ORDER, operation.subject, (operation,), detail)
            return
