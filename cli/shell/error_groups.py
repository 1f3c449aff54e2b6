"""Errors out of exception groups: a command ends with one error.

Every command loads this module. trio is loaded only when something runs in it, since that takes long.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from ...registry.errors import DecreedError
from .failures import CommandFailed

T = TypeVar("T")


def run_async(body: Callable[[], Awaitable[T]]) -> T:
    """Run `body` in trio; an error in exception groups is raised without them."""
    import trio

    try:
        return trio.run(body)
    except (BaseExceptionGroup, trio.TrioInternalError) as error:
        leading = leading_error(error)
        if leading is error:
            raise
        raise leading from error


def leading_error(error: BaseException) -> BaseException:
    """The error of a group to report: an interrupt, otherwise an unexpected error, otherwise ours.

    A second interrupt may come while trio's own code handles the first. trio takes that for an error of
    its own, which has the interrupt as its cause.
    """
    return min(_leaves(error), key=_rank)


def _leaves(error: BaseException) -> list[BaseException]:
    cause = error.__cause__
    if cause is not None and type(error).__name__ == "TrioInternalError":
        return [error, *_leaves(cause)]
    group = error
    if isinstance(group, BaseExceptionGroup):
        inside = cast(BaseExceptionGroup[BaseException], group).exceptions
        return [leaf for each in inside for leaf in _leaves(each)]
    return [error]


def _rank(error: BaseException) -> int:
    if not isinstance(error, Exception):
        return 0
    return 2 if isinstance(error, DecreedError | CommandFailed) else 1
