"""Each rule of the judge, histories that it must accept, and the steps that it needs."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from .judge import judge
from .operations import Kind, Operation, Result
from .samples import claim, decree, lists, read, take
from .verdict import Rule

D1, D2 = decree("a", "1"), decree("a", "2")
ONE = claim((1, 2), "a", "1", D1, Result.WON)
UNKNOWN, FAILED, LOST = Result.UNKNOWN, Result.FAILED, Result.LOST

RIGHT: dict[str, list[Operation]] = {
    "nothing": [],
    "won, lost, read": [
        ONE, claim((1, 4), "a", "2", D1, LOST), read((3, 5), "a", D1, Kind.WAIT)
    ],
    "undecided while the claim is under way": [ONE, read((1, 9), "a", None), read((0, 3), "a", D1)],
    "equal times overlap": [ONE, read((2, 3), "a", None)],
    "an unknown claim takes effect late": [
        claim((0, 1), "a", "1", UNKNOWN), read((5, 6), "a", None), read((7, 8), "a", D1)
    ],
    "a claim that never returned": [claim((0, None), "a", "1", UNKNOWN), read((7, 8), "a", D1)],
    "a failed try, then one that wins": [claim((0, 1), "a", "1", FAILED), ONE],
    "a repeated claim": [ONE, claim((3, 4), "a", "1", D1, Result.WON)],
    "an unseen slot below": [take((0, None), "1", UNKNOWN), take((1, 2), "2", 2)],
    "refused for an id that froze it with other content": [
        claim((0, 1), "a", "1", Result.REUSED), claim((0, None), "a", "1", UNKNOWN, value="x")
    ],
    "a claim called when the slot after it was seen": [
        claim((2, None), "s@1", "1", UNKNOWN), take((0, 2), "2", 2)
    ],
    "a slot given again": [take((0, 1), "1", 1), take((2, 3), "2", 2), take((4, 5), "1", 1)],
    "an id taken up again further on": [take((0, 1), "1", 1), take((2, 3), "1", 2, first=2)],
    "decided while the list runs": [ONE, lists((1.5, 9), ""), lists((2, 9), "a", D1)],
    "a list of other keys": [ONE, lists((5, 6), "b")],
    "the latest slot": [take((0, 1), "1", 1), read((2, 3), "s", decree("s@1", "1"), Kind.LATEST)],
}  # fmt: skip

WRONG: dict[str, tuple[Rule, list[Operation]]] = {
    "another key": (Rule.FITS, [ONE, read((3, 4), "b", D1)]),
    "a slot below the first": (Rule.FITS, [take((0, 1), "1", 1, first=2)]),
    "told lost, but won": (Rule.TOLD, [claim((1, 2), "a", "1", D1, LOST)]),
    "told won, but lost": (Rule.TOLD, [ONE, claim((1, 2), "a", "2", D1, Result.WON)]),
    "given a decree with its id and other content": (
        Rule.TOLD, [claim((0, 9), "a", "1", D1, value="x"), claim((0, 9), "a", "1", UNKNOWN)]
    ),
    "given another's slot": (
        Rule.TOLD, [claim((0, 1), "s@1", "2", UNKNOWN), take((0, 1), "1", decree("s@1", "2"))]
    ),
    "two winners": (Rule.ONE_WINNER, [ONE, claim((1, 2), "a", "2", D2, Result.WON)]),
    "another time": (Rule.AGREEMENT, [ONE, read((3, 4), "a", decree("a", "1", time_ms=8))]),
    "never claimed": (Rule.VALIDITY, [claim((0, 1), "a", "2", UNKNOWN), read((3, 4), "a", D1)]),
    "claimed for another key": (
        Rule.VALIDITY, [claim((0, 1), "b", "1", UNKNOWN), read((3, 4), "a", D1)]
    ),
    "listed, never claimed": (Rule.VALIDITY, [lists((3, 4), "", D1)]),
    "won after a definite failure": (
        Rule.DEFINITE, [claim((0, 1), "a", "1", FAILED), read((3, 4), "a", D1)]
    ),
    "read before it was claimed": (
        Rule.NOT_BEFORE_CLAIMED, [read((0, 1), "a", D1), claim((2, 3), "a", "1", D1)]
    ),
    "undecided after the claim": (Rule.NO_STALE_READ, [ONE, read((3, 4), "a", None)]),
    "undecided after a list": (
        Rule.NO_STALE_READ,
        [claim((0, None), "a", "1", UNKNOWN), lists((1, 2), "", D1), read((3, 4), "a", None)],
    ),
    "a stale latest": (
        Rule.NO_STALE_READ,
        [
            take((0, 1), "1", 1), take((2, 3), "2", 2),
            read((4, 5), "s", decree("s@1", "1"), Kind.LATEST),
        ],
    ),
    "refused for an id nobody else had": (
        Rule.ID_REUSED, [claim((0, 1), "a", "1", Result.REUSED)]
    ),
    "refused for its own content": (Rule.ID_REUSED, [ONE, claim((3, 4), "a", "1", Result.REUSED)]),
    "refused before the other was claimed": (
        Rule.ID_REUSED,
        [claim((0, 1), "a", "1", Result.REUSED, value="x"), claim((2, 3), "a", "1", D1)],
    ),
    "refused for a wish that nobody can have frozen": (
        Rule.ID_REUSED,
        [claim((0, 1), "a", "1", Result.REUSED), claim((0, None), "a", "1", UNKNOWN)],
    ),
    "refused for another's id": (
        Rule.ID_REUSED,
        [claim((0, 1), "a", "1", Result.REUSED), claim((0, None), "a", "2", UNKNOWN)],
    ),
    "one id, two slots": (Rule.ONE_SLOT, [take((0, 1), "1", 1), take((2, 3), "1", 2)]),
    "one id, two slots, and a failure that excuses nothing": (
        Rule.ONE_SLOT,
        [take((0, 1), "1", 1), take((2, 3), "1", 2), take((0, 1), "1", FAILED, first=9)],
    ),
    "frozen by a claim that searched from further on": (
        Rule.VALIDITY,
        [take((0, None), "1", UNKNOWN, first=2), read((2, 3), "s@1", decree("s@1", "1"))],
    ),
    "a hole, two tries of one claim for two": (
        Rule.NO_GAPS,
        [take((0, 1), "1", UNKNOWN), take((0, None), "1", UNKNOWN), take((2, 3), "3", 3)],
    ),
    "a hole": (Rule.NO_GAPS, [take((0, 1), "1", 1), take((2, 3), "3", 3)]),
    "a hole, one claim for two": (
        Rule.NO_GAPS, [take((0, None), "1", UNKNOWN), take((2, 3), "3", 3)]
    ),
    "a hole, the claim too late": (
        Rule.NO_GAPS, [take((5, None), "1", UNKNOWN), take((2, 3), "2", 2)]
    ),
    "slots decided in the wrong order": (
        Rule.NO_GAPS, [take((0, 1), "2", 2), take((2, 3), "1", 1)]
    ),
    "a slot far away": (Rule.NO_GAPS, [take((0, 1), "1", 10**15)]),
    "undecided below a decided slot": (
        Rule.NO_GAPS,
        [take((0, 9), "1", UNKNOWN), take((0, 1), "2", 2), read((2, 3), "s@1", None)],
    ),
    "missing in a list": (Rule.LIST_COMPLETE, [ONE, lists((3, 4), "")]),
    "listed once, then missing": (
        Rule.LIST_COMPLETE,
        [claim((0, None), "a", "1", UNKNOWN), lists((1, 2), "", D1), lists((3, 4), "")],
    ),
    "listed twice": (Rule.LIST_ORDER, [ONE, lists((3, 4), "", D1, D1)]),
    "slots in order of text": (
        Rule.LIST_ORDER,
        [
            *(take((n, n), str(n), n) for n in range(1, 11)),
            lists((20, 21), "s", *(decree(f"s@{n}", str(n)) for n in (1, 10, *range(2, 10)))),
        ],
    ),
    "outside the prefix": (Rule.FITS, [ONE, lists((3, 4), "b", D1)]),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_history_is_accepted(name: str) -> None:
    verdict = judge(RIGHT[name])
    assert verdict.right, verdict


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_breaks_its_rule(name: str) -> None:
    rule, history = WRONG[name]
    assert rule in {violation.rule for violation in judge(history).violations}


def test_every_rule_has_a_history_that_breaks_it() -> None:
    assert {rule for rule, _ in WRONG.values()} == set(Rule)


def test_a_verdict_names_key_rule_and_operations() -> None:
    text = str(judge([ONE, read((3, 4), "a", None)]))
    assert "'a': it was said to be undecided" in text
    assert Rule.NO_STALE_READ.value in text
    assert "c1: claim 'a' id '1' value 'value of 1' [1, 2] won" in text
    assert "c3: get 'a' [3, 4] undecided" in text


def long_history(count: int) -> list[Operation]:
    """All kinds of operations on many keys, with one key in eight left undecided."""
    history: list[Operation] = []
    for n in range(count // 8):
        key, at = f"k/{n % 97}/{n}", float(n)
        won = decree(key, str(n))
        history += [claim((at, at + 1), key, str(n), won, Result.WON), read((at, at + 3), key, won)]
        history += [claim((at, None), f"u/{n}", "x", UNKNOWN), read((at, at + 2), f"u/{n}", None)]
        history += [take((at, at), f"t{n}", n + 1), lists((at, at + 1), f"k/{n % 97}/{n}")]
        history += [read((at, at + 1), f"s@{n + 1}", None), take((at, at), f"f{n}", FAILED)]
    return history


class Time(float):
    """A time that counts its comparisons, also those in sorts, which run no line of Python."""

    compared = 0

    def __lt__(self, other: float) -> bool:
        Time.compared += 1
        return float(self) < other

    def __le__(self, other: float) -> bool:
        Time.compared += 1
        return float(self) <= other

    def __gt__(self, other: float) -> bool:
        Time.compared += 1
        return float(self) > other

    def __ge__(self, other: float) -> bool:
        Time.compared += 1
        return float(self) >= other


@contextmanager
def counted_lines() -> Generator[Callable[[], int]]:
    """Count the lines of Python that run; a loop in one line counts once for each round."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lambda: count
    finally:
        sys.settrace(before)


def steps_for(count: int) -> int:
    """How many lines and comparisons of times the judge needs for a history of `count` operations.

    A search in a list of texts is not counted, since it runs no line of Python.
    """
    history = [
        replace(each, called=Time(each.called), returned=each.returned and Time(each.returned))
        for each in long_history(count)
    ]
    compared = Time.compared
    with counted_lines() as lines:
        verdict = judge(history)
    assert verdict.right, str(verdict)[:2_000]
    return lines() + Time.compared - compared


def test_twenty_times_the_history_takes_about_twenty_times_as_many_steps() -> None:
    few, many = steps_for(400), steps_for(8_000)
    assert 15 * few < many < 25 * few
