"""What calls return: `Claimed`, `Watched` and `NodeDown`, as frozen values."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ...registry.documents import Documented, bytes_field, shown
from ...registry.errors import ClaimIdReused, DecreedError
from ...registry.keys import series_and_slot
from ...registry.types import Claim, Decree, NodeId, Outcome, outcome


class Claimed(Struct, Documented, frozen=True):
    """How a claim ended. Losing is a result, not an error.

    Args:
        outcome: `Outcome.WON`, `Outcome.SAME` (another claim froze the same value) or
            `Outcome.LOST`.
        decree: what the key is frozen to, even if another claim won.
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

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, which can be written as JSON.

        Returns:
            ``outcome`` (``won``, ``same``, ``lost``), ``claim_id`` (or ``claim_id_base64``), and
            ``decree`` as `Decree.to_dict` gives it; ``decreed claim --json`` prints the same.
        """
        return {
            "outcome": self.outcome.value,
            **bytes_field("claim_id", self.claim_id),
            "decree": self.decree.to_dict(),
        }

    @classmethod
    def document_fields(cls) -> Mapping[str, Any]:
        """What every document has."""
        return {"outcome": {"type": "str"}, "decree": {"type": "dict"}}

    def __repr__(self) -> str:
        return f"<Claimed {self.outcome.value}: {self.decree!r}>"


class Watched(Struct, Documented, frozen=True):
    """One decree seen by a watch.

    Args:
        decree: what was learned.
        position: where to go on, for ``watch(since=…)``; nothing after it is missed.
    """

    decree: Decree
    position: str

    def to_dict(self) -> dict[str, Any]:
        """The event as plain data, which can be written as JSON.

        Returns:
            ``position``, and ``decree`` as `Decree.to_dict` gives it; ``decreed watch --json`` prints
            the same.
        """
        return {"position": self.position, "decree": self.decree.to_dict()}

    @classmethod
    def document_fields(cls) -> Mapping[str, Any]:
        """What every document has."""
        return {"position": {"type": "str"}, "decree": {"type": "dict"}}

    def __repr__(self) -> str:
        return f"<Watched at {shown(self.position)}: {self.decree!r}>"


class NodeDown(Struct, frozen=True):
    """A member that did not report its status.

    Args:
        node: the member's name.
        address: its configured address, as ``host:port``.
        error: why there is no report.
    """

    node: NodeId
    address: str
    error: DecreedError


def shown_id(claim_id: bytes) -> str:
    """A claim id for people: as text if it is printable, otherwise in hex."""
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
