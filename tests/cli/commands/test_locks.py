"""``decreed lock …``, ``leader`` and ``once``, without a cluster."""

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from decreed.cli.commands.lock_run import parse_wait
from decreed.cli.supervise.words import misplaced
from decreed.client import Holder, LockState, PastTerm
from decreed.client.requests.results import Claimed
from decreed.registry.errors import LockHeld, Unreachable
from decreed.registry.locks.terms import Ending, How
from decreed.registry.types import Outcome

from ..fakes import TIME_MS, Cli, FakeRegistry, decree

BROKEN = Ending(How.BROKEN, "op@desk pid 1", "it hangs")


def holder(lock: str = "l", term: int = 3, note: str = "") -> Holder:
    return Holder(lock, term, "bob@there pid 7", "there", 7, TIME_MS, 15.0, note, b"\x00", b"id")


@dataclass
class FakeLocks(FakeRegistry):
    """A registry in memory with locks whose state the test sets."""

    standings: dict[str, LockState] = field(default_factory=dict[str, LockState])
    broken_terms: list[tuple[Holder, str, bool]] = field(
        default_factory=list[tuple[Holder, str, bool]]
    )

    async def lock_names(self) -> Any:
        self._called("lock_names")
        return sorted(self.standings)

    async def lock_state(self, name: str, *, timeout: float | None = None) -> LockState | None:
        self._called("lock_state", lock=name)
        return self.standings.get(name)

    async def lock_history(self, name: str, *, timeout: float | None = None) -> Any:
        self._called("lock_history", lock=name)
        if name not in self.standings:
            return []
        return [PastTerm(holder(name, 2, "mine"), BROKEN), PastTerm(holder(name), None)]

    async def break_lock(self, held: Holder, reason: str, *, force: bool, timeout: float) -> None:
        self._called("break_lock")
        self.broken_terms.append((held, reason, force))

    async def observe(self, name: str) -> AsyncIterator[Holder]:
        for term in (1, 2):
            yield holder(name, term)

    async def once(self, key: str, *, note: str, timeout: float) -> Claimed:
        self._called("once", key=key)
        won = key == "free"
        return Claimed(Outcome.WON if won else Outcome.LOST, decree(key, "them"), b"id")


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> FakeLocks:
    fake = FakeLocks()
    monkeypatch.setattr("decreed.cli.options.connection.connect", fake.connect)
    fake.standings["free"] = LockState(holder("free"), 0.0, Ending(How.RELEASED), 0)
    fake.standings["held"] = LockState(holder("held", note="x\ny"), 7.25, None, 2)
    return fake


def test_a_list_has_a_line_for_each_lock(cli: Cli, locks: FakeLocks) -> None:
    result = cli("lock", "list")
    since = "since 2026-01-01T00:00:00.000+00:00"
    assert result.text.splitlines() == [
        f"free  free, released  last: bob@there pid 7 {since} (term 3)",
        f"held  held by bob@there pid 7 {since} (term 3, note: x\\ny), 7.2 s left, 2 waiting",
    ]
    assert [row["lock"] for row in cli("lock", "list", "--json").rows] == ["free", "held"]


def test_one_lock_is_shown_as_json(cli: Cli, locks: FakeLocks) -> None:
    shown = cli("lock", "show", "held", "--json").json
    assert (shown["held"], shown["remaining"], shown["waiters"]) == (True, 7.25, 2)
    assert (shown["host"], shown["pid"], shown["info"], shown["ending"]) == ("there", 7, "\0", None)
    assert cli("lock", "show", "never").code == 4
    assert cli("lock", "show", "a//b").code == 2


def test_a_history_says_how_each_term_ended(cli: Cli, locks: FakeLocks) -> None:
    first, second = cli("lock", "history", "held").text.splitlines()
    assert first.startswith("2  bob@there pid 7 since")
    assert first.endswith("broken by op@desk pid 1: it hangs")
    assert second.startswith("3  ") and second.endswith("(term 3)")
    rows = cli("lock", "history", "held", "--json").rows
    assert [row["ending"] and row["ending"]["how"] for row in rows] == ["broken", None]
    assert cli("lock", "history", "never").code == 4


def test_a_lock_is_broken_only_after_confirmation(cli: Cli, locks: FakeLocks) -> None:
    refused = cli("lock", "break", "held", "--reason", "x")
    assert (refused.code, locks.broken_terms) == (2, [])
    assert "--yes" in refused.err
    done = cli("lock", "break", "held", "--reason", "x", "--yes")
    assert done.text == "held is broken, and free in 15 s at the latest\n"
    forced = cli("lock", "break", "held", "--reason", "y", "--yes", "--force")
    assert "may still be at work" in forced.text
    held = locks.standings["held"].holder
    assert locks.broken_terms == [(held, "x", False), (held, "y", True)]
    assert cli("lock", "break", "free", "--reason", "x", "--yes").code == 4
    assert cli("lock", "break", "held").code == 2


@pytest.mark.parametrize(("answer", "code", "count"), [(b"y\n", 0, 1), (b"n\n", 130, 0)])
def test_at_a_terminal_break_asks_for_confirmation(
    cli: Cli,
    locks: FakeLocks,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes,
    code: int,
    count: int,
) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("decreed.cli.commands.locks.sys", terminal)
    result = cli("lock", "break", "held", "--reason", "x", stdin=answer)
    assert (result.code, len(locks.broken_terms)) == (code, count)
    assert "held by bob@there pid 7" in result.err


def test_the_leader_and_each_new_leader_are_printed(cli: Cli, locks: FakeLocks) -> None:
    assert cli("leader", "held").text.startswith("held  bob@there pid 7 since")
    assert cli("leader", "free").code == 4
    watched = cli("leader", "held", "--watch", "--json", "--timeout", "2s").rows
    assert [row["term"] for row in watched] == [1, 2]
    locks.failures = [Unreachable("nobody there")]
    assert cli("leader", "held", "--watch").code == 5


def test_once_becomes_the_command_of_the_winner(
    cli: Cli, locks: FakeLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[Any] = []
    monkeypatch.setattr(os, "execvp", lambda *arguments: became.append(arguments))
    cli("once", "free", "--", "sh", "--fast")
    assert became == [("sh", ["sh", "--fast"])]
    lost = cli("once", "taken", "--", "sh")
    assert (lost.code, len(became)) == (121, 1)
    assert lost.err == (
        "decreed: taken: bob@there has won it and runs the command; it was not run here;"
        " see 'decreed get taken --json'\n"
    )


def test_errors_of_commands_that_run_another_have_codes_of_their_own(
    cli: Cli, locks: FakeLocks
) -> None:
    locks.failures = [Unreachable("no quorum")]
    result = cli("once", "free", "--json", "--", "sh")
    assert (result.code, result.error["exit_code"], result.error["kind"]) == (
        125, 125, "Unreachable",
    )  # fmt: skip
    locks.failures = [LockHeld("by them")]
    assert cli("once", "free", "--", "sh").code == 121
    assert cli("elect", "a//b", "--", "sh").code == 125
    assert cli("lock", "run", "l", "--ttl", "1ms", "--", "sh").code == 125


def test_times_to_wait() -> None:
    assert [parse_wait(text) for text in ("0", "500ms", "forever")] == [0, 0.5, float("inf")]


@pytest.mark.parametrize("how", [("lock", "run"), ("elect",), ("once",)], ids=" ".join)
@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (
            ["make && make install"],
            127,
            "for a shell to read it, write: -- sh -c 'make &&",
        ),
        (["ls *.py"], 127, "write: -- sh -c 'ls *.py'"),
        (["A=1", "make"], 127, "to set a variable for it, write: -- env A=1 make"),
        (["no-such-program"], 127, "there is no such program; check its name, and PATH\n"),
        (["./no/such/program"], 127, "there is no such program; check its name, and PATH\n"),
        (["/etc/passwd"], 126, "it is no program that may be run; check that"),
        (["/"], 126, "it is no program that may be run; check that"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_command_that_cannot_be_run_is_reported_before_the_cluster_is_asked(
    cli: Cli, locks: FakeLocks, how: tuple[str, ...], words: list[str], code: int, hint: str
) -> None:
    result = cli(*how, "free", "--", *words)
    assert (result.code, locks.calls, locks.connections) == (code, [], [])
    assert hint in result.err and result.err.count("\n") == 1
    assert cli(*how, "free", "--json", "--", *words).error["exit_code"] == code


@pytest.mark.parametrize("how", [("lock", "run"), ("elect",), ("once",)], ids=" ".join)
@pytest.mark.parametrize(
    "words",
    [
        ["free", "make", "--all"],
        ["free", "make", "-j4"],
        ["free", "--note", "x", "make", "--timeout", "5s"],
        ["--note=x", "free", "git", "checkout", "--", "file"],
        ["free", "ls", "--help"],
    ],
    ids=" ".join,
)
def test_a_forgotten_separator_is_reported(
    cli: Cli, locks: FakeLocks, how: tuple[str, ...], words: list[str]
) -> None:
    result = cli(*how, *words)
    assert (result.code, locks.connections) == (125, [])
    assert f"write -- before the command: decreed {' '.join(how)} NAME -- CMD" in result.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["n", "ls"], None),
        (["n", "--ttl", "5s", "--", "ls", "-l", "--", "x"], None),
        (["--ttl", "5s", "n", "--json", "ls", "-"], None),
        (["--", "n", "ls", "-l"], None),
        (["n", "--ttl=5s", "ls", "-l"], "-l"),
        (["n", "--ttl", "5s", "ls", "--ttl"], "--ttl"),
        (["--json", "n", "ls", "--", "x"], "--"),
    ],
)
def test_misplaced_options_are_found_after_a_command_without_a_separator(
    arguments: list[str], word: str | None
) -> None:
    assert misplaced(arguments, {"--ttl"}) == word


def test_once_restores_the_signals_that_python_ignores(
    cli: Cli, locks: FakeLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    heeded: list[bool] = []

    def become(*arguments: object) -> None:
        heeded.append(signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL)

    monkeypatch.setattr(os, "execvp", become)
    cli("once", "free", "--", "true")
    assert heeded == [True]
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN


def test_a_wrong_time_to_wait_lists_the_valid_forms(cli: Cli, locks: FakeLocks) -> None:
    assert (parse_wait("0"), parse_wait("1h30m"), parse_wait("forever")) == (0, 5400, inf)
    result = cli("lock", "run", "free", "--wait", "soon", "--", "true")
    assert result.code == 125 and "or 0, or forever" in result.err
    assert "100ms to 1h" in cli("lock", "run", "free", "--ttl", "2d", "--", "true").err
