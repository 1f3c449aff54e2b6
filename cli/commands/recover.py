"""``decreed recover``: a new formation from whatever data directories are left, and comparing."""

import json
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from ...registry.audit import AuditEvent, formation_made
from ...registry.errors import BadRequest, Exit
from ..config.settings import load_config
from ..options import types as o
from ..options.audit import Audit, open_audit, tell
from ..options.usage import said_by
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about, reading
from ..shell.output import to_json, write_error, write_json, write_line
from .snapshot import extra_server
from .snapshot_restore import (
    LeastTtl,
    OtherCluster,
    Yes,
    confirm_clock,
    directories,
    progress,
    ttl_ms_of,
)

if TYPE_CHECKING:
    from ...storage.recovery.old_directory import OldDirectory
    from ...storage.recovery.plan import RecoveredFormation, RecoverPlan
    from ...storage.recovery.recovering import Findings

UNCERTAIN = "uncertain.json"

From = Annotated[
    list[str] | None,
    typer.Option(
        "--from", metavar="DIR", help="An old data directory that is left; repeat it for each."
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="DECREED_CLUSTER_CONFIG",
        metavar="FILE",
        help="The cluster.toml of the new cluster.",
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="NAME=DIR",
        help="The new data directory of a member; repeat it for all. For one member, DIR will do.",
    ),
]
Gone = Annotated[
    list[str] | None,
    typer.Option(
        "--gone",
        metavar="NAME",
        help="A voter whose directory is lost for good; repeat it for each.",
    ),
]
Keep = Annotated[
    Path | None,
    typer.Option(
        "--uncertain",
        metavar="FILE",
        help="Where to keep what may be lost.  [default: uncertain.json beside the new directories]",
        show_default=False,
    ),
]
ReadOnly = Annotated[
    bool,
    typer.Option(
        "--read-only",
        help="Leave the old directories as they are, such as copies. Their nodes must never start.",
    ),
]
Again = Annotated[
    bool,
    typer.Option(
        "--again",
        help="They were recovered before, and what that made was never started, and is gone.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Read everything and print what is found; make nothing.")
]
Compare = Annotated[
    Path | None,
    typer.Option(
        "--compare",
        metavar="OLD",
        help="Print what NEWER has and OLD lacks; each is a directory or a full snapshot.",
    ),
]
Newer = Annotated[
    Path | None, typer.Argument(metavar="NEWER", help="What to compare with; only for --compare.")
]


def recover(
    newer: Newer = None,
    sources: From = None,
    config: Config = None,
    data: Data = None,
    gone: Gone = None,
    uncertain: Keep = None,
    compare: Compare = None,
    least_ttl: LeastTtl = None,
    other_cluster: OtherCluster = False,
    read_only: ReadOnly = False,
    again: Again = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    audit: Audit = None,
    as_json: o.Json = False,
    timeout: o.NoTimeout = None,
) -> int:
    """Make a new formation from whatever data directories of a lost cluster are left.

    Stop all nodes first. It reads the directories that --from names. It takes everything that any of
    them has learned, and of what was only accepted, the proposal with the highest ballot. It prints
    what may be lost and what is not certain, and keeps that in a file. Then it makes the directories of
    all members, as 'snapshot restore' does: fencing tokens go on above the time of this machine's
    clock. Before those can be used, it marks each directory that it has read: its node never starts
    again. If it is interrupted, give the same command again: it goes on.

    With --compare OLD NEWER it prints what NEWER has and OLD lacks, key by key.
    """
    del timeout
    with _nothing_done(), extra_server("a recovery"):
        from ...storage.recovery import recovering
        from ..snapshots.how_far import telling_how_far
    if compare is not None:
        return _compare(compare, newer, as_json)
    if newer is not None:
        raise CommandFailed(BadRequest("only --compare takes an argument"), str(newer))
    told = (least_ttl, other_cluster, read_only, again)
    with _nothing_done():
        plan = _plan(sources or (), config, data or (), dry_run, *told)
        kept = _kept(plan, uncertain)
    with telling_how_far(plan), reading("recover"), recovering.sources(plan) as old:
        with progress("reading", None) as show:
            found = recovering.survey(plan, old, show)
        _check_names(old, found, gone or ())
        made = None
        if plan.data:
            _check_gone(old, found, gone or ())
        if not as_json:
            _print(old, found)
        if plan.data:
            confirm_clock("recover", plan.time_ms, yes)
            log = open_audit(audit, plan.config)
            made = _make(plan, old, found, kept)
            tell(log, formation_made(AuditEvent.RECOVERED, made.formation, tuple(plan.data)))
        if as_json:
            write_json(_document(plan, old, found, made))
    if made is not None and not as_json:
        _tell(config, plan, made, kept)
    return Exit.DONE


@contextmanager
def _nothing_done() -> Generator[None]:
    """Say after an interrupt that nothing was done yet."""
    try:
        yield
    except KeyboardInterrupt:
        write_error("decreed: recover: interrupted; nothing was made or changed")
        raise


def _plan(
    sources: Sequence[str],
    config: Path | None,
    data: Sequence[str],
    dry_run: bool,
    least_ttl: float | None,
    other_cluster: bool,
    read_only: bool,
    again: bool,
) -> "RecoverPlan":
    from ...storage.recovery.plan import RecoverPlan

    if not sources:
        raise CommandFailed(BadRequest("it needs the directories that are left"), "--from")
    if config is None:
        raise CommandFailed(BadRequest("it needs the cluster.toml of the new cluster"), "--config")
    if not data and not dry_run:
        raise CommandFailed(
            BadRequest("it needs the new directory of each member"), "--data", "or say --dry-run"
        )
    with said_by("DECREED_CLUSTER_CONFIG", config):
        settings = load_config(config)
    return RecoverPlan(
        tuple(map(Path, sources)),
        settings,
        {} if dry_run else directories(data, settings),
        time.time_ns() // 1_000_000,
        ttl_ms_of(least_ttl),
        other_cluster,
        read_only,
        again,
    )


def _kept(plan: "RecoverPlan", uncertain: Path | None) -> Path:
    """The file for what may be lost; it must not exist yet, unless this plan was interrupted."""
    kept = uncertain
    if kept is None:
        beside = next(iter(plan.data.values()), Path(UNCERTAIN))
        kept = beside.parent / UNCERTAIN
    if plan.data and os.path.lexists(kept) and not _is_of(plan, kept):
        raise CommandFailed(
            BadRequest("there is such a file, and it is not replaced"), str(kept), "move it away"
        )
    return kept


def _is_of(plan: "RecoverPlan", kept: Path) -> bool:
    """Whether the list is that of an earlier run with the same new directories."""
    try:
        found: Any = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(
        isinstance(found, dict) and cast("dict[str, Any]", found).get("data") == _data_of(plan)
    )


def _data_of(plan: "RecoverPlan") -> dict[str, str]:
    return {node: str(path) for node, path in plan.data.items()}


def _check_gone(old: "Sequence[OldDirectory]", found: "Findings", gone: Sequence[str]) -> None:
    """Check that all voters which are not read are named: what only they know is lost.

    Raises:
        BadRequest: if one is not named, or if one is named that is read.
    """
    from ..snapshots.findings import missing

    unnamed = [node for node in missing(old, found) if node not in gone]
    if unnamed:
        options = " ".join(f"--gone {node}" for node in unnamed)
        raise BadRequest(
            f"no directory of {', '.join(unnamed)} is read: name it with --from, or say {options} if it"
            " is lost for good"
        )
    not_read = missing(old, found)
    read = [each.node for each in old if each.node in gone and each.node not in not_read]
    if read:
        raise BadRequest(f"{', '.join(read)} is not gone: its directory is read")


def _check_names(old: "Sequence[OldDirectory]", found: "Findings", gone: Sequence[str]) -> None:
    """Check that what is said to be gone was a voter: a name with a mistake in it is none.

    Raises:
        BadRequest: if it was none.
    """
    epoch = found.voters.epoch
    known = epoch.nodes if epoch is not None else sorted({*(n for each in old for n in each.peers)})
    strange = [name for name in gone if name not in {*known, *(each.node for each in old)}]
    if strange:
        raise BadRequest(
            f"--gone names {', '.join(strange)}, and the voters were {' '.join(known)}: correct the"
            " name"
        )


def _make(
    plan: "RecoverPlan", old: "Sequence[OldDirectory]", found: "Findings", kept: Path
) -> "RecoveredFormation":
    """Make the directories, and keep the list before any of them can be used."""
    from ...storage.durable import replace_text
    from ...storage.recovery import recovering

    def keep(made: "RecoveredFormation") -> None:
        replace_text(kept, json.dumps(_document(plan, old, found, made), indent=2) + "\n")

    with progress("recovering", found.contents.decrees) as show:
        return recovering.recover(plan, old, found, os.urandom, show, keep)


def _print(old: "Sequence[OldDirectory]", found: "Findings") -> None:
    from ..snapshots.findings import lines

    for line in lines(old, found):
        write_line(line)


def _document(
    plan: "RecoverPlan",
    old: "Sequence[OldDirectory]",
    found: "Findings",
    made: "RecoveredFormation | None",
) -> dict[str, Any]:
    from ..snapshots import findings

    if made is None:
        return findings.document(old, found)
    return findings.made_document(made) | {"data": _data_of(plan)} | findings.document(old, found)


def _tell(config: Path | None, plan: "RecoverPlan", made: "RecoveredFormation", kept: Path) -> None:
    write_line(f"formation {made.formation.hex()}; tokens go on above {made.restoration.floor}")
    write_line(f"what is not certain is kept in {kept}")
    if plan.read_only:
        write_line("the old directories are not marked: see to it that none of their nodes starts")
    else:
        write_line(f"marked, so that no node opens them again: {', '.join(map(str, plan.sources))}")
    write_line("start every node:")
    for node, path in plan.data.items():
        write_line(f"  decreed serve --config {config} --node {node} --data {path}")


def _compare(older: Path, newer: Path | None, as_json: bool) -> int:
    """Print the differences, one on a line; damage of either is an error in the end."""
    from ...storage.recovery import comparing
    from ..snapshots.findings import difference_document, difference_line

    if newer is None:
        raise CommandFailed(BadRequest("it needs OLD and NEWER"), "--compare")
    if older.resolve() == newer.resolve():
        raise CommandFailed(BadRequest("OLD and NEWER are the same"), "--compare")
    count = 0
    with (
        about("compare"),
        reading("compare"),
        comparing.opened(older) as old,
        comparing.opened(newer) as new,
    ):
        for each in comparing.compare(old, new):
            write_line(to_json(difference_document(each)) if as_json else difference_line(each))
            count += 1
        comparing.check_sound(old, new)
    if not as_json and not count:
        write_line(f"{older} lacks nothing that {newer} has")
    return Exit.DONE
