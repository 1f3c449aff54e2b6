"""Rules about one answer by itself: it fits the request, and a claim gets the right outcome."""

from collections.abc import Iterator

from decreed.registry.types import Decree

from .names import is_under, path_of, slot_of
from .operations import TOLD, Kind, Operation, Result, Wish, described
from .verdict import Rule, Violation


def check_answer(operation: Operation) -> Iterator[Violation]:
    """What is wrong with an answer by itself."""
    for decree in operation.decrees:
        if not _fits(operation, decree):
            detail = f"this answer is about another key: {described(decree)}"
            yield Violation(Rule.FITS, operation.subject, (operation,), detail)
    if operation.wish and operation.decrees and (fault := _told_wrong(operation, operation.wish)):
        yield Violation(Rule.TOLD, operation.decree.key, (operation,), fault)


def meaning(wish: Wish, decree: Decree) -> Result:
    """What a decree means for a claim with this wish."""
    granted = Wish.of(decree)
    if granted == wish:
        return Result.WON
    if granted.claim_id == wish.claim_id:
        return Result.REUSED
    same = (granted.value, granted.content_type) == (wish.value, wish.content_type)
    return Result.SAME if same else Result.LOST


def _fits(operation: Operation, decree: Decree) -> bool:
    slot = slot_of(decree.key)
    match operation.kind:
        case Kind.LIST:
            return is_under(operation.subject, decree.key)
        case Kind.LATEST:
            return slot is not None and path_of(decree.key) == operation.subject
        case Kind.CLAIM_NEXT:
            in_series = slot is not None and path_of(decree.key) == operation.subject
            return in_series and (slot or 0) >= (operation.first_slot or 1)
        case _:
            return decree.key == operation.subject


def _told_wrong(operation: Operation, wish: Wish) -> str:
    true = meaning(wish, operation.decree)
    told = operation.result if operation.result in TOLD else true
    if operation.kind is Kind.CLAIM_NEXT and true is not Result.WON:
        return f"a claim of the next slot was given a slot that it did not win ({true.value})"
    if true is not told or true is Result.REUSED:
        return (
            f"a claim was told {operation.result.value!r}, but by its decree it is {true.value!r}"
        )
    return ""
