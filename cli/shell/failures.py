"""The end of a failed command: one line that says what to do, or one JSON document, and an exit code.

The codes are those of `decreed.registry.errors.Exit`, and the shell's own 130 (interrupted) and 141
(the reader of our output has gone).
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ...registry.errors import BadRequest, DecreedError, Exit, SeriesGap
from .output import to_json, write_error
from .shown import one_line

INTERRUPTED = 130
OUTPUT_CLOSED = 141

SEE_HELP = "see 'decreed COMMAND --help'"
WAYS_OUT = {
    Exit.BAD_REQUEST: SEE_HELP,
    Exit.UNDECIDED: "claim it, or wait for it with 'decreed wait'",
    Exit.UNREACHABLE: "check --endpoints and the nodes, and ask again",
    Exit.UNKNOWN: "it may be chosen; ask again with the same --claim-id",
    Exit.HELD: "wait for it with --wait, or see 'decreed lock show NAME'",
    Exit.DENIED: "ask an administrator of the cluster for this right",
    Exit.OVER_QUOTA: "see what is used with 'decreed status'",
}


class CommandFailed(Exception):
    """A command ends with an error.

    Args:
        error: what happened.
        thing: what it happened to: a key, a file, an option; empty if the error's own text says it.
        way_out: what to do now; empty if the error's own text says it.
        facts: more fields for the JSON document.
    """

    def __init__(
        self, error: DecreedError, thing: str, way_out: str = "", **facts: str | None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.thing = thing
        self.way_out = way_out or _way_out(error)
        self.facts = facts
        self.names_itself = False
        """Whether the text of the error begins with the thing."""
        self.exit_code: int = error.exit_code
        """What the process exits with."""

    def name_command(self, name: str) -> None:
        """Name the failed command in the way out."""
        if name and self.way_out == SEE_HELP:
            self.way_out = f"see 'decreed {name} --help'"

    def report(self, as_json: bool) -> None:
        """Print it to standard error."""
        write_error(to_json(self._document()) if as_json else self._line())

    def _line(self) -> str:
        thing = "" if self.names_itself else self.thing
        return error_line(thing, str(self.error), self.way_out)

    def _document(self) -> dict[str, Any]:
        fields = {
            "kind": type(self.error).__name__,
            "code": self.error.code,
            "definite": self.error.definite,
            "exit_code": int(self.exit_code),
            "thing": self.thing,
            "message": str(self.error),
            "way_out": self.way_out,
        }
        return {"error": fields | self.facts}


def _way_out(error: DecreedError) -> str:
    if isinstance(error, SeriesGap):
        return "claim that slot first, or use 'decreed next'"
    return WAYS_OUT.get(error.exit_code, "")


def error_line(thing: str, cause: str, way_out: str = "") -> str:
    """``decreed: thing: cause; way out``, on one line; an empty thing is left out."""
    parts = [f"decreed: {f'{thing}: ' if thing else ''}{cause.strip() or 'no reason was given'}"]
    return one_line("; ".join([*parts, way_out] if way_out else parts).replace("\n", " "), 2_000)


@contextmanager
def about(thing: str, way_out: str = "", **facts: str | None) -> Generator[None]:
    """Errors raised inside are reported as being about `thing`."""
    try:
        yield
    except DecreedError as error:
        raise CommandFailed(error, thing, way_out, **facts) from error


@contextmanager
def about_file(path: str, way_out: str = "") -> Generator[None]:
    """As `about`, for a file that the text of an error may name itself, with what is beside it."""
    try:
        with about(path, way_out):
            yield
    except CommandFailed as failure:
        failure.names_itself = failure.names_itself or str(failure.error).startswith(path)
        raise


@contextmanager
def reading(path: str) -> Generator[None]:
    """Report failures of the file system in the block as bad input: exit code 2."""
    try:
        yield
    except OSError as error:
        cause = BadRequest(error.strerror or str(error))
        raise CommandFailed(cause, path or "''", "check the path and its permissions") from error
