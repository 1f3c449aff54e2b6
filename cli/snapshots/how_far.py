"""How far a recovery has come when it ends early: what was made, what was changed, and how to go on.

It looks at the directories themselves, so what it says is true whatever step was under way.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ...registry.errors import DecreedError
from ...storage.marker import DirectoryState, Marker, read_marker
from ...storage.recovery.closing import is_filled
from ...storage.recovery.plan import RecoverPlan
from ..shell.failures import CommandFailed
from ..shell.output import write_error

NOTHING = "nothing was made"
AGAIN = "give the same command again"
COMPLETE = "the recovery is complete: start every node with its new directory"


@contextmanager
def telling_how_far(plan: RecoverPlan) -> Generator[None]:
    """Say after an interrupt or an error what was done, and how to go on.

    Raises:
        CommandFailed: for an error in the block; its way out says so.
    """
    before = _markers(plan)
    was_usable = _is_usable(plan)
    try:
        yield
    except KeyboardInterrupt:
        how_far = COMPLETE if _is_usable(plan) and not was_usable else _how_far(plan, before)
        write_error(f"decreed: recover: interrupted; {how_far}")
        raise
    except CommandFailed as failure:
        if _is_begun(plan) or _marked(plan, before):
            failure.way_out = _how_far(plan, before)
        raise
    except DecreedError as error:
        is_begun = _is_begun(plan) or _marked(plan, before)
        way_out = _how_far(plan, before) if is_begun else _nothing(plan, before)
        raise CommandFailed(error, "recover", way_out) from error


def _how_far(plan: RecoverPlan, before: Mapping[Path, Marker | None]) -> str:
    if not plan.data:
        return "it only read, and nothing was changed"
    marked = _marked(plan, before)
    if marked:
        return (
            f"{', '.join(map(str, marked))} marked as recovered, and as before otherwise; no node may"
            f" open the new directories yet: {AGAIN}, and it goes on"
        )
    old = "nothing of the old directories was changed"
    if is_filled(plan):
        return f"the new directories are filled, and {old}: {AGAIN}, and it goes on"
    if _is_begun(plan):
        return f"the new directories are not complete, and {old}: {AGAIN}, which fills them again"
    return f"{NOTHING}, and {old}: {AGAIN} to recover"


def _nothing(plan: RecoverPlan, before: Mapping[Path, Marker | None]) -> str:
    """Nothing was made by this run; an earlier one may have made all of it."""
    earlier = [
        str(path)
        for path, marker in before.items()
        if marker is not None and marker.state is DirectoryState.RECOVERED
    ]
    if earlier and _is_usable(plan):
        return (
            f"{NOTHING} now: {', '.join(earlier)} recovered before; if that made these directories, it"
            " is complete, so start every node"
        )
    return NOTHING


def _is_begun(plan: RecoverPlan) -> bool:
    """Whether a new directory is being filled, or is filled; that of a node is neither."""
    states = (DirectoryState.RESTORING, DirectoryState.RESTORED)
    markers = map(_marker, plan.data.values())
    return any(marker is not None and marker.state in states for marker in markers)


def _is_usable(plan: RecoverPlan) -> bool:
    """Whether nodes may open all new directories."""
    markers = [_marker(path) for path in plan.data.values()]
    return bool(markers) and all(
        marker is not None and marker.state is DirectoryState.READY for marker in markers
    )


def _marked(plan: RecoverPlan, before: Mapping[Path, Marker | None]) -> list[Path]:
    """The old directories whose markers have changed."""
    return [path for path, marker in _markers(plan).items() if marker != before[path]]


def _markers(plan: RecoverPlan) -> Mapping[Path, Marker | None]:
    return {path: _marker(path) for path in plan.sources}


def _marker(path: Path) -> Marker | None:
    try:
        return read_marker(path)
    except (DecreedError, OSError):  # it is reported where it is opened
        return None
