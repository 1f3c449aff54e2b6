"""``elect``: how long it rests between terms, on a clock of its own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from decreed.cli import running
from decreed.cli.backoff import FIRST_SECONDS, LONGEST_SECONDS, STEADY_SECONDS
from decreed.cli.guarded import Ended
from decreed.registry.errors import LockLost


class Terms:
    """A registry that lets us lead at once, and when each term began and ended."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.ended: list[float] = []

    @asynccontextmanager
    async def lead(self, name: str, **details: Any) -> AsyncGenerator[SimpleNamespace]:
        self.begun.append(trio.current_time())
        try:
            yield SimpleNamespace(token=len(self.begun))
        finally:
            self.ended.append(trio.current_time())

    @property
    def pauses(self) -> list[float]:
        """From the end of each term to the beginning of the next."""
        pairs = zip(self.ended, self.begun[1:], strict=False)
        return [round(begun - ended, 6) for ended, begun in pairs]


def campaign(monkeypatch: pytest.MonkeyPatch, *runs: float | LockLost, seconds: float) -> Terms:
    """Campaign with a command that runs for so long each time, the last one for all that follow."""
    left = list(runs)

    async def run(job: running.Job, lock: Any, relay: Any) -> Ended:
        this = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(this, LockLost):
            raise this
        await trio.sleep(this)
        return Ended(1)

    monkeypatch.setattr(running.Job, "run", run)
    terms = Terms()
    job = running.Job("service", ["sh"], 15.0, "")

    async def main() -> None:
        deadline = trio.current_time() + seconds
        code = await running._campaign(terms, SimpleNamespace(caught=None), job, deadline)  # type: ignore[arg-type]
        assert code == 1

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return terms


def test_a_command_that_fails_at_once_is_run_more_and_more_seldom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terms = campaign(monkeypatch, 0.5, seconds=200)
    assert terms.pauses == [1, 2, 4, 8, 16, LONGEST_SECONDS, 30, 30, 30, 30]
    said = capsys.readouterr().err
    assert said.count("leads no more: the command exited with 1") == 11
    assert "decreed: service: the command ends at once; rests for 16 s\n" in said


def test_one_that_ran_for_a_while_is_run_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = campaign(monkeypatch, 0, 0, 0, STEADY_SECONDS, 0, 0, seconds=30)
    assert terms.pauses == [1, 2, 4, FIRST_SECONDS, 2, 4]


def test_a_lock_that_was_lost_is_no_fault_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = LockLost("nobody confirmed it in time")
    terms = campaign(monkeypatch, lost, lost, lost, 0, seconds=6)
    assert terms.pauses == [1, 1, 1, 1]
