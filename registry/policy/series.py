"""The decrees that hold policies: ``$policy@N`` is policy N, and no policy is policy 0.

No claim of a client can name such a key. A policy is decided as compare-and-set on the one before: the
proposer names N, and claims ``$policy@N+1`` (S11).
"""

from ..errors import BadRequest, ProtocolError
from ..keys import POLICY, slot_key
from ..types import Claim, Decree, Key
from .document import Policy
from .parsing import parse

CONTENT_TYPE = "application/vnd.decreed.policy+json"
SLOTS = f"{POLICY}@"
"""What the key of every such decree begins with."""


def policy_key(number: int) -> Key:
    """The key of the decree that holds policy `number`; 0 has none."""
    return slot_key(POLICY, number)


def number_of(key: Key) -> int | None:
    """The number of the policy that a key holds; None for any other key."""
    slot = key.removeprefix(SLOTS)
    return int(slot) if slot != key and slot.isdecimal() else None


def policy_number(decree: Decree) -> int:
    """The number of the policy that a decree holds, which is known to be one."""
    number = number_of(decree.key)
    assert number is not None, f"{decree.key!r} is a policy"
    return number


def claim_of(base: int, document: bytes, claimant: str, claim_id: bytes, note: str = "") -> Claim:
    """The claim whose decree makes a document the policy after `base`.

    Args:
        base: the number of the policy that the proposer saw.
        document: the policy in its canonical form (`encoding.encode`).
        claimant: who wants it.
        claim_id: names this wish.
        note: free text, kept in the decree.
    """
    return Claim(policy_key(base + 1), document, CONTENT_TYPE, claimant, claim_id, note)


def is_readable(decree: Decree) -> bool:
    """Whether this version can read the policy that a decree holds."""
    try:
        policy_of(decree)
    except ProtocolError:
        return False
    return True


def policy_of(decree: Decree) -> Policy:
    """The policy that a decree holds.

    Raises:
        ProtocolError: if it holds none that this version can read.
    """
    if decree.content_type != CONTENT_TYPE:
        raise ProtocolError(f"{decree.key!r} holds {decree.content_type!r}, and no policy")
    try:
        return parse(decree.value)
    except BadRequest as error:
        raise ProtocolError(f"{decree.key!r} holds no policy: {error}") from error
