"""The judge: checks every rule over a whole history, in time about proportional to its length.

Keys are judged one by one (`register`), then series (`series`) whose slots are right by themselves,
then lists (`lists`). Only slots and the times at which decrees became known are sorted, so n operations
take O(n log n).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from .answers import check_answer
from .facts import Facts, KeyFacts
from .lists import check_lists
from .names import path_of, slot_of
from .operations import Operation
from .register import check_key
from .series import Series
from .verdict import Verdict, Violation


def judge(history: Iterable[Operation]) -> Verdict:
    """Whether the answers that all clients got were possible for a write-once registry."""
    operations = list(history)
    facts = Facts(operations)
    found = [violation for operation in operations for violation in check_answer(operation)]
    known = list(facts.keys.values())
    wrong: set[str] = {violation.subject for violation in found}
    for each in known:
        violations = check_key(facts, each.key)
        wrong |= {each.key, path_of(each.key)} if violations else set()
        found += violations
    found += _check_series(facts, known, wrong)
    found += check_lists(facts)
    decided = sum(bool(each.seen) for each in known)
    return Verdict(tuple(found), len(operations), len(known), decided)


def _check_series(facts: Facts, known: list[KeyFacts], wrong: set[str]) -> Iterator[Violation]:
    slots: dict[str, dict[int, KeyFacts]] = defaultdict(dict)
    for each in known:
        slot = slot_of(each.key)
        if slot is not None:
            slots[path_of(each.key)][slot] = each
    for series, by_number in slots.items():
        if series not in wrong:
            yield from Series(facts, series, by_number).check()
