"""Quorums (R07): the acceptors, and how many of them each phase needs.

By default a quorum is a majority. Flexible quorums (Howard, Malkhi and Spiegelman, 2016) may make
one phase's quorum smaller and the other's larger, as long as every prepare quorum meets every
accept quorum: ``prepare + accept > members``. Two accept quorums need not meet, since each of them
follows a prepare quorum that meets the other.
"""

from collections.abc import Collection

from ..types import NodeText, Value


def majority(size: int) -> int:
    """How many of `size` acceptors are a majority."""
    return size // 2 + 1


class Quorums(Value, frozen=True):
    """The acceptors and the number of them that a phase needs.

    Args:
        members: all acceptors.
        prepare: how many promises phase 1 needs, and how many answers a read needs.
        accept: how many acceptances choose a value.

    Raises:
        ValueError: if a size is impossible, or a prepare and an accept quorum might not meet.
    """

    members: tuple[NodeText, ...]
    prepare: int
    accept: int

    def __post_init__(self) -> None:
        count = len(set(self.members))
        if count != len(self.members) or not count:
            raise ValueError("members must be distinct, and at least one")
        for name, size in (("prepare", self.prepare), ("accept", self.accept)):
            if not 1 <= size <= count:
                raise ValueError(f"{name} = {size} is impossible with {count} members")
        if self.prepare + self.accept <= count:
            raise ValueError(
                f"prepare = {self.prepare} and accept = {self.accept} of {count} members need not"
                f" meet: their sum must exceed {count}"
            )

    @classmethod
    def majority(cls, members: tuple[NodeText, ...]) -> "Quorums":
        """Majorities for both phases."""
        size = majority(len(members))
        return cls(members, size, size)

    def prepared(self, voters: Collection[str]) -> bool:
        """Whether the distinct members among `voters` are a prepare quorum (R15)."""
        return len(set(voters).intersection(self.members)) >= self.prepare

    def accepted(self, voters: Collection[str]) -> bool:
        """Whether the distinct members among `voters` are an accept quorum (R20)."""
        return len(set(voters).intersection(self.members)) >= self.accept
