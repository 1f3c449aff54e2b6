"""``decreed bench``: a load test of the user's own cluster, and of a node's disk.

It freezes keys permanently, so it asks first, and uses a prefix that nobody else uses.
"""

import secrets
import signal
import sys
from pathlib import Path
from typing import Annotated

import trio

from ...client import connect
from ...registry.config import MIB
from ...registry.errors import BadRequest, Exit
from ...registry.keys import parse_prefix
from ..bench.disk import DiskReport, measure_disk
from ..bench.expectation import Expectation, Here, expected
from ..bench.figures import CLAIMS, Figures
from ..bench.loads import LoadKind, LoadPlan, LoadTest
from ..bench.view import (
    disk_lines,
    document,
    expectation_lines,
    live_table,
    remarks,
    table_lines,
)
from ..options import types as o
from ..shell.deferred import typer
from ..shell.error_groups import run_async
from ..shell.failures import INTERRUPTED, CommandFailed, about, reading
from ..shell.output import write_error, write_json, write_line
from ..shell.signals import heeded

DEFAULT_SECONDS = 5.0
REFRESH_SECONDS = 0.25
MAX_OUTSTANDING = 4_096

Duration = Annotated[
    float | None,
    o.duration("--duration", "DECREED_BENCH_DURATION", "How long each kind of work lasts.", "5s"),
]
Outstanding = Annotated[
    int,
    typer.Option(
        "--outstanding",
        metavar="N",
        min=1,
        max=MAX_OUTSTANDING,
        help="How many operations are under way at a time.",
    ),
]
ValueBytes = Annotated[
    int,
    typer.Option(
        "--value-bytes", metavar="N", min=0, max=16 * MIB, help="The size of the values claimed."
    ),
]
Only = Annotated[LoadKind | None, typer.Option("--only", help="Do this kind of work alone.")]
Under = Annotated[
    str,
    typer.Option(
        "--prefix",
        parser=o.parsed(parse_prefix),
        envvar="DECREED_BENCH_PREFIX",
        metavar="PREFIX",
        help="The path that a path of its own is under.",
    ),
]
DiskDir = Annotated[
    Path | None,
    typer.Option(
        "--disk",
        envvar="DECREED_BENCH_DISK",
        metavar="DIR",
        help="Measure how long this disk takes to sync, too: on a node, beside its data.",
        show_default=False,
    ),
]
DiskOnly = Annotated[bool, typer.Option("--disk-only", help="Measure the disk and ask no cluster.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before keys are frozen permanently.")]


def bench(
    duration: Duration = None,
    outstanding: Outstanding = 64,
    value_bytes: ValueBytes = 64,
    only: Only = None,
    prefix: Under = "bench",
    disk: DiskDir = None,
    disk_only: DiskOnly = False,
    yes: Yes = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Put the cluster under load, and print how fast claims, reads and locks are.

    The keys that it claims stay forever, under PREFIX and a random name; it asks before. Errors
    are counted, and the exit code is the highest of theirs. Ctrl-C gives the figures so far.

    With --disk it says what claims are to be expected of such disks, processors and nodes, too.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    report = _measure(disk, disk_only)
    if report is not None and not as_json:
        _write_lines(disk_lines(report))
    if disk_only:
        if as_json:
            write_json(document("", [], 0, report, False))
        return Exit.DONE
    with about("--prefix"):
        path = f"{parse_prefix(prefix)}/{secrets.token_hex(4)}".lstrip("/")
        parse_prefix(path)
    kinds = tuple(LoadKind) if only is None else (only,)
    seconds = DEFAULT_SECONDS if duration is None else duration
    plan = LoadPlan(path, seconds, outstanding, value_bytes, call.seconds, kinds)
    _confirm(plan, yes)
    run = _Run(call, plan, report)
    with about("bench"):
        run_async(run.go)
    return _tell(run)


def _measure(disk: Path | None, disk_only: bool) -> DiskReport | None:
    if disk is None:
        if disk_only:
            raise CommandFailed(BadRequest("which disk?"), "--disk-only", "name it with --disk DIR")
        return None
    with reading(str(disk)):
        return measure_disk(disk)


def _confirm(plan: LoadPlan, yes: bool) -> None:
    """Ask for confirmation, since frozen keys cannot be removed.

    Raises:
        CommandFailed: if there is no terminal to ask at.
        typer.Abort: if the answer is no.
    """
    if yes:
        return
    what = f"this freezes keys under {plan.prefix} permanently, on a cluster that others may use"
    if not (sys.stdin and sys.stdin.isatty()):
        raise CommandFailed(BadRequest(what), "bench", "say --yes if that is all right")
    write_error(f"{what}; go on? [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort


class _Run:
    """One run against a cluster.

    Args:
        call: how to reach the cluster.
        plan: the works.
        disk: what was measured of this machine's disk, if it was to be.
    """

    def __init__(self, call: o.Call, plan: LoadPlan, disk: DiskReport | None) -> None:
        self.call, self.plan, self.disk = call, plan, disk
        self.cut = False
        self.figures: list[Figures] = []
        self.frozen = 0
        self.addresses: list[str] = []

    async def go(self) -> None:
        """Carry out the plan, until its end or an interrupt."""
        call = self.call
        async with (
            connect(
                *call.endpoints, timeout=call.seconds, cache_decrees=0, **call.credentials()
            ) as registry,
            trio.open_nursery() as nursery,
        ):
            if self.disk is not None:
                self.addresses = [member.address for member in await registry.status()]
            bench = LoadTest(registry, self.plan)
            self.figures = bench.figures
            nursery.start_soon(self._heed_interrupts, nursery.cancel_scope)
            nursery.start_soon(self._show)
            try:
                await bench.run()
            finally:
                self.frozen = bench.frozen
            nursery.cancel_scope.cancel()

    async def _heed_interrupts(self, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, *heeded(signal.SIGINT)) as signals:
            await anext(aiter(signals))
            self.cut = True
            scope.cancel()

    async def _show(self) -> None:
        if self.call.as_json:
            return
        with live_table(lambda: self.figures) as refresh:
            while True:
                refresh()
                await trio.sleep(REFRESH_SECONDS)


def _tell(run: _Run) -> int:
    """Print the results; returns the exit code."""
    prefix, figures = run.plan.prefix, run.figures
    expectation = _expected(run)
    if run.call.as_json:
        write_json(document(prefix, figures, run.frozen, run.disk, run.cut, expectation))
    else:
        _write_lines(table_lines(figures))
        _write_lines([*remarks(figures)])
        if expectation is not None:
            _write_lines(expectation_lines(expectation))
        write_line(f"at least {run.frozen} keys under {prefix} are frozen now, permanently")
    if run.cut:
        return INTERRUPTED
    return max((each.exit_code for each in figures), default=Exit.DONE)


def _expected(run: _Run) -> Expectation | None:
    """What the formula says of the claims, if the disk was measured and claims were made."""
    claims = next((each for each in run.figures if each.name == CLAIMS), None)
    if run.disk is None or claims is None:
        return None
    return expected(claims, run.disk, run.addresses, Here.measured(), run.plan.outstanding)


def _write_lines(lines: list[str]) -> None:
    for line in lines:
        write_line(line)
