"""Who looks for a bug that was seeded in this process: the model checker, storms, and the judge.

Each hunter gets a budget and says whether it was enough. All of them run the code that ships, so
nothing of it may be imported before the bug is seeded.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .bug import Bug


@dataclass(frozen=True)
class Finding:
    """What a hunter found.

    Args:
        after: how many states, storms or trials it took; all of the budget if nothing was found.
        seen: what was seen to be wrong; empty if nothing was.
        trace: how it came to that, step by step, where the hunter can tell.
    """

    after: int
    seen: str
    trace: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hunter:
    """Somebody who looks for bugs.

    Args:
        name: for the table.
        unit: what is counted.
        budget: how many of them a bug may take; None if this bug is not for this hunter.
        hunt: looks for whatever is seeded, within a budget.
    """

    name: str
    unit: str
    budget: Callable[[Bug], int | None]
    hunt: Callable[[int], Finding]


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


def _by_lock_storms(budget: int) -> Finding:
    from ..simulation.lockstorm import LockStorm
    from ..simulation.plan import Plan

    return _first(budget, lambda number: LockStorm(Plan(number)).run())


def _by_give_up_storms(budget: int) -> Finding:
    from ..simulation.giveups import GiveUpStorm
    from ..simulation.plan import Plan

    return _first(budget, lambda number: GiveUpStorm(Plan(number)).run())


def _by_judge(budget: int) -> Finding:
    from .trial import Trial

    return _first(budget, lambda number: Trial(number).run())


def _by_tests(budget: int) -> Finding:
    """Interleavings that somebody has written out, one a test."""
    from .written_out import first_failure

    after, name = first_failure(budget)
    return Finding(after, name)


def _first(budget: int, run: Callable[[int], object]) -> Finding:
    """The first run that goes wrong, whatever the bug makes go wrong in it.

    Words that are no working program are no bug: they are not caught, they end the hunt.
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
    "model": Hunter("model checker", "states", lambda bug: bug.states, _by_model),
    "home": Hunter("same, at a home", "states", lambda bug: bug.home_states, _at_home),
    "agreement": Hunter(
        "same, agreement alone",
        "states",
        lambda bug: bug.states if bug.disagrees else None,
        _by_agreement,
    ),
    "storms": Hunter("simulator", "seeds", lambda bug: bug.seeds, _by_storms),
    "lock storms": Hunter("lock storms", "seeds", lambda bug: bug.lock_storms, _by_lock_storms),
    "give-up storms": Hunter(
        "give-up storms", "seeds", lambda bug: bug.give_up_storms, _by_give_up_storms
    ),
    "tests": Hunter("written out", "tests", lambda bug: bug.tests, _by_tests),
    "judge": Hunter("judge", "trials", lambda bug: bug.trials, _by_judge),
}
