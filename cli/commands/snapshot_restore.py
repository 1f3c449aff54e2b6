"""``decreed snapshot restore``: the data directories of a new formation, from a snapshot."""

import os
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ...registry.audit import AuditEvent, formation_made
from ...registry.config import ClusterConfig
from ...registry.documents import time_text
from ...registry.errors import BadRequest, Exit
from ...registry.locks.terms import MAX_TTL_MS, MIN_TTL_MS
from ...registry.types import NodeId
from ..config.settings import load_config
from ..options import types as o
from ..options.audit import Audit, open_audit, tell
from ..options.node import ConfigPath
from ..options.usage import said_by
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about_file, reading
from ..shell.output import write_error, write_json, write_line
from ..shell.shown import counted
from .snapshot import Files, extra_server, paths

if TYPE_CHECKING:
    from ...storage.snapshot.restoring import Restored, RestorePlan, Survey

LEAST_TTL = 60.0

Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="NAME=DIR",
        help="The new data directory of a member; repeat it for all. For one member, DIR will do.",
    ),
]
LeastTtl = Annotated[
    float | None,
    typer.Option(
        "--least-ttl",
        parser=o.parse_duration,
        metavar="TIME",
        help="How long nobody gets a lock after the start, at least.  [default: 1m, or the longest"
        " ttl in the snapshot]",
        show_default=False,
    ),
]
OtherCluster = Annotated[
    bool,
    typer.Option(
        "--other-cluster", help="Restore it as a cluster with another id, such as a copy."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="The clock is right; do not ask.")]


def restore(
    files: Files,
    config: ConfigPath,
    data: Data,
    least_ttl: LeastTtl = None,
    other_cluster: OtherCluster = False,
    yes: Yes = False,
    audit: Audit = None,
    as_json: o.Json = False,
) -> int:
    """Make the data directories of a new formation from a snapshot and its increments.

    It makes the directories of all members at once; copy each to its machine, then start the nodes.
    Stop the old cluster first, if any of it still runs. Fencing tokens go on above the time of this
    machine's clock, in milliseconds since 1970; it asks whether that is right. What was decided after
    the snapshot began may be missing.
    """
    with said_by("DECREED_CLUSTER_CONFIG", config):
        settings = load_config(config)
    with extra_server():
        from ...storage.snapshot import restoring
    plan = restoring.RestorePlan(
        paths(files),
        settings,
        directories(data, settings),
        time.time_ns() // 1_000_000,
        ttl_ms_of(least_ttl),
        other_cluster,
    )
    name = files[0] if len(files) == 1 else "snapshots"
    with about_file(name, "nothing was restored"), reading(name):
        found = restoring.survey(plan)
        confirm_clock("restore", plan.time_ms, yes)
        log = open_audit(audit, settings)
        made = _restore(plan, found)
        tell(log, formation_made(AuditEvent.RESTORED, made.formation, tuple(plan.data)))
    _tell(config, plan, made, as_json)
    return Exit.DONE


def directories(names: Sequence[str], config: ClusterConfig) -> Mapping[NodeId, Path]:
    """The directory of each member, from texts such as ``n1=n1.data``.

    Raises:
        CommandFailed: if a text is malformed, or names a member twice.
    """
    found: dict[NodeId, Path] = {}
    for text in names:
        node, given, path = text.partition("=")
        if not given and len(config.nodes) == 1:
            node, path = config.nodes[0], text
        elif not given or not node or not path:
            raise CommandFailed(BadRequest(f"{text!r} is not of the form NAME=DIR"), "--data")
        if node in found:
            raise CommandFailed(BadRequest(f"{node} is named twice"), "--data")
        found[NodeId(node)] = Path(path)
    return found


def ttl_ms_of(seconds: float | None) -> int:
    """The least ttl of restored terms, in milliseconds.

    Raises:
        CommandFailed: if it is no ttl.
    """
    ttl_ms = round((LEAST_TTL if seconds is None else seconds) * 1_000)
    if not MIN_TTL_MS <= ttl_ms <= MAX_TTL_MS:
        bounds = f"from {MIN_TTL_MS} ms to {MAX_TTL_MS // 60_000} minutes"
        raise CommandFailed(BadRequest(f"a ttl is {bounds}"), "--least-ttl")
    return ttl_ms


def confirm_clock(command: str, time_ms: int, yes: bool) -> None:
    """Ask whether the clock is right, since fencing depends on it.

    Args:
        command: who asks.
        time_ms: what the clock says, in milliseconds since 1970.
        yes: whether it was answered in advance.

    Raises:
        CommandFailed: if there is no terminal to ask at.
        typer.Abort: if the answer is no.
    """
    if yes:
        return
    what = f"fencing tokens go on above the time of this machine, {time_text(time_ms)}"
    if not (sys.stdin and sys.stdin.isatty()):
        raise CommandFailed(BadRequest(what), command, "say --yes if that is the time")
    write_error(f"{what}; is that the time? [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort


def _restore(plan: "RestorePlan", found: "Survey") -> "Restored":
    from ...storage.snapshot.restoring import restore as restore_all

    with progress("restoring", found.contents.decrees) as show:
        return restore_all(plan, found, os.urandom, show)


@contextmanager
def progress(what: str, total: int | None) -> Generator[Callable[[int], None]]:
    """A progress bar on standard error if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.update(task, completed=count)


def _tell(config: Path, plan: "RestorePlan", made: "Restored", as_json: bool) -> None:
    if as_json:
        write_json(_document(plan, made))
        return
    locks = counted(made.locks, "lock")
    write_line(f"restored: {counted(made.contents.decrees, 'decree')}, {locks}")
    write_line(f"formation {made.formation.hex()}; tokens go on above {made.restoration.floor}")
    write_line("start every node:")
    for node, path in plan.data.items():
        write_line(f"  decreed serve --config {config} --node {node} --data {path}")


def _document(plan: "RestorePlan", made: "Restored") -> dict[str, Any]:
    return {
        "formation": made.formation.hex(),
        "old_formation": made.restoration.formation.hex(),
        "snapshot": made.restoration.snapshot.hex(),
        "restored": time_text(made.restoration.time_ms),
        "tokens_above": made.restoration.floor,
        "ttl_ms": made.restoration.ttl_ms,
        "decrees": made.contents.decrees,
        "locks": made.locks,
        "data": {node: str(path) for node, path in plan.data.items()},
    }
