"""``decreed import``: freeze a folder of files, or the entries of a settings file."""

import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from ..client import Registry
from ..registry.errors import BadRequest, Exit
from ..registry.keys import parse_prefix
from . import options as o
from .batches import Fate, Row, freeze_all
from .connection import with_registry
from .deferred import typer
from .documents import decree_document, when
from .failures import about, reading
from .flatten import flatten
from .output import safe_line, write_json, write_line
from .sources import Item, folder_items
from .values import read_file
from .written import FORMATS

IMPORT_TIMEOUT = 60.0
SUFFIXES = {".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".env": "env"}

Source = Annotated[
    Path, typer.Argument(metavar="DIR|FILE", help="A folder, or a TOML, JSON, YAML or env file.")
]
Under = Annotated[
    str, typer.Argument(metavar="PREFIX", help="The path that all keys are put under.")
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="toml|json|yaml|env",
        help="How to read FILE.  [default: by its name]",
        show_default=False,
    ),
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Kept in every decree.")]
BatchTimeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=o.parse_duration,
        metavar="TIME",
        help="How long to try each batch before its rest counts as failed.  [default: 60s]",
        show_default=False,
    ),
]


class Tally:
    """Counts the rows, shows what matters of them, and knows the exit code: the highest of them."""

    def __init__(self, as_json: bool, advance: Callable[[], None]) -> None:
        self.counts = Counter({fate: 0 for fate in Fate})
        self.exit_code: int = Exit.DONE
        self._as_json = as_json
        self._advance = advance

    def tell(self, row: Row) -> None:
        """Take in one row."""
        self.counts[row.fate] += 1
        self.exit_code = max(self.exit_code, row.exit_code)
        self._advance()
        if self._as_json:
            write_json(_row_document(row))
        elif row.fate in (Fate.LOST, Fate.FAILED):
            write_line(_row_line(row))

    def summarise(self) -> None:
        """Say how many items had which fate."""
        counts = {fate.value: count for fate, count in self.counts.items()}
        if self._as_json:
            write_json({"summary": counts})
        else:
            write_line(", ".join(f"{count} {fate}" for fate, count in counts.items()))


def import_command(
    source: Source,
    prefix: Under,
    form: Format = None,
    note: Note = "",
    endpoints: o.EndpointsText = o.DEFAULT_ENDPOINTS,
    timeout: BatchTimeout = None,
    as_json: o.Json = False,
) -> int:
    """Freeze every file below DIR, or every entry of FILE, under PREFIX.

    DIR: a file's path below it is its key, its exact bytes are the value; links are not followed.
    FILE: tables become path segments; of a string its content is frozen, of any other scalar the
    text as it is written in the file; a list becomes one value in JSON. A null, an empty table, and
    a list with a scalar that JSON writes differently (0xff, yes) are errors. It can be stopped and
    repeated at any time: what is frozen to the same value counts as the same. Exit code: the
    highest that any key has.
    """
    call = o.Call.of(endpoints, timeout or IMPORT_TIMEOUT, as_json)
    with about(prefix):
        under = parse_prefix(prefix)
    items = read_source(source, under, form)

    async def ask(registry: Registry) -> None:
        await freeze_all(registry, items, note, call.seconds, tally.tell)

    with _progress(len(items)) as advance:
        tally = Tally(as_json, advance)
        try:
            with about("import", "run it again to go on where it stopped"):
                with_registry(call, ask)
        finally:
            tally.summarise()
    return tally.exit_code


def read_source(source: Path, prefix: str, form: str | None) -> list[Item]:
    """The items of a folder or a settings file, in order of key."""
    with reading(str(source)):
        source.stat()
    if source.is_dir():
        return folder_items(source, prefix)
    with about(str(source), "correct the file, or name its format with --format"):
        read = FORMATS[_format(source, form)]
        try:
            text = read_file(str(source)).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadRequest(f"not UTF-8: {error}") from error
        return flatten(prefix, read(text))


def _format(source: Path, form: str | None) -> str:
    by_name = "env" if source.name.startswith(".env") else SUFFIXES.get(source.suffix.lower(), "")
    chosen = form or by_name
    if chosen not in FORMATS:
        raise BadRequest(f"{chosen or 'its format'} is none of {', '.join(FORMATS)}")
    return chosen


@contextmanager
def _progress(total: int) -> Generator[Callable[[], None]]:
    """A progress bar on standard error while somebody looks at it; yields what moves it on."""
    from rich.console import Console
    from rich.progress import Progress

    watched = sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=not watched) as progress:
        task = progress.add_task("freezing", total=total)
        yield lambda: progress.advance(task)


def _row_line(row: Row) -> str:
    if row.decree is None:
        return f"failed  {safe_line(row.key)}: {safe_line(str(row.error), 1_000)}"
    who = f"claimed by {safe_line(row.decree.claimant)}, {when(row.decree.time_ms)}"
    return f"lost    {row.key} = {safe_line(row.decree.value)}  ({who})"


def _row_document(row: Row) -> dict[str, Any]:
    document: dict[str, Any] = {"key": row.key, "outcome": row.fate.value}
    if row.fate is Fate.LOST and row.decree is not None:
        document["decree"] = decree_document(row.decree)
    if row.error is not None:
        document["error"] = {
            "kind": type(row.error).__name__,
            "code": row.error.code,
            "definite": row.error.definite,
            "exit_code": int(row.error.exit_code),
            "message": str(row.error),
        }
    return document
