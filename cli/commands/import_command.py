"""``decreed import``: freeze a folder of files, or the entries of a settings file."""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ...client import Registry
from ...client.requests.claims import make_claim
from ...registry.errors import BadRequest, DecreedError
from ...registry.keys import parse_key, parse_prefix
from ...registry.types import Key
from ..importing.batches import Fate, Row, freeze_all, look_up_all
from ..importing.checking import checked
from ..importing.formats import checked_format
from ..importing.items import Item
from ..importing.plan import Names
from ..importing.sources import ImportSource
from ..importing.tally import Tally
from ..options import types as o
from ..options.connection import with_registry
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about
from ..shell.output import write_error

IMPORT_TIMEOUT = 60.0

From = Annotated[
    Path,
    typer.Argument(
        metavar="DIR|FILE|-",
        help="A folder, or a TOML, JSON, YAML or env file, or - for standard input with --format.",
    ),
]
Under = Annotated[
    str,
    typer.Argument(
        metavar="PREFIX", help="The path that all keys are put under.", show_default=False
    ),
]
Root = Annotated[bool, typer.Option("--root", help="Put keys under no prefix, at the top.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        parser=o.parsed(checked_format),
        envvar="DECREED_IMPORT_FORMAT",
        metavar="toml|json|yaml|env",
        help="How to read FILE.  [default: by its name]",
        show_default=False,
    ),
]
Document = Annotated[
    int | None,
    typer.Option("--document", metavar="N", help="Of a YAML file with several, the N-th."),
]
Whole = Annotated[
    bool, typer.Option("--whole", help="Freeze all of FILE as one value in JSON, PREFIX its key.")
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="GLOB", help="Leave out what fits, as in a .gitignore; repeatable."
    ),
]
Hidden = Annotated[
    bool, typer.Option("--hidden", help="Take files and folders whose names begin with a dot too.")
]
Rename = Annotated[
    list[str] | None,
    typer.Option(
        "--rename", metavar="OLD=NEW", help="Give an entry, table or folder a new name; repeatable."
    ),
]
SkipBadNames = Annotated[
    bool, typer.Option("--skip-bad-names", help="Leave out entries whose names make no key.")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Freeze nothing; show what would be new, the same, or lost."),
]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Freeze what can be frozen, whatever cannot.")
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Kept in every decree.")]


def import_command(
    source: From,
    prefix: Under = "",
    root: Root = False,
    form: Format = None,
    document: Document = None,
    whole: Whole = False,
    exclude: Exclude = None,
    hidden: Hidden = False,
    rename: Rename = None,
    skip_bad_names: SkipBadNames = False,
    dry_run: DryRun = False,
    keep_going: KeepGoing = False,
    note: Note = "",
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.BatchTimeout = None,
    as_json: o.Json = False,
) -> int:
    """Freeze every file below DIR, or every entry of FILE, under PREFIX.

    DIR: a file's path below it is its key, its exact bytes are the value; links are followed inside
    DIR. FILE: tables become path segments; of a string its content is frozen, of any other scalar
    the text as it is written in the file; a list becomes one value in JSON.

    All is checked first: nothing is frozen if any name, file or value is wrong. It can be stopped
    and repeated at any time: what is frozen to the same value counts as the same. Exit code: the
    highest that any key has. See docs/import.md.
    """
    call = o.Call.of(endpoints, timeout or IMPORT_TIMEOUT, as_json, context)
    under = _checked_prefix(prefix, root, whole)
    _check_note(note)
    names = Names(rename or (), exclude or (), skip_bad_names)
    chosen = ImportSource(source, form, document, whole, hidden, names)
    return Import(call, chosen.shown, chosen.items(under), note, dry_run, keep_going).run()


def _checked_prefix(prefix: str, root: bool, whole: bool) -> str:
    with about(prefix or "PREFIX", "see 'decreed import --help'"):
        under = parse_prefix(prefix)
        if whole and not under:
            raise BadRequest("it is the key of what --whole freezes, so it must be there")
        if not under and not root:
            raise BadRequest("it is empty: name a path, or say --root for keys at the top")
        if under and root:
            raise BadRequest("--root puts keys at the top, under no prefix")
        return parse_key(under) if under else ""


def _check_note(note: str) -> None:
    with about("--note"):
        make_claim(Key("any"), b"", "", note=note)


@dataclass
class Import:
    """One run of the command, once its source is read.

    Args:
        call: how to reach the cluster.
        source: the name of the source.
        items: its items, in order of key.
        note: kept in every decree.
        dry_run: whether to freeze nothing.
        keep_going: whether to freeze the good items although others are wrong.
    """

    call: o.Call
    source: str
    items: Sequence[Item]
    note: str
    dry_run: bool
    keep_going: bool

    def run(self) -> int:
        """Check, freeze, and report each key's fate; returns the exit code."""
        tally = Tally(len(self.items), self.call.as_json, self.dry_run)
        try:
            self._skip(tally)
            self._check(self.items, tally)
            self._freeze(tally)
        except KeyboardInterrupt:
            self._interrupted(tally)
            raise
        finally:
            tally.summarise()
        return tally.exit_code

    def _check(self, items: Sequence[Item], tally: Tally) -> None:
        """Refuse the whole import if any item is wrong, and report all wrong ones."""
        wrong = [row for item in items if (row := _wrong(item)) is not None]
        if wrong and not (self.keep_going or self.dry_run):
            for row in wrong:
                tally.tell(row)
            raise self._refused(len(wrong), len(items))

    def _refused(self, wrong: int, count: int) -> CommandFailed:
        which, them = f"{wrong} of {count} entries cannot be frozen, so none was", "them"
        if count == 1:
            which, them = "its only entry cannot be frozen, so nothing was", "it"
        way_out = f"correct {them}, or see --rename, --skip-bad-names, --exclude and --keep-going"
        return CommandFailed(BadRequest(which), self.source, way_out)

    def _skip(self, tally: Tally) -> None:
        for item in self.items:
            if item.left_out:
                row = Row(item.key, Fate.SKIPPED, why=item.left_out, bad_name=item.bad_name)
                tally.tell(row)

    def _freeze(self, tally: Tally) -> None:
        wanted = [item for item in self.items if not item.left_out]
        if all(item.error for item in wanted):
            for row in filter(None, map(_wrong, wanted)):
                tally.tell(row)
            return

        async def ask(registry: Registry) -> None:
            sound = await checked(registry, wanted, self.call.seconds)
            self._check(sound, tally)
            if self.dry_run:
                await look_up_all(registry, sound, self.call.seconds, tally.tell)
            else:
                await freeze_all(registry, sound, self.note, self.call.seconds, tally.tell)

        with _progress(tally), about("import", "run it again to go on where it stopped"):
            with_registry(self.call, ask)

    def _interrupted(self, tally: Tally) -> None:
        if not (self.call.as_json or self.dry_run):
            write_error(
                f"decreed: import: interrupted: {tally.unsettled} of {len(self.items)} keys are not"
                " settled, and some of those may be frozen too; run it again to go on"
            )


def _wrong(item: Item) -> Row | None:
    """The row of an item that is known to be wrong."""
    error: DecreedError | None = None if item.left_out else item.error
    return None if error is None else Row(item.key, Fate.FAILED, error=error)


@contextmanager
def _progress(tally: Tally) -> Generator[None]:
    """A progress bar on standard error if that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress

    watched = sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=not watched) as progress:
        task = progress.add_task("freezing", total=tally.unsettled)
        tally.advance = lambda: progress.advance(task)
        yield
