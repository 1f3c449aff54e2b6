"""What nodes tell each other about locks: leases on terms, their ends, and claims that are given up."""

from typing import Annotated

from msgspec import Meta

from ..keys import MAX_SLOT
from ..locks.secret import SecretHash
from ..locks.terms import MAX_LOCK_BYTES, Ending, LeaseId, TtlMs
from ..types import (
    ClaimIdBytes,
    Counter,
    Decree,
    Value,
)


class AskLease(Value, frozen=True, tag=42):
    """Asks whether the receiver's lease on this term runs, and whether it knows a later term.

    `id` ties the answer to one question. `secret_hash` is recorded in the term; by it the receiver
    knows whether a give-up that it accepted is about this term.
    """

    id: Counter
    lease_id: LeaseId
    ttl_ms: TtlMs
    secret_hash: SecretHash | None


class LeaseAnswer(Value, frozen=True, tag=43):
    """What the sender knows of the term asked about, after the question arrived.

    Args:
        id: the question's id.
        remaining_ms: how long it would still refuse the next term.
        ending: how the term ended, if it was told.
        accepted: whether it has accepted something for the next term.
        learned: the decree of the next term, if it has learned it.
    """

    id: Counter
    remaining_ms: Counter
    ending: Ending | None
    accepted: bool
    learned: Decree | None


class Renew(Value, frozen=True, tag=44):
    """Asks the receiver to start its lease on this term again. The sender has learned that the term is
    decided, and was shown the secret whose hash is recorded in it."""

    id: Counter
    lease_id: LeaseId
    ttl_ms: TtlMs
    secret_hash: SecretHash | None


class Renewed(Value, frozen=True, tag=45):
    """Whether the sender renewed its lease; if not, it knows the next term, or the term was ended."""

    id: Counter
    kept: bool


class EndTerm(Value, frozen=True, tag=46):
    """The holder released the term, or an operator broke it; its leases must not be renewed."""

    lease_id: LeaseId
    ttl_ms: TtlMs
    ending: Ending


class ForgottenTerms(Value, frozen=True, tag=47):
    """The answer to any question about a term that the sender has forgotten.

    All terms of `lock` below `floor` are decided and forgotten at the sender, and the receiver will
    forget them too. The term at `floor` is decided; the sender still has all that it knew of it.
    """

    lock: Annotated[str, Meta(min_length=1, max_length=MAX_LOCK_BYTES)]
    floor: Annotated[int, Meta(ge=2, le=MAX_SLOT)]


class GiveUp(Value, frozen=True, tag=48):
    """The sender was shown the secret of this hash: the claim with this id and hash is given up."""

    id: Counter
    lock: Annotated[str, Meta(min_length=1, max_length=MAX_LOCK_BYTES)]
    claim_id: ClaimIdBytes
    ttl_ms: TtlMs
    secret_hash: SecretHash


class GiveUpTaken(Value, frozen=True, tag=49):
    """The sender remembers the give-up for a ttl, and keeps no lease for the claim."""

    id: Counter
