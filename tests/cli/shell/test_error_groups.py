"""A command ends with one error, whatever trio makes of it."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest
import trio

from decreed.cli.shell.error_groups import run_async
from decreed.registry.errors import Unreachable


async def nothing() -> None:
    """What is interrupted."""


def failing_by(cause: BaseException) -> Callable[[Callable[[], Awaitable[object]]], NoReturn]:
    """`trio.run`, if an error gets into trio's own code."""

    def run(body: Callable[[], Awaitable[object]]) -> NoReturn:
        raise trio.TrioInternalError("internal error in Trio") from cause

    return run


@pytest.mark.parametrize(
    "cause",
    [KeyboardInterrupt(), BaseExceptionGroup("both", [Unreachable("x"), KeyboardInterrupt()])],
    ids=["alone", "in a group"],
)
def test_a_second_interrupt_inside_trio_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, cause: BaseException
) -> None:
    monkeypatch.setattr(trio, "run", failing_by(cause))
    with pytest.raises(KeyboardInterrupt):
        run_async(nothing)


def test_what_else_goes_wrong_inside_trio_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio, "run", failing_by(ZeroDivisionError()))
    with pytest.raises(trio.TrioInternalError):
        run_async(nothing)
