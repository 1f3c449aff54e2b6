"""Claims of locks with secrets that tests can derive again, and the requests that show them."""

from hashlib import sha256

from decreed.registry.locks.secret import hash_of
from decreed.registry.locks.terms import Ending, How, LeaseId, TermClaim
from decreed.registry.wire.requests import EndRequest, GiveUpRequest, KeepAliveRequest


def secret_of(claim_id: bytes) -> bytes:
    """The secret behind a claim."""
    return sha256(b"the secret of " + claim_id).digest()


def wish(holder: str, claim_id: bytes, ttl_ms: int, note: str = "", info: bytes = b"") -> TermClaim:
    """The claim of a lock by `holder`, with the secret of its claim id."""
    return TermClaim(holder, claim_id, ttl_ms, hash_of(secret_of(claim_id)), note, info)


def to_keep(id: int, timeout_ms: int, held: LeaseId) -> KeepAliveRequest:
    """The holder's keep-alive."""
    return KeepAliveRequest(id, timeout_ms, held, secret_of(held.claim_id))


def to_end(id: int, timeout_ms: int, held: LeaseId, ending: Ending) -> EndRequest:
    """The holder's release, or an operator's break, which shows no secret."""
    secret = secret_of(held.claim_id) if ending.how is How.RELEASED else None
    return EndRequest(id, timeout_ms, held, ending, secret)


def to_give_up(id: int, timeout_ms: int, lock: str, claim: TermClaim) -> GiveUpRequest:
    """The client's give-up."""
    secret = secret_of(claim.claim_id)
    return GiveUpRequest(id, timeout_ms, lock, claim.claim_id, claim.ttl_ms, secret)
