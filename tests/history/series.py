"""A series: its slots are decided in order without gaps, and no claim id wins two of them.

Each slot is a register of its own and judged as one; this module checks the relations between slots.
Slot n is frozen at a moment m(n) between `low`, the latest event that must come before, and `high`, the
earliest return of its decree. No gaps means m(1) <= m(2) <= …, and such moments exist exactly if no
`low` is above the `high` of a later slot: again one pass.

A slot below a decided one whose decree no operation returned must have been frozen by a claim of
unknown outcome, one for each such slot. A claim that was called in time for a slot, and may have taken
it, is in time for all later ones. So claims are assigned from the lowest slot up, without backtracking.

In two cases, both caused by the caller, nothing is promised: a claim id that was also used in a claim
of one particular slot, and a claim id that was repeated with another `first_slot` (or without one),
which tells the registry not to look for it in the slots before.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from .facts import Facts, KeyFacts, Sighting
from .operations import Operation, Result
from .register import earliest_maker
from .verdict import Rule, Violation


class Series:
    """One series of a history.

    Args:
        facts: the whole history.
        name: the series.
        slots: what is known of its slots, by number.
    """

    def __init__(self, facts: Facts, name: str, slots: dict[int, KeyFacts]) -> None:
        self._facts = facts
        self._name = name
        self._slots = dict(sorted(slots.items()))
        self._seen = {slot: known.first_seen for slot, known in self._slots.items() if known.seen}
        self._decided = list(self._seen)
        ends = [sighting.operation.end for sighting in self._seen.values()]
        # the latest time at which each decided slot was frozen: before any later one was seen
        self._highs = list(accumulate(reversed(ends), min))[::-1]
        self._tries: dict[bytes, list[Operation]] = defaultdict(list)
        for wish, claims in facts.next_claims.get(name, {}).items():
            self._tries[wish.claim_id] += [claim for claim in claims if claim.may_take_effect]
        self._held: dict[bytes, list[int]] = defaultdict(list)
        for slot, sighting in self._seen.items():
            self._held[sighting.decree.claim_id].append(slot)

    def check(self) -> Iterator[Violation]:
        """Everything that is wrong between its slots."""
        yield from self._check_ids()
        yield from self._check_order()
        yield from self._check_gaps()

    def _check_ids(self) -> Iterator[Violation]:
        for claim_id, slots in self._held.items():
            tries = self._tries.get(claim_id)
            if len(slots) > 1 and tries and not self._may_win_again(claim_id, slots[0]):
                sightings = tuple(self._seen[slot].operation for slot in slots[:3])
                detail = f"slots {slots} are frozen by one claim id"
                yield Violation(Rule.ONE_SLOT, self._name, (*sightings, *tries[:3]), detail)

    def _may_win_again(self, claim_id: bytes, slot: int) -> bool:
        """Whether the caller repeated the claim in a way that does not find it in `slot`."""
        if any(claim.id == claim_id for known in self._slots.values() for claim in known.claims):
            return True
        tries = self._tries[claim_id]
        firsts = [claim.first_slot for claim in tries]
        return len(tries) > 1 and any(first is None or first > slot for first in firsts)

    def _check_order(self) -> Iterator[Violation]:
        latest: tuple[float, Operation] | None = None
        for slot, known in self._slots.items():
            seen = self._seen.get(slot)
            if seen and latest and latest[0] > seen.operation.end:
                detail = f"slot {slot} was returned before a slot below it can have been decided"
                operations = (seen.operation, latest[1])
                yield Violation(Rule.NO_GAPS, self._name, operations, detail)
                return
            for low in self._lows(known, seen):
                latest = max(latest or low, low, key=lambda bound: bound[0])

    def _lows(self, known: KeyFacts, seen: Sighting | None) -> Iterator[tuple[float, Operation]]:
        maker = earliest_maker(self._facts, known.key, seen.decree) if seen else None
        for operation in (maker, known.last_empty):
            if operation is not None:
                yield operation.called, operation

    def _check_gaps(self) -> Iterator[Violation]:
        starts = sorted(self._starts())
        used, before = 0, 0
        for slot, high in zip(self._decided, self._highs, strict=True):
            for missing in range(before + 1, slot):
                if self._has_own_claim(missing, high):
                    continue
                if used == len(starts) or starts[used] > missing:
                    detail = f"slot {slot} is decided, but nobody can have frozen slot {missing}"
                    operations = (self._seen[slot].operation,)
                    yield Violation(Rule.NO_GAPS, self._name, operations, detail)
                    return
                used += 1
            before = slot

    def _has_own_claim(self, slot: int, high: float) -> bool:
        known = self._slots.get(slot)
        claims = known.claims if known else ()
        return any(c.result is Result.UNKNOWN and c.called <= high for c in claims)

    def _starts(self) -> Iterator[int]:
        """For each claim that may have won a slot without an answer, the lowest such slot."""
        for claim_id, tries in self._tries.items():
            unknown = [claim for claim in tries if claim.result is Result.UNKNOWN]
            held = self._held.get(claim_id)
            firsts = {claim.first_slot for claim in tries}
            if len(tries) == 1 or (len(firsts) == 1 and None not in firsts):
                starts = [] if held else [s for claim in unknown for s in self._start(claim)]
                yield from sorted(starts)[:1]
            else:
                for claim in unknown:
                    if not held or claim.first_slot is None or claim.first_slot > held[0]:
                        yield from self._start(claim)

    def _start(self, claim: Operation) -> Iterator[int]:
        place = bisect_left(self._highs, claim.called)
        if place < len(self._decided):
            in_time = self._decided[place - 1] + 1 if place else 1
            yield max(claim.first_slot or 1, in_time)
