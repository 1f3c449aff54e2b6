"""What is asked of nodes about locks, as errands."""

from collections.abc import Callable
from math import inf

from ..registry.keys import slot_key
from ..registry.locks.terms import Ending, Tenure, TermClaim, lock_path, term_key
from ..registry.types import Key
from ..registry.wire.requests import (
    Ended,
    EndRequest,
    Granted,
    HeldBy,
    HolderRequest,
    KeepAliveRequest,
    Kept,
    LockRequest,
    Superseded,
    Undecided,
)
from .errands import Errand
from .link import Link
from .results import shown_id


def home_key(lock: str) -> Key:
    """The key whose home is the lock's home."""
    return term_key(lock, 1)


def to_lock(lock: str, claim: TermClaim, queue: bool, link: Link, longest: float) -> Errand:
    """Get a lock from the node behind `link`, and no other; it may work at it for `longest` s."""
    return Errand(
        lambda id, timeout_ms, here: LockRequest(id, timeout_ms, lock, queue, claim),
        (Granted, HeldBy),
        claim=claim.claim(home_key(lock), None),
        again=lambda: f"the claim id {shown_id(claim.claim_id)}",
        only=link,
        rounds=1,
        hedge=inf,
        longest=longest,
    )


def to_keep(tenure: Tenure) -> Errand:
    """Renew the leases on a term."""
    return Errand(
        lambda id, timeout_ms, here: KeepAliveRequest(id, timeout_ms, tenure),
        (Kept, Superseded),
        key=home_key(tenure.lock),
    )


def to_end(tenure: Tenure, ending: Ending) -> Errand:
    """Say that a term is over."""
    return Errand(
        lambda id, timeout_ms, here: EndRequest(id, timeout_ms, tenure, ending),
        (Ended,),
        key=home_key(tenure.lock),
    )


def to_find_holder(lock: str) -> Errand:
    """Ask who has a lock."""
    return Errand(
        lambda id, timeout_ms, here: HolderRequest(id, timeout_ms, lock),
        (HeldBy, Undecided),
        key=home_key(lock),
    )


def is_term_of(lock: str) -> Callable[[str], bool]:
    """Whether a key is a term of exactly this lock, and not of one whose name goes on."""
    return lambda key: key.startswith(slot_key(lock_path(lock), 1)[:-1])
