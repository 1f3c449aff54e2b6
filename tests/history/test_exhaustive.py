"""The judge agrees with a search of all orders on thousands of small histories, right and wrong."""

import random
from collections import Counter

import pytest

from .exhaustive import is_right
from .judge import judge
from .operations import Operation
from .simulated import changed, right_history
from .verdict import Rule

RUNS = 3_000


def explained(history: list[Operation]) -> str:
    return "\n".join(map(str, [*history, judge(history)]))


def test_the_judge_accepts_every_history_of_a_register() -> None:
    chance = random.Random(1)
    sizes: Counter[int] = Counter()
    for _ in range(RUNS):
        history = right_history(chance)
        assert judge(history).right, explained(history)
        sizes[len(history)] += 1
    assert min(sizes[size] for size in range(3, 9)) > RUNS // 12


def test_the_search_of_all_orders_accepts_every_history_of_a_register() -> None:
    chance = random.Random(2)
    for _ in range(RUNS // 2):
        history = right_history(chance)
        assert is_right(history), explained(history)


def test_the_judge_and_the_search_of_all_orders_agree_on_changed_histories() -> None:
    chance = random.Random(3)
    counts: Counter[bool] = Counter()
    broken: Counter[Rule] = Counter()
    for _ in range(2 * RUNS):
        history = changed(right_history(chance), chance)
        verdict = judge(history)
        assert verdict.right == is_right(history), explained(history)
        counts[verdict.right] += 1
        broken.update({violation.rule for violation in verdict.violations})
    assert counts[True] > RUNS // 2 and counts[False] > RUNS // 2, counts
    assert not set(Rule) - set(broken), broken


@pytest.mark.parametrize("seed", range(4))
def test_the_verdict_does_not_depend_on_the_order_of_the_lines(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(200):
        history = changed(right_history(chance), chance)
        right = judge(history).right
        chance.shuffle(history)
        assert judge(history).right == right
