"""What a key has that cannot be served: its record is damaged, it is withheld, or forgotten."""

from typing import ClassVar, Self

from . import errors
from .keys import series_and_slot, slot_key
from .paxos.instance import Instance
from .types import Counter, Key, Value
from .wire.requests import PathText


class Unserved(Value, frozen=True):
    """Stands in for an instance that this node cannot answer about, least of all as an acceptor.

    Args:
        message: the reason, for people to read.
    """

    error: ClassVar[type[errors.DecreedError]] = errors.Refused

    message: str


class DamagedInstance(Unserved, frozen=True):
    """The instance's record cannot be read; `message` names key and file."""

    error = errors.Damaged


class WithheldInstance(DamagedInstance, frozen=True):
    """The key is withheld since the node took `epoch` over, or lost its record; see `WithheldRecord`.

    Args:
        epoch, digest, in_feed: as in the record.
        held: what the node itself held for the key by then; None if it could not read that.
    """

    epoch: Counter
    held: Instance | None = None
    digest: bytes = b""
    in_feed: bool = False

    @classmethod
    def since(
        cls,
        epoch: int,
        what: str,
        held: Instance | None = None,
        digest: bytes = b"",
        *,
        in_feed: bool = False,
    ) -> Self:
        """The key that `what` describes, withheld since `epoch` was taken over, or known."""
        why = "nobody could show what was accepted for it before"
        if in_feed:
            why = "its decree was learned here, and the disk has lost it"
        elif digest:
            why = "it is decided, and nobody could show the decree"
        return cls(
            f"{what} is withheld since epoch {epoch}: {why}, so this node says nothing about it until"
            " it learns that",
            epoch,
            held,
            digest,
            in_feed,
        )


class ForgottenInstance(Unserved, frozen=True):
    """The slots of `series` below `floor` are forgotten; the one at `floor` is decided somewhere.

    A node that has forgotten an instance never acts as its acceptor again: an empty instance would let
    another value be chosen. For such an instance the node counts as down.
    """

    error = errors.Forgotten

    series: PathText
    floor: Counter

    @classmethod
    def below(cls, series: str, floor: int) -> Self:
        """All slots of `series` before `floor`."""
        return cls(
            f"{series!r} is forgotten below slot {floor}; later ones are kept", series, floor
        )

    @property
    def last(self) -> Key:
        """The last slot that is forgotten; with `FLOOR_DIGEST` it tells the floor in a feed."""
        return slot_key(self.series, self.floor - 1)

    def covers(self, key: Key) -> bool:
        """Whether `key` is one of the slots that are forgotten."""
        series, slot = series_and_slot(key)
        return series == self.series and slot is not None and slot < self.floor


def is_unreadable(found: Instance | Unserved) -> bool:
    """Whether a decree may be here that cannot be told: its record is damaged, or there are two."""
    if isinstance(found, Instance):
        return found.disputed is not None
    return isinstance(found, DamagedInstance) and not isinstance(found, WithheldInstance)
