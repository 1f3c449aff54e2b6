"""The operations on locks, as operations."""

from collections.abc import Callable
from math import inf

from ...registry.keys import slot_key
from ...registry.locks.secret import Secret
from ...registry.locks.terms import Ending, How, LeaseId, TermClaim, lock_path, term_key
from ...registry.types import Key
from ...registry.wire.requests import (
    Ended,
    EndRequest,
    GivenUp,
    GiveUpRequest,
    Granted,
    HeldBy,
    HolderRequest,
    KeepAliveRequest,
    Kept,
    LockRequest,
    Superseded,
    Undecided,
)
from ..requests.operations import Operation
from ..requests.results import shown_id
from ..transport.link import Link

# how long a node may take to reach a quorum before another node is told too
GIVE_UP_NODE_SECONDS = 2.0


def home_key(lock: str) -> Key:
    """The key whose home is the lock's home."""
    return term_key(lock, 1)


def to_lock(lock: str, claim: TermClaim, queue: bool, link: Link, longest: float) -> Operation:
    """Acquire a lock through the node of `link` only; it may work at it for `longest` seconds."""
    return Operation(
        lambda id, timeout_ms, here: LockRequest(id, timeout_ms, lock, queue, claim),
        (Granted, HeldBy),
        claim=claim.claim(home_key(lock), None),
        again=lambda: f"the claim id {shown_id(claim.claim_id)}",
        only=link,
        rounds=1,
        hedge=inf,
        longest=longest,
    )


def to_keep(lease_id: LeaseId, secret: Secret) -> Operation:
    """Renew the leases on a term."""
    return Operation(
        lambda id, timeout_ms, here: KeepAliveRequest(id, timeout_ms, lease_id, secret.show()),
        (Kept, Superseded),
        key=home_key(lease_id.lock),
    )


def to_release(lease_id: LeaseId, secret: Secret) -> Operation:
    """Release a term of ours."""
    ending = Ending(How.RELEASED)
    return Operation(
        lambda id, timeout_ms, here: EndRequest(id, timeout_ms, lease_id, ending, secret.show()),
        (Ended,),
        key=home_key(lease_id.lock),
    )


def to_break(lease_id: LeaseId, ending: Ending) -> Operation:
    """End somebody's term, as an operator."""
    return Operation(
        lambda id, timeout_ms, here: EndRequest(id, timeout_ms, lease_id, ending, None),
        (Ended,),
        key=home_key(lease_id.lock),
    )


def to_give_up(lock: str, claim: TermClaim, secret: Secret, link: Link | None) -> Operation:
    """Give up a claim at the node of `link`; None: at any node, which passes it on."""
    claim_id, ttl_ms = claim.claim_id, claim.ttl_ms
    return Operation(
        lambda id, timeout_ms, here: GiveUpRequest(
            id, timeout_ms, lock, claim_id, ttl_ms, secret.show()
        ),
        (GivenUp,),
        key=home_key(lock),
        only=link,
        rounds=inf if link is None else 1,
        longest=GIVE_UP_NODE_SECONDS,
    )


def to_find_holder(lock: str) -> Operation:
    """Ask who holds a lock."""
    return Operation(
        lambda id, timeout_ms, here: HolderRequest(id, timeout_ms, lock),
        (HeldBy, Undecided),
        key=home_key(lock),
    )


def is_term_of(lock: str) -> Callable[[str], bool]:
    """Whether a key is a term of exactly this lock, rather than of one with a longer name."""
    return lambda key: key.startswith(slot_key(lock_path(lock), 1)[:-1])
