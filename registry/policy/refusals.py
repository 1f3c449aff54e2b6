"""Whom a policy lets in no more: identities, and single certificates (S36).

An identity is refused by its text. A certificate is refused by one of its marks, which are its SHA-256
and its serial number. So a key that was stolen is refused by its mark, and its owner comes with a new
certificate under the same name.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from ..identity import Identity
from ..types import NodeId


class Refusals:
    """The list of one policy.

    Args:
        refused: its entries.
        policy: its number, for what is said.
    """

    def __init__(self, refused: Iterable[str], policy: int) -> None:
        self._refused = frozenset(refused)
        self._policy = policy

    def reason(self, identities: Iterable[Identity | None], marks: Iterable[str]) -> str:
        """Why somebody is not let in; empty if he is.

        Args:
            identities: who he is, and whom his certificate names.
            marks: of his certificate.
        """
        if not self._refused:
            return ""
        known = [each for each in identities if each is not None]
        named = [str(each) for each in known if str(each) in self._refused]
        if named:
            return f"{named[0]} is refused by policy {self._policy}"
        shown = [mark for mark in marks if mark in self._refused]
        whose = f" of {known[0]}" if known else ""
        return (
            f"the certificate{whose}, {shown[0]}, is refused by policy {self._policy}"
            if shown
            else ""
        )


NOBODY = Refusals((), 0)
"""While there is no policy nobody is refused."""


Marks = Sequence[str]
"""Of one certificate."""


def cut_off(
    refused: Collection[str],
    voters: Iterable[NodeId],
    shown: Mapping[NodeId, Sequence[Marks]],
) -> tuple[NodeId, ...]:
    """The voters that a policy would cut off from the others, as far as their certificates are known.

    Args:
        refused: the entries of the policy.
        voters: their names.
        shown: the certificates that each of them is known to use.
    """
    listed = set(refused)
    return tuple(
        voter
        for voter in voters
        if f"node/{voter}" in listed or _all_refused(listed, shown.get(voter, ()))
    )


def _all_refused(listed: set[str], certificates: Sequence[Marks]) -> bool:
    """Whether a node has certificates, and none of them is good any more."""
    return bool(certificates) and all(not listed.isdisjoint(marks) for marks in certificates)
