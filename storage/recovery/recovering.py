"""Recovering: a new formation from whatever data directories are left.

`decreed.storage.recovery.union` says what is taken, `voters` whether that is everything, and
`decreed.storage.formation` makes the new directories, with tokens above all that were given.

Invariants:

* Nothing is written before all of it was read once.
* What may be lost, and what is not certain, is told before, and kept in a file.
* A node can open what is made only after every directory that was read is closed for good, durably
  (`closing`). So those that were enough to decide never decide beside the new formation.
* "Nothing is missing" is said only of directories that are closed so: a copy that cannot be marked may
  have been used since, and may be used again.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path

from msgspec import Struct

from ...registry.documents import time_text
from ...registry.errors import BadRequest, Disputed, Refused
from ...registry.incarnations import NONCE_BYTES
from ...registry.locks.restored import Restoration
from ...registry.types import Key, Value
from ..formation import check_paths, new_formation, start_with
from ..identity import RandomBytes
from ..snapshot.contents import Contents
from .closing import check_closable, filled_before, is_filled, source_id, still_open
from .old_directory import OldDirectory, old_directory
from .plan import RecoveredFormation, RecoverPlan
from .union import Conflict, HalfDone, Union
from .voters import Voters, is_old_copy, voters_of

AT_ONCE = 1_000
Show = Callable[[int], None]


class Verdict(Enum):
    """What is known of a half-done decree; each of them is taken as decided."""

    CHOSEN = "was chosen"
    MAYBE = "may have been chosen"
    NOT_CHOSEN = "was not chosen"


class Uncertain(Value, frozen=True):
    """A half-done decree, and what is known of it."""

    what: HalfDone
    verdict: Verdict


class Findings(Struct, frozen=True):
    """What the old directories were found to hold.

    Args:
        contents: how much is taken.
        voters: whose votes decided, and whether all that was decided is here.
        uncertain: what is taken as decided, and may not have been.
        conflicts: the keys for which directories have different decrees.
        old_copies: why a directory is not its node's latest; by its path.
        open: why a directory may decide beside the new formation; by its path.
        lost: the keys that are damaged and that no other directory has, by the path of a directory.
        ttl_ms: the longest ttl of any term of a lock.
    """

    contents: Contents
    voters: Voters
    uncertain: Sequence[Uncertain]
    conflicts: Sequence[Conflict]
    old_copies: Mapping[Path, str]
    open: Mapping[Path, str]
    lost: Mapping[Path, Sequence[Key]]
    ttl_ms: int

    @property
    def complete(self) -> bool:
        """Whether nothing that was decided is missing, and none of it can be decided otherwise."""
        return self.voters.complete and not self.open


@contextmanager
def sources(plan: RecoverPlan) -> Generator[Sequence[OldDirectory]]:
    """Hold the old directories, and open them for reading, in a ``with`` block.

    Raises:
        DecreedError: if one is in use, cannot be read at all, or is of another cluster or formation.
    """
    if plan.data and not is_filled(plan):
        check_paths(plan.config, plan.data)
    if len({path.resolve() for path in plan.sources}) < len(plan.sources):
        raise BadRequest("a directory is named twice")
    with ExitStack() as opened:
        found = [opened.enter_context(old_directory(path)) for path in plan.sources]
        _check_kin(plan, found)
        yield found


def survey(
    plan: RecoverPlan, directories: Sequence[OldDirectory], show: Show = lambda count: None
) -> Findings:
    """Read everything, and say what it is; nothing is written.

    Args:
        plan: what is read.
        directories: from `sources`.
        show: called with how many decrees were read so far.
    """
    union = Union(directories)
    contents = Contents()
    for decree in union.decrees():
        contents = contents.plus((decree,))
        if not (contents.decrees + contents.terms) % AT_ONCE:
            show(contents.decrees + contents.terms)
    voters = voters_of(directories, plan.config, union.change)
    damaged = [each for each in directories if not each.is_sound]
    lost = {each.path: _lost(each, directories, voters) for each in damaged}
    copies = {each.path: is_old_copy(each, directories, voters.epoch) for each in directories}
    uncertain = [Uncertain(each, _verdict(each, voters)) for each in union.half_done]
    return Findings(
        contents,
        voters,
        uncertain,
        union.conflicts,
        {path: why for path, why in copies.items() if why},
        still_open(plan, directories),
        lost,
        union.ttl_ms,
    )


def recover(
    plan: RecoverPlan,
    directories: Sequence[OldDirectory],
    found: Findings,
    random_bytes: RandomBytes,
    show: Show = lambda count: None,
    keep: Callable[[RecoveredFormation], None] = lambda made: None,
) -> RecoveredFormation:
    """Make the directories of the new formation, and close the old ones.

    If an earlier run of the same plan was interrupted after all was written, this goes on there.

    Args:
        plan: what is read, and what is made of it.
        directories: from `sources`, in the same block as `survey`.
        found: what `survey` returned.
        random_bytes: makes disk ids and nonces.
        show: called with how many decrees are written so far.
        keep: called with what is made before a node can open it: keeps what may be lost.

    Raises:
        Disputed: if the directories contradict each other.
        DecreedError: if a new directory does not fit, or cannot be written.
    """
    if found.conflicts:
        raise _contradicted(found.conflicts)
    check_closable(plan, directories)
    made = filled_before(plan, directories, source_id(directories))
    if made is None:
        made = _fill(plan, directories, found, random_bytes, show, keep)
    if not plan.read_only:
        for each in directories:
            each.close_into(made.formation)
    start_with(plan.data.values())
    return made


def _fill(
    plan: RecoverPlan,
    directories: Sequence[OldDirectory],
    found: Findings,
    random_bytes: RandomBytes,
    show: Show,
    keep: Callable[[RecoveredFormation], None],
) -> RecoveredFormation:
    restoration = Restoration(
        random_bytes(NONCE_BYTES),
        plan.time_ms,
        max(plan.ttl_ms, found.ttl_ms),
        source_id(directories),
        directories[0].formation,
    )
    union = Union(directories)
    with new_formation(plan.config, plan.data, restoration, random_bytes) as formation:
        formation.fill(union.decrees(), show)
        if len(union.half_done) != len(found.uncertain) or union.conflicts:
            raise Refused("the directories were changed meanwhile: recover again")
        made = RecoveredFormation(formation.id, restoration, formation.locks)
        formation.complete()
        keep(made)
    return made


def _check_kin(plan: RecoverPlan, directories: Sequence[OldDirectory]) -> None:
    first = directories[0]
    for each in directories:
        theirs = each.identity
        if theirs.formation is None:
            raise BadRequest(
                f"{each.path} has decided nothing: its cluster had not formed; leave it out"
            )
        if theirs.cluster_id != first.identity.cluster_id:
            raise BadRequest(
                f"{each.path} is of cluster {theirs.cluster_id!r}, and {first.path} of"
                f" {first.identity.cluster_id!r}: recover each cluster by itself"
            )
        if theirs.formation != first.identity.formation:
            raise BadRequest(
                f"{each.path} is of formation {theirs.formation.hex()}, and {first.path} of"
                f" {first.formation.hex()}: name directories of one formation"
            )
        _check_clock(plan, each)
    if first.identity.cluster_id != plan.config.cluster_id and not plan.other_cluster:
        raise BadRequest(
            f"the directories are of cluster {first.identity.cluster_id!r}, and the config of"
            f" {plan.config.cluster_id!r}: take its own config, or say --other-cluster"
        )


def _check_clock(plan: RecoverPlan, directory: OldDirectory) -> None:
    made = directory.restoration
    if made is not None and made.time_ms >= plan.time_ms:
        raise BadRequest(
            f"the clock says {time_text(plan.time_ms)}, and {directory.path} was restored at"
            f" {time_text(made.time_ms)}: set the clock of this machine, since tokens go on above it"
        )


def _lost(
    directory: OldDirectory, directories: Sequence[OldDirectory], voters: Voters
) -> Sequence[Key]:
    """The keys that nobody else has learned; if all votes are heard, the highest one is the decree."""
    others = [each for each in directories if each is not directory]

    def is_known(key: Key) -> bool:
        each = (other.instance(key) for other in others)
        held = [found for found in each if found is not None]
        learned = any(found.learned is not None for found in held)
        return learned or (voters.complete and any(found.accepted is not None for found in held))

    return [key for key in directory.lost() if not is_known(key)]


def _verdict(half: HalfDone, voters: Voters) -> Verdict:
    """What the votes say. Only in epoch 0 is each acceptance a vote: later ones may be adopted (M07).

    If it was chosen, an accept quorum held it, or has accepted it again in a higher ballot since.
    """
    epoch = voters.epoch
    if epoch is None or epoch.number:
        return Verdict.MAYBE
    accept = epoch.quorums.accept
    votes = {node for node, ballot in half.holders if ballot == half.ballot}
    if epoch.quorums.accepted(votes):
        return Verdict.CHOSEN
    holders = {node for node, _ in half.holders}.union(voters.gone)
    return Verdict.MAYBE if len(holders) >= accept else Verdict.NOT_CHOSEN


def _contradicted(conflicts: Sequence[Conflict]) -> Disputed:
    first = conflicts[0]
    nodes = " and ".join(dict.fromkeys(node for node, _ in first.decrees))
    more = f", and {len(conflicts) - 1} more keys" if conflicts[1:] else ""
    return Disputed(
        f"the directories of {nodes} have different decrees for {first.key!r}{more}: one of them is"
        " corrupt, so leave it out"
    )
