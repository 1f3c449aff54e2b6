"""What is shown of a recovery: as lines for people, and as the JSON document that is kept."""

from collections.abc import Iterator, Sequence
from typing import Any

from ...registry.documents import bytes_field, time_text
from ...registry.types import NodeId
from ...storage.recovery.comparing import Difference
from ...storage.recovery.old_directory import OldDirectory
from ...storage.recovery.plan import RecoveredFormation
from ...storage.recovery.recovering import Findings, Uncertain
from ...storage.recovery.union import Conflict
from ...storage.recovery.voters import is_of_voter
from ..shell.shown import counted
from ..shell.shown import show as shown
from .facts import summary

MAX_SHOWN = 100
"""How many keys of a kind are printed; the file has all of them."""


def lines(directories: Sequence[OldDirectory], found: Findings) -> Iterator[str]:
    """What was found, for people."""
    for each in directories:
        yield from _of_directory(each, found)
    yield f"found: {summary(found.contents)}"
    yield from _of_voters(directories, found)
    yield from _list("uncertain", [_uncertain_line(each) for each in found.uncertain])
    yield from _list("in conflict", [_conflict_line(each) for each in found.conflicts])
    lost = [(path, key) for path, keys in found.lost.items() for key in keys]
    yield from _list("unreadable", [f"{shown(key)}, decided, in {path}" for path, key in lost])


def document(directories: Sequence[OldDirectory], found: Findings) -> dict[str, Any]:
    """What was found, as plain data."""
    voters = found.voters
    return {
        "cluster_id": directories[0].identity.cluster_id,
        "old_formation": directories[0].formation.hex(),
        "complete": found.complete,
        "epoch": voters.epoch.number if voters.epoch is not None else None,
        "voters": list(voters.epoch.nodes) if voters.epoch is not None else None,
        "not_heard": list(voters.gone),
        "read": [_directory_document(each, found) for each in directories],
        "decrees": found.contents.decrees,
        "terms": found.contents.terms,
        "uncertain": [_uncertain_document(each) for each in found.uncertain],
        "conflicts": [_conflict_document(each) for each in found.conflicts],
        "unreadable": {str(path): list(keys) for path, keys in found.lost.items()},
    }


def made_document(made: RecoveredFormation) -> dict[str, Any]:
    """What was made, as plain data."""
    return {
        "formation": made.formation.hex(),
        "nonce": made.restoration.nonce.hex(),
        "recovered": time_text(made.restoration.time_ms),
        "tokens_above": made.restoration.floor,
        "ttl_ms": made.restoration.ttl_ms,
        "locks": made.locks,
    }


def difference_line(found: Difference) -> str:
    """A difference, for people."""
    by = f"claimed by {shown(found.newer.claimant)} at {time_text(found.newer.time_ms)}"
    return f"{found.kind.value:8} {shown(found.newer.key)}, {by}"


def difference_document(found: Difference) -> dict[str, Any]:
    """A difference, as plain data."""
    return {
        "difference": found.kind.value.replace(" ", "_"),
        "newer": found.newer.to_dict(),
        "older": found.older.to_dict() if found.older is not None else None,
    }


def missing(directories: Sequence[OldDirectory], found: Findings) -> list[NodeId]:
    """The voters of which no directory is read."""
    epoch = found.voters.epoch
    read = {each.node for each in directories if epoch is None or is_of_voter(each, epoch)}
    return [node for node in found.voters.gone if node not in read]


def _of_directory(directory: OldDirectory, found: Findings) -> Iterator[str]:
    identity = directory.identity
    what = f"{identity.node}, start {identity.incarnation}, feed up to {directory.feed_end}"
    old = found.old_copies.get(directory.path)
    state = "damaged" if not directory.is_sound else "an old copy" if old else "sound"
    yield f"read {directory.path}: {what}: {state}"
    if old:
        yield f"  {shown(old)}"
    damage = directory.damage
    for text in damage[:MAX_SHOWN]:
        yield f"  {shown(text)}"
    if damage[MAX_SHOWN:]:
        yield f"  and {len(damage) - MAX_SHOWN} more"


def _of_voters(directories: Sequence[OldDirectory], found: Findings) -> Iterator[str]:
    voters = found.voters
    if voters.epoch is None:
        yield "not complete: it is not known how many votes decided; what others decided may be lost"
        return
    heard, need = len(voters.heard), voters.epoch.seal
    said = f"{heard} of {len(voters.epoch.nodes)} voters are heard, {need} needed"
    if voters.complete and found.open:
        yield f"not certain to be complete: {said}, but not all that is read is closed"
        yield from (f"  {path} {why}" for path, why in found.open.items())
        yield "  what its node has decided since, or decides when it starts again, is missing"
        return
    if voters.complete:
        yield f"complete: {said}; nothing that was decided is missing"
        yield "  the recovery closes what it reads, so none of these nodes starts again"
        return
    gone = ", ".join(voters.gone)
    yield f"not complete: {said}; what was decided by votes of {gone} alone is lost"
    yield "  it cannot be listed, its claimants were told, and it may be decided otherwise now"
    yield from (f"  {path} {why}" for path, why in found.open.items())
    yield from _reached(directories, found)


def _reached(directories: Sequence[OldDirectory], found: Findings) -> Iterator[str]:
    """How much of what the missing ones knew is here at least."""
    for node in missing(directories, found):
        reached = [each.cursors[node].index for each in directories if node in each.cursors]
        yield f"  of {node}, everything is here up to entry {max(reached, default=0)} of its feed"


def _list(what: str, rows: Sequence[str]) -> Iterator[str]:
    if rows:
        yield f"{what}: {counted(len(rows), 'key')}"
    for row in rows[:MAX_SHOWN]:
        yield f"  {row}"
    if rows[MAX_SHOWN:]:
        yield f"  and {len(rows) - MAX_SHOWN} more"


def _uncertain_line(found: Uncertain) -> str:
    what = found.what
    holders = ", ".join(node for node, _ in what.holders)
    verdict = f"{found.verdict.value}, and is taken as decided"
    return f"{shown(what.decree.key)}: accepted in {what.ballot} at {holders}; it {verdict}"


def _uncertain_document(found: Uncertain) -> dict[str, Any]:
    what = found.what
    return {
        "key": what.decree.key,
        "claimant": what.decree.claimant,
        **bytes_field("claim_id", what.decree.claim_id),
        "verdict": found.verdict.name.lower(),
        "ballot": str(what.ballot),
        "accepted_by": {node: str(ballot) for node, ballot in what.holders},
        "others": {node: str(ballot) for node, ballot in what.others},
    }


def _conflict_line(found: Conflict) -> str:
    nodes = ", ".join(dict.fromkeys(node for node, _ in found.decrees))
    return f"{shown(found.key)}: different decrees at {nodes}"


def _conflict_document(found: Conflict) -> dict[str, Any]:
    decrees = [{"node": node, "decree": decree.to_dict()} for node, decree in found.decrees]
    return {"key": found.key, "decrees": decrees}


def _directory_document(directory: OldDirectory, found: Findings) -> dict[str, Any]:
    identity = directory.identity
    return {
        "directory": str(directory.path),
        "node": identity.node,
        "start": identity.incarnation,
        "feed_end": directory.feed_end,
        "known_epoch": directory.seat.known,
        "ready_epoch": directory.seat.ready,
        "cursors": {node: cursor.index for node, cursor in directory.cursors.items()},
        "old_copy": found.old_copies.get(directory.path),
        "still_open": found.open.get(directory.path),
        "damage": directory.damage,
    }
