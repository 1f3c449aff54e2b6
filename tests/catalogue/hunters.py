"""The hunters of a bug that is seeded in this process: the model checker, storms, the judge, tests.

Each hunter gets a budget and reports whether it was enough. All of them run the shipped code, so
nothing of it may be imported before the bug is seeded.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .bug import Bug

TESTS_OF_A_FILE = 1_000


@dataclass(frozen=True)
class Finding:
    """The finding of a hunter.

    Args:
        after: how many states, storms or trials it took; all of the budget if nothing was found.
        seen: the violation; empty if there was none.
        trace: the path to it, one line for each step, if the hunter has one.
    """

    after: int
    seen: str
    trace: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hunter:
    """A way to look for bugs.

    Args:
        name: for the table.
        unit: of the budget.
        budget: the budget for a bug; None if this hunter does not have to catch it.
        hunt: looks for a seeded bug, within its budget.
    """

    name: str
    unit: str
    budget: Callable[[Bug], int | None]
    hunt: Callable[[Bug], Finding]


def _by_model(budget: int) -> Finding:
    from ..model.hunt import hunt

    return _told_by_model(hunt(budget))


def _at_home(budget: int) -> Finding:
    from ..model.hunt import hunt_at_home

    return _told_by_model(hunt_at_home(budget))


def _by_agreement(budget: int) -> Finding:
    from ..model.hunt import hunt_for_two_decrees

    return _told_by_model(hunt_for_two_decrees(budget))


def _told_by_model(found: tuple[int, Iterable[str], Iterable[str]]) -> Finding:
    states, properties, trace = found
    return Finding(states, "; ".join(properties), tuple(trace))


def _by_storms(budget: int) -> Finding:
    from ..simulation.plan import Plan
    from ..simulation.storm import Storm

    return _first(budget, lambda number: Storm(Plan(number)).run())


def _by_changing_storms(budget: int) -> Finding:
    from ..simulation.changing_storm import ChangingStorm
    from ..simulation.plan import MOODS, Plan

    moods = len(MOODS)
    return _first(
        budget, lambda number: ChangingStorm(Plan(number, mood=MOODS[number % moods])).run()
    )


def _by_lock_storms(budget: int) -> Finding:
    from ..simulation.lockstorm import LockStorm
    from ..simulation.plan import Plan

    return _first(budget, lambda number: LockStorm(Plan(number)).run())


def _by_give_up_storms(budget: int) -> Finding:
    from ..simulation.giveups import GiveUpStorm
    from ..simulation.plan import Plan

    return _first(budget, lambda number: GiveUpStorm(Plan(number)).run())


def _by_governed_storms(budget: int) -> Finding:
    from ..simulation.plan import Plan
    from ..simulation.storms import storm_of

    return _first(budget, lambda number: storm_of(Plan.drawn(number, governed=True)).run())


def _by_judge(budget: int) -> Finding:
    from .trial import Trial

    return _first(budget, lambda number: Trial(number).run())


def _by_tests(budget: int) -> Finding:
    """The tests that write interleavings out, one in each test."""
    from .written_out import first_failure

    after, name = first_failure(budget)
    return Finding(after, name)


def _by_its_tests(bug: Bug) -> Finding:
    """The one test file that must catch it."""
    from .written_out import first_failure

    assert bug.held_by is not None, "a test must catch it"
    after, name = first_failure(TESTS_OF_A_FILE, [bug.held_by])
    return Finding(after, name)


def _hunter(
    name: str, unit: str, budget: Callable[[Bug], int | None], hunt: Callable[[int], Finding]
) -> Hunter:
    """A hunter that looks for any violation, within the budget of the bug."""

    def hunt_bug(bug: Bug) -> Finding:
        amount = budget(bug)
        assert amount is not None, f"{name} does not hunt for {bug.name!r}"
        return hunt(amount)

    return Hunter(name, unit, budget, hunt_bug)


def _first(budget: int, run: Callable[[int], object]) -> Finding:
    """The first run that fails, in whatever way.

    A change that makes the code invalid is no bug: it ends the hunt rather than count as caught.
    """
    for number in range(1, budget + 1):
        try:
            run(number)
        except (NameError, TypeError, AttributeError, ImportError):
            raise
        except Exception as error:  # noqa: BLE001
            said = str(error).strip().splitlines() or [type(error).__name__]
            return Finding(number, said[0])
    return Finding(budget, "")


HUNTERS = {
    "model": _hunter("model checker", "states", lambda bug: bug.states, _by_model),
    "home": _hunter("same, at a home", "states", lambda bug: bug.home_states, _at_home),
    "agreement": _hunter(
        "same, agreement alone",
        "states",
        lambda bug: bug.states if bug.disagrees else None,
        _by_agreement,
    ),
    "storms": _hunter("simulator", "seeds", lambda bug: bug.seeds, _by_storms),
    "changing storms": _hunter(
        "storms of changes", "seeds", lambda bug: bug.changing_storms, _by_changing_storms
    ),
    "lock storms": _hunter("lock storms", "seeds", lambda bug: bug.lock_storms, _by_lock_storms),
    "give-up storms": _hunter(
        "give-up storms", "seeds", lambda bug: bug.give_up_storms, _by_give_up_storms
    ),
    "governed storms": _hunter(
        "governed storms", "seeds", lambda bug: bug.governed_storms, _by_governed_storms
    ),
    "tests": _hunter("written out", "tests", lambda bug: bug.tests, _by_tests),
    "file": Hunter(
        "its own tests",
        "tests",
        lambda bug: TESTS_OF_A_FILE if bug.held_by is not None else None,
        _by_its_tests,
    ),
    "judge": _hunter("judge", "trials", lambda bug: bug.trials, _by_judge),
}
