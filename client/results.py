"""What calls return: `Claimed`, `Watched` and `NodeDown`, as frozen values."""

from dataclasses import dataclass

from ..registry.errors import ClaimIdReused, DecreedError
from ..registry.keys import series_and_slot
from ..registry.types import Claim, Decree, NodeId, Outcome, outcome


@dataclass(frozen=True, slots=True)
class Claimed:
    """How a claim ended. Losing is a result, not an error.

    Args:
        outcome: `Outcome.WON`, `Outcome.SAME` (another claim froze the same value) or
            `Outcome.LOST`.
        decree: what the key is frozen to, whoever won.
        claim_id: the id of the claim; repeating it with the same content is safe.
    """

    outcome: Outcome
    decree: Decree
    claim_id: bytes

    @property
    def won(self) -> bool:
        """Whether the decree is this claim's own."""
        return self.outcome is Outcome.WON

    @property
    def slot(self) -> int | None:
        """The slot of the decree in its series, or None when its key is no slot."""
        return series_and_slot(self.decree.key)[1]


@dataclass(frozen=True, slots=True)
class Watched:
    """One decree seen by a watch.

    Args:
        decree: what was learned.
        position: where to go on, for ``watch(since=…)``; nothing behind it is missed.
    """

    decree: Decree
    position: str


@dataclass(frozen=True, slots=True)
class NodeDown:
    """A member that did not report its status.

    Args:
        node: the member's name.
        address: where it should be, as ``host:port``.
        error: why there is no report.
    """

    node: NodeId
    address: str
    error: DecreedError


def shown_id(claim_id: bytes) -> str:
    """A claim id for people: as the text that it was given as, or in hex."""
    try:
        text = claim_id.decode()
    except UnicodeDecodeError:
        return claim_id.hex()
    return text if text.isprintable() else claim_id.hex()


def settled(claim: Claim, decree: Decree) -> Claimed:
    """What `decree` means for `claim`.

    Raises:
        ClaimIdReused: if the decree has the claim's id but other content.
    """
    how = outcome(claim, decree)
    if how is Outcome.ID_REUSED:
        raise ClaimIdReused(
            f"{decree.key!r} is frozen by the claim id {shown_id(claim.claim_id)}, but with another "
            "value, content type, claimant or note"
        )
    return Claimed(how, decree, claim.claim_id)
