"""The output of an import: a line or a document for each relevant row, a summary, an exit code."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ...registry.documents import time_text
from ...registry.errors import Exit
from ..shell.documents import decree_line
from ..shell.output import write_json, write_line
from ..shell.shown import one_line, show
from .batches import Fate, Row

MOST_LINES = 100
"""How many failed or skipped keys are shown, each on a line; JSON has all of them."""

_FROZEN = (Fate.FROZEN, Fate.SAME, Fate.LOST, Fate.FAILED)
_FORESEEN = (Fate.NEW, Fate.SAME, Fate.LOST, Fate.FAILED)


class Tally:
    """Counts the rows, prints the relevant ones, and has the exit code: the highest of them.

    Args:
        total: how many rows there are.
        as_json: whether to print JSON.
        dry_run: whether the rows are expected fates.
    """

    def __init__(self, total: int, as_json: bool, dry_run: bool) -> None:
        self.counts = Counter({fate: 0 for fate in Fate})
        self.exit_code: int = Exit.DONE
        self.advance: Callable[[], object] = lambda: None
        self._total = total
        self._as_json = as_json
        self._dry_run = dry_run
        self._unshown = 0

    def tell(self, row: Row) -> None:
        """Add one row."""
        self.counts[row.fate] += 1
        self.exit_code = max(self.exit_code, row.exit_code)
        self.advance()
        if self._as_json:
            write_json(_document(row))
        elif self._dry_run or _is_told(row):
            self._show(row)

    @property
    def unsettled(self) -> int:
        """How many rows were not added yet."""
        return self._total - self.counts.total()

    def summarise(self) -> None:
        """Print how many items had which fate."""
        if self._as_json:
            write_json({"summary": self._summary()})
            return
        if self._unshown:
            write_line(f"… and {self._unshown} more, which --json shows")
        write_line(", ".join(f"{count} {name}" for name, count in self._shown()))

    def _show(self, row: Row) -> None:
        """Print a line for the row; failed and skipped ones up to `MOST_LINES`."""
        bounded = row.fate in (Fate.FAILED, Fate.SKIPPED)
        if bounded and self.counts[row.fate] > MOST_LINES:
            self._unshown += 1
        else:
            write_line(_line(row))

    def _summary(self) -> dict[str, int]:
        return {fate.value: self.counts[fate] for fate in Fate} | {"unsettled": self.unsettled}

    def _shown(self) -> Sequence[tuple[str, int]]:
        always = [fate.value for fate in (_FORESEEN if self._dry_run else _FROZEN)]
        summary = self._summary()
        extra = [name for name in ("skipped", "unsettled") if summary[name]]
        return [(name, summary[name]) for name in (*always, *extra)]


def _is_told(row: Row) -> bool:
    return row.fate in (Fate.LOST, Fate.FAILED) or (row.fate is Fate.SKIPPED and row.bad_name)


def _line(row: Row) -> str:
    key = one_line(row.key, 1_000)
    if row.fate is Fate.LOST and row.decree is not None:
        who = f"claimed by {show(row.decree.claimant)}, {time_text(row.decree.time_ms)}"
        return f"lost    {decree_line(row.decree)}  ({who})"
    why = str(row.error) if row.error is not None else row.why
    return f"{row.fate.value:<7} {key}" + (f": {one_line(why, 1_000)}" if why else "")


def _document(row: Row) -> dict[str, Any]:
    document: dict[str, Any] = {"key": row.key, "outcome": row.fate.value}
    if row.fate is Fate.LOST and row.decree is not None:
        document["decree"] = row.decree.to_dict()
    if row.why:
        document["why"] = row.why
    if row.error is not None:
        document["error"] = {
            "kind": type(row.error).__name__,
            "code": row.error.code,
            "definite": row.error.definite,
            "exit_code": int(row.error.exit_code),
            "message": str(row.error),
        }
    return document
