"""Answers without what their callers may not read (S09)."""

from ...errors import Denied, LockHeld, OutcomeUnknown
from ...identity import Identity
from ...types import Claim, Outcome, outcome
from ...wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    HeldBy,
    LockRequest,
    Request,
)


def hidden(request: Request, answer: Answer, caller: Identity) -> Answer:
    """An answer without what its caller may not read: another's decree, another's hold of a lock."""
    match request, answer:
        case ((ClaimRequest() | ClaimNextRequest()), Decreed()):
            return _hidden_decree(request.claim, answer, caller)
        case LockRequest(), HeldBy():
            message = "somebody else holds the lock; to see who takes the right 'read'"
            return Failed(answer.id, LockHeld.code, message)
        case _:
            return answer


def _hidden_decree(claim: Claim, answer: Decreed, caller: Identity) -> Answer:
    """S09: a claim's own decree is told to who made it; a claim id is known to all who have read one.

    It may be the caller's own try under another identity, such as a token before, so then the outcome
    is not known. Callers without a name cannot prove to be the same one: they must know all the words.
    """
    decree = answer.decree
    if decree.claim_id != claim.claim_id:
        message = "another claim came first; what it froze takes the right 'read'"
        return Failed(answer.id, Denied.code, message)
    is_own = decree.identity == caller.recorded
    if is_own and (decree.identity or outcome(claim, decree) is Outcome.WON):
        return answer
    message = "a claim with this id came first, of somebody else: to see it takes the right 'read'"
    return Failed(answer.id, OutcomeUnknown.code, message)
