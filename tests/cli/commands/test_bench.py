"""``bench``: against real servers, against one that fails, interrupted, and of a disk."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from decreed.cli.bench import disk
from decreed.cli.bench.disk import DiskReport, DiskVerdict, measure_disk
from decreed.cli.bench.figures import Figures, Latencies
from decreed.cli.bench.view import disk_lines, live_table, remarks, table_lines
from decreed.client import sync
from decreed.registry.errors import Busy, OutcomeUnknown, Unreachable

from ...support.background import Servers, servers
from ..fakes import Cli, FakeRegistry

SHORT = ("--yes", "--duration", "100ms", "--outstanding", "4")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Servers]:
    with servers() as running:
        yield running


class Failing(FakeRegistry):
    """A registry in which every third claim fails, and which can be interrupted."""

    interrupt_at = 0

    async def claim(self, key: str, value: bytes | str, **details: Any) -> Any:
        number = sum(name == "claim" for name, _ in self.calls)
        if number and number == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)
        self.failures = [[None, None, OutcomeUnknown("too late")][number % 3]]
        return await super().claim(key, value, **details)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    fake = Failing()

    @asynccontextmanager
    async def connect(*endpoints: str, **options: Any) -> AsyncGenerator[Failing]:
        fake.connections.append(options)
        yield fake

    monkeypatch.setattr("decreed.cli.commands.bench.connect", connect)
    return fake


# ---- against servers ----


def test_all_kinds_of_operations_are_measured_and_the_frozen_keys_are_named(
    cli: Cli, cluster: Servers
) -> None:
    endpoints = ",".join(cluster.endpoints)
    result = cli("bench", *SHORT, "--json", "--endpoints", endpoints, "--value-bytes", "10")
    assert result.code == 0
    work = {row["work"]: row for row in result.json["work"]}
    assert [*work] == ["claims", "reads, decided", "reads, undecided", "lock cycles"]
    for row in work.values():
        assert row["done"] > 0 and row["errors"] == {} and row["per_second"] > 0
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["max_ms"]
    with sync.connect(*cluster.endpoints) as registry:
        decrees = [*registry.list(result.json["prefix"])]
    assert result.json["prefix"].startswith("bench/")
    assert len(decrees) == result.json["frozen"] == work["claims"]["done"] + 1_000
    assert {len(decree.value) for decree in decrees} == {10}


@pytest.mark.parametrize(
    ("only", "rows"),
    [
        ("claims", ["claims"]),
        ("reads", ["reads, decided", "reads, undecided"]),
        ("locks", ["lock cycles"]),
    ],
)
def test_only_one_kind_of_operation_is_measured(
    cli: Cli, cluster: Servers, only: str, rows: list[str]
) -> None:
    endpoints = ",".join(cluster.endpoints)
    result = cli("bench", *SHORT, "--only", only, "--prefix", "mine/too/", "--endpoints", endpoints)
    assert result.code == 0
    heading, *lines = result.text.splitlines()
    assert heading.split()[:4] == ["work", "done", "per", "second"]
    assert [line[: len(row)] for line, row in zip(lines, rows, strict=False)] == rows
    assert "keys under mine/too/" in lines[-1]


def test_without_an_answer_bench_exits_with_5_and_claims_nothing(cli: Cli) -> None:
    result = cli("bench", *SHORT, "--endpoints", "127.0.0.1:1", "--timeout", "100ms")
    assert result.code == 5
    assert result.err.startswith("decreed: bench: ")


# ---- failures and interrupts ----


def test_errors_are_counted_and_set_the_exit_code(cli: Cli, failing: Failing) -> None:
    result = cli("bench", *SHORT, "--only", "claims", "--json")
    assert result.code == 6
    [row] = result.json["work"]
    assert row["done"] > 0
    assert row["errors"] == {"OutcomeUnknown": row["errors"]["OutcomeUnknown"]}
    assert result.json["frozen"] == row["done"]
    assert failing.connections[0]["cache_decrees"] == 0


def test_errors_are_shown_with_an_example(cli: Cli, failing: Failing) -> None:
    result = cli("bench", *SHORT, "--only", "claims")
    assert result.code == 6
    assert "x OutcomeUnknown, such as: too late" in result.text


def test_an_interrupt_prints_the_figures_so_far(cli: Cli, failing: Failing) -> None:
    failing.interrupt_at = 20
    result = cli("bench", "--yes", "--duration", "1h", "--outstanding", "1", "--json")
    assert result.code == 130
    assert result.json["interrupted"] is True
    [row] = result.json["work"]
    assert row["work"] == "claims" and row["done"] > 0


def test_bench_freezes_nothing_without_a_yes(cli: Cli, failing: Failing) -> None:
    result = cli("bench", "--only", "claims")
    assert result.code == 2
    assert "permanently" in result.err and "--yes" in result.err
    assert failing.calls == []


@pytest.mark.parametrize("answer", [b"n\n", b"\n"])
def test_bench_asks_first_and_a_no_freezes_nothing(answer: bytes) -> None:
    ours, theirs = os.openpty()
    os.write(ours, answer)
    command = [sys.executable, "-m", "decreed", "bench", "--endpoints", "127.0.0.1:1"]
    done = subprocess.run(command, stdin=theirs, capture_output=True, timeout=300)
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, done.stdout) == (130, b"")
    assert b"permanently" in done.stderr and b"go on?" in done.stderr


@pytest.mark.parametrize(
    "bad",
    [
        ("--prefix", "a//b"),
        ("--outstanding", "0"),
        ("--only", "watches"),
        ("--duration", "x"),
        ("--disk-only",),
        ("--disk", "no/such/folder"),
    ],
)
def test_bad_arguments_exit_with_2(cli: Cli, failing: Failing, bad: tuple[str, ...]) -> None:
    assert cli("bench", "--yes", *bad).code == 2
    assert failing.calls == []


# ---- the disk ----


def test_a_disk_is_measured_without_a_cluster(cli: Cli, tmp_path: Path) -> None:
    result = cli("bench", "--disk", str(tmp_path), "--disk-only", "--json")
    assert result.code == 0
    disk = result.json["disk"]
    assert disk["path"] == str(tmp_path) and disk["verdict"] in [v.value for v in DiskVerdict]
    assert disk["syncs"] > 0 and disk["p50_ms"] <= disk["p99_ms"] <= disk["max_ms"]
    assert [*tmp_path.iterdir()] == []
    text = cli("bench", "--disk", str(tmp_path), "--disk-only").text
    assert text.startswith(f"disk at {tmp_path}: ")


def test_each_write_to_the_disk_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(disk, "_SYNC", lambda file: synced.append(os.fstat(file).st_size))
    monkeypatch.setattr(disk, "MAX_SYNCS", 5)
    report = measure_disk(tmp_path)
    assert report.syncs.count == 5
    assert synced == [disk.WRITE_BYTES * number for number in range(1, 7)]


@pytest.mark.parametrize(
    ("usual", "slow", "verdict"),
    [
        (2e-6, 2e-6, DiskVerdict.DOUBTFUL),
        (1e-3, 2e-3, DiskVerdict.GOOD),
        (1e-3, 20e-3, DiskVerdict.FAIR),
        (3e-3, 10e-3, DiskVerdict.FAIR),
        (3e-3, 90e-3, DiskVerdict.POOR),
        (12e-3, 20e-3, DiskVerdict.POOR),
    ],
)
def test_the_verdict_on_a_disk(usual: float, slow: float, verdict: DiskVerdict) -> None:
    syncs = Latencies()
    for number in range(100):
        syncs.add(slow if number >= 95 else usual)
    report = DiskReport("d", syncs)
    assert report.verdict is verdict
    assert len(disk_lines(report)) == (2 if verdict is DiskVerdict.DOUBTFUL else 3)


# ---- the figures ----


def test_percentiles_are_within_a_few_percent() -> None:
    latencies = Latencies()
    assert latencies.percentile(50) is None
    for number in range(1, 1001):
        latencies.add(number / 1000)
    for percent in (50, 90, 99):
        assert latencies.percentile(percent) == pytest.approx(percent / 100, rel=0.03)
    assert latencies.percentile(100) == latencies.longest == 1.0


def test_figures_without_any_operation() -> None:
    figures = Figures("claims")
    assert (figures.rate, figures.client_share, figures.exit_code) == (0, 0, 0)
    assert table_lines([figures])[1].split() == ["claims", "0", "0", "-", "-", "-", "-", "0"]
    assert [*remarks([figures])] == []


def test_the_exit_code_is_the_highest_among_the_errors() -> None:
    figures = Figures("claims", seconds=2, cpu_seconds=1.9)
    for error in (Unreachable("a"), Busy("b"), Unreachable("c")):
        figures.fail(error)
    assert figures.exit_code == 7
    said = [*remarks([figures])]
    assert said[0] == "claims: 2 x Unreachable, such as: c"
    assert "whole processor" in said[-1]


def test_the_live_table_is_only_drawn_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def show(watched: bool) -> str:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: watched, raising=False)
        refresh: Callable[[], None]
        with live_table(lambda: [Figures("claims")]) as refresh:
            refresh()
        return capsys.readouterr().err

    assert show(False) == ""
    assert "claims" in show(True)
