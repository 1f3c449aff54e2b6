"""The trials: without a bug the judge accepts them, and their faults do occur."""

from ..history.operations import Kind, Result
from .trial import Trial


def test_without_a_bug_nobody_is_told_what_cannot_be_true() -> None:
    for number in range(1, 11):
        Trial(number).run()


def test_everything_that_can_be_asked_is_answered_now_and_then() -> None:
    trials = [Trial(number) for number in (1, 2, 3)]
    for trial in trials:
        trial.run()
    history = [operation for trial in trials for operation in trial.history]
    told = {operation.kind for operation in history if operation.decrees}
    assert told >= {Kind.CLAIM, Kind.CLAIM_NEXT, Kind.GET, Kind.LATEST, Kind.LIST}
    ends = {operation.result for operation in history}
    assert ends >= {Result.DECREED, Result.LISTED, Result.UNDECIDED, Result.UNKNOWN, Result.FAILED}
