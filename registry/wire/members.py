"""What operators ask and propose about the members of a cluster, and the answers.

A change names the epoch that its proposer saw (`ChangeRequest.base`), so of two changes at most one
follows an epoch. The node that is asked judges it first, and proposes it only if nothing speaks against
it (`docs/members.md`).
"""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from ..types import (
    MAX_CLAIMANT_CHARS,
    MAX_NOTE_CHARS,
    ClaimIdBytes,
    Counter,
    NodeText,
    Value,
)
from ..veiled import veiled
from .bounds import TimeoutMs
from .handshake import Address, ClusterId, IdBytes, Text

MAX_NAMED = 16
"""The most voters that a change may name; more than a cluster can have, so that a node can say so."""
MAX_SEATS = 1_024


class Voter(Value, frozen=True):
    """A voter of the epoch that a change begins.

    Args:
        node: its name.
        disk_id: of its directory: another one under this name has no vote (M01).
        address: where it is met; a hint.
    """

    node: NodeText
    disk_id: IdBytes
    address: Address


class ChangeRequest(Value, frozen=True, tag=65):
    """Have epoch `base` followed by an epoch of these voters.

    Answer: `Decreed`, with what follows `base`, which may be another's change; `ChangePlan` if nothing
    was proposed; or `Failed`. A repetition takes the same claim id, and may go to any node.

    Args:
        id: the request's id.
        timeout_ms: how long the node may try.
        base: the epoch that the proposer saw.
        voters: of the epoch after it, in the order of their names.
        prepare, accept: the sizes of its quorums.
        claimant: who wants it.
        claim_id: names this wish.
        note: free text, kept in the decree.
        propose: whether to propose it, if nothing speaks against it; otherwise it is only judged.
    """

    id: Counter
    timeout_ms: TimeoutMs
    base: Counter
    voters: Annotated[tuple[Voter, ...], Meta(min_length=1, max_length=MAX_NAMED)]
    prepare: Counter
    accept: Counter
    claimant: Annotated[str, Meta(max_length=MAX_CLAIMANT_CHARS)]
    claim_id: ClaimIdBytes
    note: Annotated[str, Meta(max_length=MAX_NOTE_CHARS)]
    propose: bool

    def __repr__(self) -> str:
        return veiled(self, "note")


class MembersRequest(Value, frozen=True, tag=66):
    """Ask a node who votes, who is ready and who is behind. Answer: `MembersReport` or `Failed`.

    The node asks the others first. Who does not answer it soon is reported as down.
    """

    id: Counter
    timeout_ms: TimeoutMs


class FindingKind(IntEnum):
    """What a finding means for a change."""

    REFUSED = 1
    """It is not proposed, and would not be later."""
    NO_QUORUM = 2
    """It is not proposed, since too few voters are up."""
    WAITS = 3
    """It is not proposed yet; ask again."""
    WARNING = 4
    """It is proposed nevertheless."""


class Finding(Value, frozen=True):
    """One thing that a node has to say about a change, in words and numbers."""

    kind: FindingKind
    text: Text


class ChangePlan(Value, frozen=True, tag=86):
    """How a change was judged. Nothing was proposed for this request.

    Args:
        id: the request's id.
        epoch: the epoch that the node knows.
        findings: what speaks against it, what it waits for, and warnings.
    """

    id: Counter
    epoch: Counter
    findings: Annotated[tuple[Finding, ...], Meta(max_length=MAX_SEATS)]


class Role(IntEnum):
    """What a node is to the epoch that is known."""

    VOTER = 1
    EARLIER = 2
    """A voter of the epoch before, and of this one no more."""
    GUEST = 3
    """A node without a vote, which joins."""
    OBSERVER = 4
    """A node without a vote, which waits for none."""


class MemberSeat(Value, frozen=True):
    """A node, as the one that reports sees it.

    Args:
        node: its name.
        role: what it is.
        disk_id: of its directory; None if it is not known.
        address: where it is met; empty if that is not known.
        up: whether it answered.
        votes: whether it says that it votes.
        known, ready: the epochs that it knows and is ready for, as it told last; None if it has not.
        behind: how many entries of a feed it has not read yet; None if it is not up.
        withheld: about how many keys it is silent, since nobody could show them (M18); None if it is
            not up.
        trouble: why the node that reports cannot dial it; empty if it can.
    """

    node: NodeText
    role: Role
    disk_id: IdBytes | None
    address: str
    up: bool
    votes: bool
    known: Counter | None
    ready: Counter | None
    behind: Counter | None
    withheld: Counter | None = 0
    trouble: Text = ""


class MembersReport(Value, frozen=True, tag=87):
    """The members, as one node knows them.

    Args:
        id: the request's id.
        node: the node that reports.
        cluster_id, formation: the cluster.
        epoch: the epoch that it knows.
        prepare, accept: the sizes of its quorums.
        earlier_seal: how many voters of the epoch before must seal it (S); 0 in epoch 0.
        under_way: the voters of a change that this node has accepted, and whose outcome it does not
            know; empty if there is none.
        seats: the voters in order, then earlier ones, then others.
    """

    id: Counter
    node: NodeText
    cluster_id: ClusterId
    formation: IdBytes | None
    epoch: Counter
    prepare: Counter
    accept: Counter
    earlier_seal: Counter
    under_way: tuple[NodeText, ...]
    seats: Annotated[tuple[MemberSeat, ...], Meta(max_length=MAX_SEATS)]

    @property
    def needed(self) -> int:
        """How many voters agree on anything in this epoch, change of members included."""
        return max(self.prepare, self.accept)

    def of(self, role: Role) -> tuple[MemberSeat, ...]:
        """The nodes in this role."""
        return tuple(seat for seat in self.seats if seat.role == role)

    @property
    def ready(self) -> tuple[MemberSeat, ...]:
        """The voters that are ready for the epoch, whether they are up now or not."""
        return tuple(seat for seat in self.of(Role.VOTER) if seat.ready == self.epoch)

    @property
    def is_settled(self) -> bool:
        """Whether enough ready voters are up and withhold nothing, so that no earlier one is needed."""
        return sum(seat.withheld == 0 for seat in self.ready) >= self.needed
