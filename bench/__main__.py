"""``python -m bench``: runs suites, prints tables, writes JSON, Markdown and plots."""

import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console

from . import plots
from .bench import Bench, Settings, about_machine
from .load import LoadGenerator
from .report import markdown, rows, show, write_runs
from .suites import (
    catchup,
    claims,
    cold,
    failover,
    growth,
    locks,
    memory,
    nodes,
    reads,
    sizes,
    soak,
)
from .suites.suite import Suite
from .systems.cluster import Cluster
from .systems.decreed import Decreed
from .systems.etcd import Etcd
from .systems.pysyncobj import PySyncObj
from .systems.redis import Redis
from .systems.zookeeper import ZooKeeper

SYSTEMS: dict[str, type[Cluster]] = {
    system.name: system for system in (Decreed, Etcd, ZooKeeper, PySyncObj, Redis)
}
_MODULES = (
    claims,
    reads,
    locks,
    failover,
    cold,
    catchup,
    memory,
    sizes,
    nodes,
    growth,
    soak,
)
SUITES: dict[str, Suite] = {module.SUITE.name: module.SUITE for module in _MODULES}

T = TypeVar("T")
EVERYBODY = ",".join(SYSTEMS)
FEW = "decreed,etcd,zookeeper"
OUT = Path("bench-out")
PYTHON = Path(sys.executable)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SUITE]...", help=f"Of {', '.join(SUITES)}; all by default."),
]
Peers = Annotated[
    str | None,
    typer.Option(help=f"The systems, with commas; by default {EVERYBODY}, fewer with --short."),
]
Short = Annotated[bool, typer.Option("--short", help="A look, in two minutes; no measurement.")]
Out = Annotated[Path, typer.Option(help="Where tables, JSON and plots go.")]
Repeats = Annotated[int | None, typer.Option(min=1, help="Runs of each work on each system.")]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="Measured in each run.")]
Keys = Annotated[int | None, typer.Option(min=1000, help="Keys for memory and growth.")]
Minutes = Annotated[float, typer.Option(min=0.1, help="How long the soak is.")]
Python = Annotated[Path, typer.Option(help="The interpreter whose decreed is measured.")]


def main(
    suites: Names = None,
    peers: Peers = None,
    short: Short = False,
    out: Out = OUT,
    repeats: Repeats = None,
    seconds: Seconds = None,
    keys: Keys = None,
    minutes: Minutes = 20.0,
    python: Python = PYTHON,
) -> None:
    """Measure decreed and its peers, side by side, on this machine."""
    signal.signal(signal.SIGTERM, _end)
    console = Console(width=None if sys.stdout.isatty() else 180)
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        short=short,
        repeats=repeats or (1 if short else 3),
        seconds=seconds or (0.4 if short else 6.0),
        keys=keys or (5_000 if short else 1_000_000),
        minutes=minutes,
        out=out,
        scratch=out / "scratch",
    )
    Decreed.python = str(python.absolute())
    chosen = [_known(name, SUITES, "suite") for name in suites or SUITES]
    bench = _bench(settings, (peers or (FEW if short else EVERYBODY)).split(","), console)
    try:
        for suite in chosen:
            _run(suite, bench, console)
    finally:
        bench.close()
        shutil.rmtree(settings.scratch, ignore_errors=True)
    for failure in bench.failures:
        console.print(f"failed: {failure}", style="red")
    raise typer.Exit(1 if bench.failures else 0)


def _end(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _known(name: str, table: dict[str, T], what: str) -> T:
    if name not in table:
        raise typer.BadParameter(f"{name} is no {what}; there are {', '.join(table)}")
    return table[name]


def _bench(settings: Settings, peers: Sequence[str], console: Console) -> Bench:
    """Find out what is here, and say what is not."""
    systems = list[type[Cluster]]()
    for name in peers:
        system = _known(name.strip(), SYSTEMS, "system")
        reason = system.missing()
        if reason:
            console.print(f"{name} is skipped: {reason}", style="yellow")
        else:
            systems.append(system)
    reason = LoadGenerator.missing()
    if reason:
        console.print(f"client libraries only: {reason}", style="yellow")
    if plots.missing():
        console.print(f"no plots: {plots.missing()}", style="yellow")
    generator = None if reason else LoadGenerator.build(settings.scratch)
    return Bench(settings, systems, generator, lambda text: console.print(text, style="dim"))


def _run(suite: Suite, bench: Bench, console: Console) -> None:
    suite.run(bench)
    runs = bench.of(suite.name)
    if not runs:
        return
    table = rows(runs, suite.columns)
    show(console, suite.title, table)
    path = bench.settings.out / suite.name
    path.with_suffix(".md").write_text(markdown(table), encoding="utf-8")
    write_runs(path.with_suffix(".json"), runs, about_machine())
    suite.plot(runs, path)


if __name__ == "__main__":
    typer.run(main)
