"""The facts about each key: which claims may have frozen it, which operations saw it frozen or empty.

Each operation is split into facts about single keys: a list into one sighting for each of its decrees,
``latest`` into a sighting of its slot and an empty read of the slot after it. No rule is checked here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from decreed.registry.types import Decree

from .names import path_of, slot_of
from .operations import CLAIMS, Kind, Operation, Result, Wish


@dataclass(frozen=True, slots=True)
class Sighting:
    """An operation that returned this decree."""

    decree: Decree
    operation: Operation


@dataclass(slots=True)
class KeyFacts:
    """Everything known of one key.

    Attributes:
        claims: the claims of this key itself, with any outcome.
        seen: the operations that returned a decree.
        empty: the operations that returned undecided.
        reused: claims that were refused for their id.
    """

    key: str
    claims: list[Operation] = field(default_factory=list[Operation])
    seen: list[Sighting] = field(default_factory=list[Sighting])
    empty: list[Operation] = field(default_factory=list[Operation])
    reused: list[Operation] = field(default_factory=list[Operation])

    @property
    def first_seen(self) -> Sighting:
        """The earliest return of a decree."""
        return min(self.seen, key=lambda sighting: sighting.operation.end)

    @property
    def last_empty(self) -> Operation | None:
        """The latest call of a read that found the key undecided."""
        return max(self.empty, key=lambda operation: operation.called, default=None)


class Facts:
    """A history, sorted by key.

    Attributes:
        keys: what is known of each key.
        next_claims: the claims of a next slot, by series and wish.
        lists: the lists that returned.
    """

    def __init__(self, history: Iterable[Operation]) -> None:
        self.keys: dict[str, KeyFacts] = {}
        self.next_claims: dict[str, dict[Wish, list[Operation]]] = {}
        self.lists: list[Operation] = []
        for operation in history:
            self._add(operation)

    def of(self, key: str) -> KeyFacts:
        """What is known of `key`."""
        return self.keys.setdefault(key, KeyFacts(key))

    def makers(self, key: str, wish: Wish) -> list[Operation]:
        """The claims that could freeze `key` to `wish`, definite failures among them."""
        own = [claim for claim in self.of(key).claims if claim.wish == wish]
        slot = slot_of(key)
        if slot is None:
            return own
        for claim in self.next_claims.get(path_of(key), {}).get(wish, ()):
            elsewhere = claim.decrees and claim.decree.key != key
            if slot >= (claim.first_slot or 1) and not elsewhere:
                own.append(claim)
        return own

    def _add(self, operation: Operation) -> None:
        for decree in operation.decrees:
            self.of(decree.key).seen.append(Sighting(decree, operation))
        if operation.kind in CLAIMS:
            self._add_claim(operation)
        elif operation.kind is Kind.LATEST:
            self._add_latest(operation)
        elif operation.kind is Kind.LIST:
            self.lists += [operation] if operation.result is Result.LISTED else []
        elif operation.result is Result.UNDECIDED:
            self.of(operation.subject).empty.append(operation)

    def _add_claim(self, operation: Operation) -> None:
        if operation.kind is Kind.CLAIM:
            facts = self.of(operation.subject)
            facts.claims.append(operation)
            facts.reused += [operation] if operation.result is Result.REUSED else []
        elif operation.wish is not None:
            series = self.next_claims.setdefault(operation.subject, {})
            series.setdefault(operation.wish, []).append(operation)

    def _add_latest(self, operation: Operation) -> None:
        if operation.result is Result.UNDECIDED:
            self.of(f"{operation.subject}@1").empty.append(operation)
        for decree in operation.decrees:
            following = (slot_of(decree.key) or 0) + 1
            self.of(f"{operation.subject}@{following}").empty.append(operation)
