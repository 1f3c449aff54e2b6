"""``elect``: how long it pauses between terms, on a mock clock."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from decreed.cli.commands import lock_run
from decreed.cli.supervise.backoff import FIRST_SECONDS, LONGEST_SECONDS, STEADY_SECONDS
from decreed.cli.supervise.supervised import CommandEnded
from decreed.registry.errors import LockLost


class Terms:
    """A registry in which a campaign always wins, and the times at which each term began and ended."""

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
        """The times from the end of each term to the beginning of the next."""
        pairs = zip(self.ended, self.begun[1:], strict=False)
        return [round(begun - ended, 6) for ended, begun in pairs]


def campaign(monkeypatch: pytest.MonkeyPatch, *runs: float | LockLost, seconds: float) -> Terms:
    """Campaign with a command whose runs take these times; the last one is repeated."""
    left = list(runs)

    async def run(job: lock_run.Job, lock: Any, relay: Any) -> CommandEnded:
        this = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(this, LockLost):
            raise this
        await trio.sleep(this)
        return CommandEnded(1)

    monkeypatch.setattr(lock_run.Job, "run", run)
    terms = Terms()
    job = lock_run.Job("service", ["sh"], 15.0, "")

    async def main() -> None:
        deadline = trio.current_time() + seconds
        code = await lock_run._campaign(terms, SimpleNamespace(caught=None), job, deadline)  # type: ignore[arg-type]
        assert code == 1

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return terms


def test_elect_pauses_longer_after_each_command_that_fails_immediately(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terms = campaign(monkeypatch, 0.5, seconds=200)
    assert terms.pauses == [1, 2, 4, 8, 16, LONGEST_SECONDS, 30, 30, 30, 30]
    said = capsys.readouterr().err
    assert said.count("leads no more: the command exited with 1") == 11
    assert "decreed: service: the command ends at once; rests for 16 s\n" in said


def test_elect_runs_a_command_again_soon_if_it_ran_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terms = campaign(monkeypatch, 0, 0, 0, STEADY_SECONDS, 0, 0, seconds=30)
    assert terms.pauses == [1, 2, 4, FIRST_SECONDS, 2, 4]


def test_a_lost_lock_does_not_count_as_a_failure_of_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = LockLost("nobody confirmed it in time")
    terms = campaign(monkeypatch, lost, lost, lost, 0, seconds=6)
    assert terms.pauses == [1, 1, 1, 1]
