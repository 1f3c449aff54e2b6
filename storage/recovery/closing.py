"""Closing the old directories before a node can open the new ones, in an order that survives crashes.

The steps of a recovery, each durable before the next one begins:

1. the new directories are filled. They are marked ``restoring``: a crash leaves what is filled again;
2. all of them are marked ``restored``, one by one;
3. every old directory is marked ``recovered``, with both formations. Its node is refused from now on;
4. the new ones are marked ``ready``, one by one.

A crash after step 2 leaves a whole formation that only wants steps 3 and 4. The same command finds it
(`filled_before`) and goes on. No new formation is made then, so no token is given twice.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from ...registry.errors import BadRequest, DecreedError
from ...registry.wire.codec import encode
from ..marker import DirectoryState, read_marker
from .old_directory import OldDirectory, old_directory
from .plan import RecoveredFormation, RecoverPlan

_FILLED = (DirectoryState.RESTORED, DirectoryState.READY)


def source_id(directories: Sequence[OldDirectory]) -> bytes:
    """Names what is recovered: a hash of the disks that are read, and how far each has come."""
    disks = sorted((each.identity.disk_id, each.feed_end) for each in directories)
    return hashlib.blake2b(encode(("recovered", disks)), digest_size=16).digest()


def still_open(plan: RecoverPlan, directories: Sequence[OldDirectory]) -> Mapping[Path, str]:
    """Why some of the directories may decide beside the new formation, by their paths."""
    each = {directory.path: _why_open(plan, directory) for directory in directories}
    return {path: why for path, why in each.items() if why}


def check_closable(plan: RecoverPlan, directories: Sequence[OldDirectory]) -> None:
    """Check that the directories can be closed, before anything is written.

    Raises:
        BadRequest: if one cannot be marked, or was recovered before; says what to do.
    """
    for each in directories:
        if not plan.read_only and not each.may_be_closed:
            raise BadRequest(
                f"{each.path} cannot be written, so it cannot be marked as recovered, and its node"
                " could start again: make it writable; or, if it is a copy, say --read-only and see to"
                " it that the node of the original never starts"
            )
        if each.recovered_into and not plan.again and not is_filled(plan):
            raise BadRequest(
                f"{each.path} was recovered into formation {each.recovered_into.hex()} before: start"
                " the nodes of that one. If it was never started, and its directories are gone, say"
                " --again"
            )


def is_filled(plan: RecoverPlan) -> bool:
    """Whether all new directories are filled already, and not all of them may be opened yet."""
    try:
        found = [read_marker(path) for path in plan.data.values()]
    except (DecreedError, OSError):
        return False
    states = {each.state for each in found if each is not None}
    return None not in found and DirectoryState.RESTORED in states and states.issubset(_FILLED)


def filled_before(
    plan: RecoverPlan, directories: Sequence[OldDirectory], source: bytes
) -> RecoveredFormation | None:
    """The formation that an earlier run has made of the same directories, and left unfinished.

    Args:
        plan: what is read, and what is made of it.
        directories: the old ones.
        source: the `source_id` of the old ones.

    Raises:
        DecreedError: if the new directories are those of another recovery, or cannot be read.
    """
    if not plan.data or not is_filled(plan):
        return None
    with ExitStack() as opened:
        new = {
            node: opened.enter_context(old_directory(path, restored=True))
            for node, path in plan.data.items()
        }
        made = next(iter(new.values())).restoration
        formations = {each.identity.formation for each in new.values()}
        alike = [
            each.node == node and each.identity.digest == plan.config.digest() and each.is_sound
            for node, each in new.items()
        ]
        is_ours = made is not None and (made.snapshot, made.formation) == (
            source,
            directories[0].formation,
        )
        if made is None or not is_ours or len(formations) > 1 or not all(alike):
            where = ", ".join(map(str, plan.data.values()))
            raise BadRequest(
                f"{where} were filled from other directories, or for another config, and that was not"
                " completed: remove them, or name what they were filled from"
            )
        locks = sum(len(each.floors) for each in list(new.values())[:1])
        return RecoveredFormation(formations.pop() or b"", made, locks)


def _why_open(plan: RecoverPlan, directory: OldDirectory) -> str:
    if directory.recovered_into and not plan.again and not is_filled(plan):
        return f"was recovered into formation {directory.recovered_into.hex()} before"
    if plan.read_only:
        return "is not marked as recovered (--read-only)"
    return "" if directory.may_be_closed else "cannot be marked as recovered: it cannot be written"
