"""One key as a write-once register, judged in one pass over its facts.

For registers in general, whether a history is linearizable is NP-complete (Gibbons and Korach,
1997): any order of the overlapping writes may be the one that explains the reads, and each write of
unknown outcome doubles the cases. A write-once register is different. Its state changes at most
once, so an order of all operations reduces to one moment m, at which the key was frozen: every read
that says "undecided" is before m, every operation that returned the decree is at or after m, and all
others change nothing and may be anywhere. An operation may take effect at any moment from its call to
its return. So m must be

* no earlier than the call of the claim that won: the earliest claim with exactly this wish,
* no earlier than the latest call of a read that found the key undecided,
* no later than the earliest return of the decree.

The first two give a maximum, the last a minimum, and the history is linearizable exactly if the
maximum is not above the minimum. No search is needed: the decree names its winner by claim id, so every
other claim of unknown outcome never took effect. If no operation saw a decree, "no claim ever took
effect" is an explanation. Each key takes time in proportion to its own operations. Keys can be judged
one by one by the locality of linearizability (Herlihy and Wing, 1990).

Two equal moments count as overlapping.
"""

from collections.abc import Iterator

from decreed.registry.types import Decree

from .answers import meaning
from .facts import Facts, KeyFacts, Sighting
from .names import slot_of
from .operations import Operation, Result, Wish, described
from .verdict import Rule, Violation


def check_key(facts: Facts, key: str) -> list[Violation]:
    """Everything that is wrong with one key by itself."""
    known = facts.of(key)
    found = [*_winners(known), *_agreement(known)]
    if found:
        return found
    return [*(_decided(facts, known) if known.seen else _undecided(known))]


def earliest_maker(facts: Facts, key: str, decree: Decree) -> Operation | None:
    """The first claim that may have frozen `key` to `decree`."""
    able = (maker for maker in facts.makers(key, Wish.of(decree)) if maker.may_take_effect)
    return min(able, key=lambda maker: maker.called, default=None)


def _winners(known: KeyFacts) -> Iterator[Violation]:
    winners: dict[bytes, Operation] = {}
    for sighting in known.seen:
        if sighting.operation.result is Result.WON:
            winners.setdefault(sighting.operation.id, sighting.operation)
    if len(winners) > 1:
        detail = f"{len(winners)} claim ids were told that they won it"
        yield Violation(Rule.ONE_WINNER, known.key, tuple(winners.values()), detail)


def _agreement(known: KeyFacts) -> Iterator[Violation]:
    first = known.first_seen if known.seen else None
    for other in known.seen:
        if first and other.decree != first.decree:
            detail = f"two decrees, which differ in {_difference(first, other)}: "
            detail += f"{described(first.decree)} and {described(other.decree)}"
            yield Violation(Rule.AGREEMENT, known.key, (first.operation, other.operation), detail)
            return


def _difference(one: Sighting, other: Sighting) -> str:
    names = Decree.__struct_fields__
    differ = (n for n in names if getattr(one.decree, n) != getattr(other.decree, n))
    return ", ".join(differ)


def _decided(facts: Facts, known: KeyFacts) -> Iterator[Violation]:
    seen = known.first_seen
    maker = earliest_maker(facts, known.key, seen.decree)
    if maker is None:
        yield _without_origin(facts, known)
        return
    if maker.called > seen.operation.end:
        detail = "its decree was returned before it was first claimed"
        yield Violation(Rule.NOT_BEFORE_CLAIMED, known.key, (seen.operation, maker), detail)
    yield from _stale(known, seen.operation)
    for refused in known.reused:
        yield from _reused(known, refused, seen.decree, maker)


def _without_origin(facts: Facts, known: KeyFacts) -> Violation:
    seen = known.first_seen
    failed = facts.makers(known.key, Wish.of(seen.decree))
    if failed:
        detail = "the claim that it is frozen by was told that nothing was chosen"
        return Violation(Rule.DEFINITE, known.key, (*failed, seen.operation), detail)
    same_id = [claim for claim in known.claims if claim.id == seen.decree.claim_id]
    detail = f"nobody claimed what it is frozen to: {described(seen.decree)}"
    return Violation(Rule.VALIDITY, known.key, (seen.operation, *same_id[:3]), detail)


def _stale(known: KeyFacts, seen: Operation) -> Iterator[Violation]:
    """The latest empty read must not have begun after some client got the decree."""
    empty = known.last_empty
    if empty is not None and empty.called > seen.end:
        detail = "it was said to be undecided after somebody had been told otherwise"
        yield Violation(Rule.NO_STALE_READ, known.key, (seen, empty), detail)


def _reused(
    known: KeyFacts, refused: Operation, decree: Decree, maker: Operation
) -> Iterator[Violation]:
    if refused.wish and meaning(refused.wish, decree) is not Result.REUSED:
        detail = f"refused for its id, but the decree is {described(decree)}"
        yield Violation(Rule.ID_REUSED, known.key, (refused,), detail)
    elif maker.called > refused.end:
        detail = "refused for its id before anything else had that id"
        yield Violation(Rule.ID_REUSED, known.key, (refused, maker), detail)
    yield from _stale(known, refused)


def _undecided(known: KeyFacts) -> Iterator[Violation]:
    """If no operation saw a decree, a claim that was refused for its id still implies one.

    A slot may have been frozen by a claim of the next slot, so slots are not judged here.
    """
    if not known.reused or slot_of(known.key):
        return
    refused = min(known.reused, key=lambda operation: operation.end)
    ids = {operation.id for operation in known.reused}
    contents = {operation.wish for operation in known.reused}
    makers = [
        claim
        for claim in known.claims
        if claim.may_take_effect and {claim.id} == ids and claim.wish not in contents
    ]
    if not any(maker.called <= refused.end for maker in makers):
        detail = "refused for its id, but no other claim with that id can have frozen it"
        yield Violation(Rule.ID_REUSED, known.key, (refused, *makers[:1]), detail)
    yield from _stale(known, refused)
