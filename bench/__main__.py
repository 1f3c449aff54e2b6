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
    abuse,
    catchup,
    claims,
    cold,
    crosscheck,
    epochs,
    failover,
    formula,
    growing,
    growth,
    lists,
    locks,
    members,
    memory,
    nodes,
    reads,
    secured,
    sizes,
    snapshot,
    soak,
    speed,
)
from .suites.suite import Suite
from .systems.cluster import Cluster
from .systems.decreed import DecreedSystem
from .systems.etcd import Etcd
from .systems.pysyncobj import PySyncObj
from .systems.redis import Redis
from .systems.zookeeper import ZooKeeper

SYSTEMS: dict[str, type[Cluster]] = {
    system.name: system for system in (DecreedSystem, Etcd, ZooKeeper, PySyncObj, Redis)
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
    lists,
    members,
    growing,
    snapshot,
    epochs,
    speed,
    formula,
    crosscheck,
    secured,
    abuse,
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
Dry = Annotated[bool, typer.Option("--dry", help="Say what would be measured, and end.")]
Out = Annotated[Path, typer.Option(help="Where tables, JSON and plots go.")]
Repeats = Annotated[int | None, typer.Option(min=1, help="Runs of each work on each system.")]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="Measured in each run.")]
Keys = Annotated[int | None, typer.Option(min=1000, help="Keys for memory and growth.")]
Minutes = Annotated[float, typer.Option(min=0.1, help="How long the soak is.")]
Rate = Annotated[
    float, typer.Option(min=0.0, help="Claims a second of the soak; half of the peak.")
]
Kills = Annotated[int, typer.Option(min=0, help="How many nodes are killed during the soak.")]
Before = Annotated[
    list[Path] | None,
    typer.Option(
        help="A checkout of another build, for the suites 'speed' (which takes several) and 'epochs'."
    ),
]
Attackers = Annotated[
    str | None,
    typer.Option(help="The attackers of the suite 'abuse', with commas; all by default."),
]
Python = Annotated[Path, typer.Option(help="The interpreter that runs the nodes of decreed.")]


def main(
    suites: Names = None,
    peers: Peers = None,
    short: Short = False,
    dry: Dry = False,
    out: Out = OUT,
    repeats: Repeats = None,
    seconds: Seconds = None,
    keys: Keys = None,
    minutes: Minutes = 20.0,
    python: Python = PYTHON,
    before: Before = None,
    attackers: Attackers = None,
    rate: Rate = 0.0,
    kills: Kills = 0,
) -> None:
    """Measure decreed and its peers, side by side, on this machine."""
    signal.signal(signal.SIGTERM, _end)
    console = Console(width=None if sys.stdout.isatty() else 180)
    DecreedSystem.python = str(python.absolute())
    chosen = [_known(name, SUITES, "suite") for name in suites or SUITES]
    systems = _systems((peers or (FEW if short else EVERYBODY)).split(","), console)
    _say_what_is_missing(console)
    if dry:
        names = [suite.name for suite in chosen], [system.name for system in systems]
        console.print(f"suites: {' '.join(names[0])}; systems: {' '.join(names[1])}")
        return
    settings = Settings(
        short=short,
        repeats=repeats or (1 if short else 3),
        seconds=seconds or (0.4 if short else 6.0),
        keys=keys or (5_000 if short else 1_000_000),
        minutes=minutes,
        out=out.absolute(),
        scratch=out.absolute() / "scratch",
        attackers=tuple(attackers.split(",")) if attackers else (),
        rate=rate,
        kills=kills,
        before=tuple(path.absolute() for path in before or ()),
    )
    failures = _measure(chosen, settings, systems, console)
    raise typer.Exit(1 if failures else 0)


def _end(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _known(name: str, table: dict[str, T], what: str) -> T:
    if name not in table:
        raise typer.BadParameter(f"{name} is no {what}; there are {', '.join(table)}")
    return table[name]


def _systems(names: Sequence[str], console: Console) -> list[type[Cluster]]:
    """The systems that are installed; says which are not."""
    found = list[type[Cluster]]()
    for name in names:
        system = _known(name.strip(), SYSTEMS, "system")
        reason = system.missing()
        if reason:
            console.print(f"{name} is skipped: {reason}", style="yellow")
        else:
            found.append(system)
    return found


def _say_what_is_missing(console: Console) -> None:
    if LoadGenerator.missing():
        console.print(f"client libraries only: {LoadGenerator.missing()}", style="yellow")
    if plots.missing():
        console.print(f"no plots: {plots.missing()}", style="yellow")


def _measure(
    suites: Sequence[Suite], settings: Settings, systems: Sequence[type[Cluster]], console: Console
) -> list[str]:
    """Run the suites; returns the failures. Nothing is left running, even after an error."""
    settings.scratch.mkdir(parents=True, exist_ok=True)
    DecreedSystem.compile()
    generator = None if LoadGenerator.missing() else LoadGenerator.build(settings.scratch)
    bench = Bench(settings, systems, generator, lambda text: console.print(text, style="dim"))
    try:
        for suite in suites:
            _run(suite, bench, console)
    finally:
        bench.close()
        shutil.rmtree(settings.scratch, ignore_errors=True)
    for failure in bench.failures:
        console.print(f"failed: {failure}", style="red")
    return bench.failures


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
