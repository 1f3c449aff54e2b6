"""From a command to the client library: connect, run the body, and let errors out bare."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import trio

from ..client import Registry, connect
from ..registry.errors import DecreedError
from .failures import CommandFailed
from .options import Call

T = TypeVar("T")


def with_registry(call: Call, body: Callable[[Registry], Awaitable[T]]) -> T:
    """Connect, run `body` with the registry, and return what it returns."""

    async def run() -> T:
        async with connect(*call.endpoints, timeout=call.seconds) as registry:
            return await body(registry)

    return run_async(run)


def run_async(body: Callable[[], Awaitable[T]]) -> T:
    """Run `body` in trio; an error that comes in groups is raised bare."""
    try:
        return trio.run(body)
    except BaseExceptionGroup as group:
        raise leading_error(group) from group


def leading_error(error: BaseException) -> BaseException:
    """The error to report of a group: an interrupt before what is unexpected before our own."""
    return min(_leaves(error), key=_rank)


def _leaves(error: BaseException) -> list[BaseException]:
    group = error
    if isinstance(group, BaseExceptionGroup):
        inside = cast(BaseExceptionGroup[BaseException], group).exceptions
        return [leaf for each in inside for leaf in _leaves(each)]
    return [error]


def _rank(error: BaseException) -> int:
    if not isinstance(error, Exception):
        return 0
    return 2 if isinstance(error, DecreedError | CommandFailed) else 1
