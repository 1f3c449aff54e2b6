"""Comparing: what a newer directory or snapshot has that an older one, or what was made of it, lacks.

Both are read in order of key, side by side, in bounded memory.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from itertools import chain
from pathlib import Path

from msgspec import Struct

from ...registry.errors import BadRequest, Damaged, Disputed
from ...registry.keys import sort_key
from ...registry.locks.terms import TERMS, is_term, lock_and_term, lock_of
from ...registry.types import Decree, Value
from ..snapshot.chain import SnapshotChain
from .old_directory import OldDirectory, old_directory
from .union import Union


class Unlike(Enum):
    """How the older one differs from the newer one at a key."""

    LACKS = "lacks"
    DIFFERS = "differs"
    MAY_LACK = "may lack"


class Difference(Value, frozen=True):
    """A key that is not in both alike.

    Args:
        kind: what is different. `MAY_LACK`: the newer one has accepted the decree, and has not learned
            whether it was chosen.
        newer: the decree in the newer one.
        older: the other decree in the older one; None if it has none, or it is an older term.
    """

    kind: Unlike
    newer: Decree
    older: Decree | None = None


class Compared(Struct, frozen=True):
    """One of the two: a directory, or a snapshot.

    Args:
        name: of it, for messages.
        cluster_id: of which cluster it is.
        decrees: yields all decrees in order of key, each with whether it is known to be decided.
        directory: the directory; None for a snapshot.
    """

    name: str
    cluster_id: str
    decrees: Iterator[tuple[Decree, bool]]
    directory: OldDirectory | None = None

    @property
    def damage(self) -> list[str]:
        """What of it cannot be read; known when all decrees were yielded."""
        return self.directory.damage if self.directory is not None else []

    def floors(self) -> Mapping[str, int]:
        """The locks with terms that were forgotten, or restored: one below counts as known."""
        found = self.directory.floors if self.directory is not None else {}
        return {lock_of(path): floor for path, floor in found.items() if path.startswith(TERMS)}

    @property
    def least(self) -> int:
        """The term at which all locks go on that it does not know."""
        made = self.directory.restoration if self.directory is not None else None
        return made.floor if made is not None else 0


@contextmanager
def opened(path: Path) -> Generator[Compared]:
    """Open a directory that no node uses, or a full snapshot, in a ``with`` block.

    Raises:
        DecreedError: if it is neither, is in use, or cannot be read.
        OSError: if the file cannot be read.
    """
    if path.is_dir():
        with old_directory(path) as found:
            yield Compared(str(path), found.identity.cluster_id, _of_directory(found), found)
        return
    with SnapshotChain([path]) as snapshot:
        decrees = ((decree, True) for decree in snapshot.decrees())
        yield Compared(str(path), snapshot.head.cluster_id, decrees)


def compare(older: Compared, newer: Compared) -> Iterator[Difference]:
    """What `newer` has and `older` lacks, in order of key; the latest term stands for a lock.

    Raises:
        BadRequest: if they are of two clusters.
        DecreedError: if one of them cannot be read, or contradicts itself.
    """
    if older.cluster_id != newer.cluster_id:
        raise BadRequest(
            f"{older.name} is of cluster {older.cluster_id!r}, and {newer.name} of"
            f" {newer.cluster_id!r}: there is nothing to compare"
        )
    old_terms, old = _terms_and_rest(older.decrees)
    new_terms, new = _terms_and_rest(newer.decrees)
    floors = older.floors()
    for lock, (decree, sure) in new_terms.items():
        before, _ = old_terms.get(lock, (None, True))
        known = max(floors.get(lock, 0), older.least, _number(before))
        if _number(decree) > known:
            yield Difference(Unlike.LACKS if sure else Unlike.MAY_LACK, decree)
    yield from _rest(old, new)


def _rest(
    old: Iterator[tuple[Decree, bool]], new: Iterator[tuple[Decree, bool]]
) -> Iterator[Difference]:
    held = next(old, None)
    for decree, sure in new:
        place = sort_key(decree.key)
        while held is not None and sort_key(held[0].key) < place:
            held = next(old, None)
        if held is None or held[0].key != decree.key or not held[1]:
            yield Difference(Unlike.LACKS if sure else Unlike.MAY_LACK, decree)
        elif sure and held[0] != decree:
            yield Difference(Unlike.DIFFERS, decree, held[0])


def _terms_and_rest(
    decrees: Iterator[tuple[Decree, bool]],
) -> tuple[dict[str, tuple[Decree, bool]], Iterator[tuple[Decree, bool]]]:
    """The latest term of each lock, which come first, and an iterator of everything else."""
    terms: dict[str, tuple[Decree, bool]] = {}
    for decree, sure in decrees:
        if not is_term(decree.key):
            return terms, chain([(decree, sure)], decrees)
        terms[lock_and_term(decree.key)[0]] = decree, sure
    return terms, decrees


def _of_directory(directory: OldDirectory) -> Iterator[tuple[Decree, bool]]:
    union = Union([directory])
    for decree in union.decrees():
        half_done = bool(union.half_done) and union.half_done[-1].decree is decree
        yield decree, not half_done
    if union.conflicts:
        raise Disputed(f"{directory.path} has two decrees for {union.conflicts[0].key!r}")


def _number(decree: Decree | None) -> int:
    return lock_and_term(decree.key)[1] if decree is not None else 0


def check_sound(*each: Compared) -> None:
    """Check that both were read whole, when all differences were yielded.

    Raises:
        Damaged: if one has damage, so that differences may be missing, or be none; names it.
    """
    for one in each:
        if one.damage:
            raise Damaged(f"{one.name} is damaged, so this is not all: {'; '.join(one.damage[:5])}")
