"""``decreed snapshot save``, ``verify`` and ``show``: copies of everything that is decided.

The files are read and written by the extra ``server``, which is loaded only when a command needs it.
"""

import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ...registry.errors import BadRequest, Damaged, Exit, MissingExtra
from ...registry.keys import parse_prefix
from ..options import types as o
from ..shell.deferred import typer
from ..shell.error_groups import run_async
from ..shell.failures import CommandFailed, about, about_file, reading
from ..shell.output import write_error, write_json, write_line
from .read import show_row

if TYPE_CHECKING:
    from ...storage.snapshot.chain import SnapshotChain
    from ...storage.snapshot.contents import Contents
    from ..snapshots.saving import Saved, SavePlan

PAGE_SECONDS = 60.0
DAMAGED = "take another copy of it, or an older snapshot"

NewFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The file to write; it must not exist yet.")
]
Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE…", help="A full snapshot, and then its increments in order."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a save of FILE that was interrupted.")
]
Since = Annotated[
    list[str] | None,
    typer.Option(
        "--since",
        metavar="OLD",
        help="Save only what OLD lacks; repeat it for the increments of OLD, in order.",
    ),
]
PageTime = Annotated[
    float | None,
    o.duration(
        "--timeout", "DECREED_SNAPSHOT_TIMEOUT", "How long to try each page of decrees.", "60s"
    ),
]
Under = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="PREFIX",
        help="Print the decrees under it instead; '' for all keys, $locks for terms of locks.",
    ),
]
KeysOnly = Annotated[bool, typer.Option("--keys", help="Print the keys alone.")]


def save(
    file: NewFile,
    resume: Resume = False,
    since: Since = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: PageTime = None,
    as_json: o.Json = False,
) -> int:
    """Save everything that the cluster has decided to FILE, while it goes on working.

    Every claim that was answered before the save began is in it, and the terms of all locks. It is
    written to FILE.partial, and gets its name when it is complete and synced. Run it under 'nice' to
    take only what others leave of the processor.
    """
    call = o.Call.of(endpoints, timeout or PAGE_SECONDS, as_json, context)
    with extra_server():
        from ..snapshots.saving import SavePlan

    plan = SavePlan(call, file, timeout or PAGE_SECONDS, resume, paths(since or ()))
    with _about_partial(plan), about_file(str(file)), reading(str(file)):
        saved = _run(plan)
    _tell_saved(plan, saved)
    return Exit.DONE


def verify(files: Files, as_json: o.Json = False) -> int:
    """Check every byte of snapshots, without a cluster: checksums, order, and the chain.

    Exit code 7: something is damaged; it says which file, which block and what.
    """
    with _opened(files) as chain:
        _read_all(chain)
    _tell(files, chain, as_json, as_lines=False)
    return Exit.DONE


def show(
    files: Files, prefix: Under = None, keys: KeysOnly = False, as_json: o.Json = False
) -> int:
    """Print what is in a snapshot: of which cluster it is, when it was begun, and how much it has."""
    call = o.Call.of(None, None, as_json)
    if prefix is not None:
        with about(prefix or "--prefix"):
            prefix = parse_prefix(prefix)
    with _opened(files) as chain:
        if prefix is None:
            _read_all(chain)
        else:
            _show_rows(chain, prefix, keys, call)
    if prefix is None:
        _tell(files, chain, as_json, as_lines=True)
    return Exit.DONE


def paths(names: Iterable[str]) -> tuple[Path, ...]:
    """The files with these names."""
    return tuple(map(Path, names))


def _run(plan: "SavePlan") -> "Saved":
    from ..snapshots.saving import save as save_all

    with _progress() as shown:
        return run_async(lambda: save_all(plan, shown))


@contextmanager
def _progress() -> "Generator[Callable[[Contents], None]]":
    """Shows how much is written, on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda contents: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        from ..snapshots.facts import summary

        task = progress.add_task("asking")
        yield lambda contents: progress.update(task, description=summary(contents))


@contextmanager
def _about_partial(plan: "SavePlan") -> Generator[None]:
    """Say after an interrupt or an error that what was written can be continued."""
    from ...storage.snapshot.writer import partial_path

    partial = partial_path(plan.path)
    try:
        yield
    except KeyboardInterrupt:
        if partial.exists():
            write_error(
                f"decreed: snapshot save: interrupted; {partial} has what was saved so far: go on with"
                " --resume, or remove it"
            )
        raise
    except CommandFailed as failure:
        if partial.exists() and not isinstance(failure.error, BadRequest):
            failure.way_out = _way_out(plan, partial, failure)
        raise


def _way_out(plan: "SavePlan", partial: Path, failure: CommandFailed) -> str:
    """How to go on with a save that failed: not by itself if what it continues is damaged."""
    text = str(failure.error)
    for old in plan.since:
        if isinstance(failure.error, Damaged) and text.startswith(str(old)):
            failure.names_itself = True
            return (
                f"take another copy of {old} and go on with --resume, or remove {partial} and save"
                " without --since"
            )
    return f"{partial} has what was saved so far: go on with --resume"


@contextmanager
def _opened(files: list[str]) -> "Generator[SnapshotChain]":
    """The chain of these files; errors in the block are about it."""
    with extra_server():
        from ...storage.snapshot.chain import SnapshotChain

    name = files[0] if len(files) == 1 else "snapshots"
    with about_file(name, DAMAGED), reading(name), SnapshotChain(paths(files)) as chain:
        yield chain


def _read_all(chain: "SnapshotChain") -> None:
    for _ in chain.decrees():
        pass


def _show_rows(chain: "SnapshotChain", prefix: str, keys: bool, call: o.Call) -> None:
    from ...registry.keys import matches

    for decree in chain.decrees():
        if matches(prefix, decree.key):
            show_row(decree, call, keys)


def _tell(files: list[str], chain: "SnapshotChain", as_json: bool, *, as_lines: bool) -> None:
    from ..snapshots.facts import document, lines, summary

    if as_json:
        write_json(document(paths(files), chain.head, chain.contents))
    elif as_lines:
        for line in lines(chain):
            write_line(line)
    else:
        write_line(f"sound: {summary(chain.contents)}")


def _tell_saved(plan: "SavePlan", saved: "Saved") -> None:
    from ..snapshots.facts import document, summary

    if plan.call.as_json:
        facts = document([plan.path], saved.head, saved.contents)
        write_json(facts | {"size": saved.size})
    else:
        write_line(f"saved: {summary(saved.contents)}, in {plan.path}")


@contextmanager
def extra_server(what: str = "a snapshot") -> Generator[None]:
    """Report that the extra ``server`` is missing.

    Args:
        what: needs it.

    Raises:
        CommandFailed: if a module of it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name == "decreed":
            raise
        cause = MissingExtra(f"{what} needs {name or 'a module'}, which is not installed")
        raise CommandFailed(cause, what, "pip install 'decreed[server]'") from error
