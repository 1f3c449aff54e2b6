"""Claims of one client whose outcome is unknown. No I/O.

A definite error is about one call. If an earlier call with the same claim id may have frozen the key,
"nothing was frozen" is not true of the claim. So the client remembers the ids of such claims until a
call returns what the key is frozen to.

Invariants kept here:

* After a call of a claim ended as `OutcomeUnknown`, or was cancelled, no later call of this client
  with the same key and claim id ends in a definite error, except `ClaimIdReused`, which says that the
  key is frozen.
* Memory is bounded: the oldest claims in doubt are dropped first.
"""

from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from ...registry.errors import ClaimIdReused, DecreedError, OutcomeUnknown
from ...registry.keys import series_and_slot
from ...registry.types import Claim, Key
from .results import Claimed, shown_id

MOST = 16_384


class Doubts:
    """The claims that may be chosen although no call reported it.

    Args:
        next_slot: whether they are claims of the next slot of a series. Such claims are the same claim
            at whichever slot they were first tried.
        most: how many are remembered.
    """

    def __init__(self, next_slot: bool, most: int = MOST) -> None:
        self._next_slot = next_slot
        self._most = most
        self._keys: OrderedDict[tuple[str, bytes], Key] = OrderedDict()

    @contextmanager
    def unless_settled(self, claims: Sequence[Claim]) -> Generator[None]:
        """While `claims` are sent: any exception leaves them in doubt."""
        try:
            yield
        except BaseException:
            for claim in claims:
                self._remember(claim)
            raise

    def judge(self, claim: Claim, result: Claimed | DecreedError) -> Claimed | DecreedError:
        """What the result of a call means, given what earlier calls left in doubt."""
        if isinstance(result, OutcomeUnknown):
            self._remember(claim)
            return result
        if isinstance(result, Claimed | ClaimIdReused):
            self._keys.pop(self._name(claim), None)
            return result
        return self._doubtful(claim, result) if self._name(claim) in self._keys else result

    def first_key(self, series: str, claim_id: bytes) -> Key | None:
        """The slot at which a claim in doubt was first tried; a repetition must name it."""
        return self._keys.get((series, claim_id))

    def _doubtful(self, claim: Claim, error: DecreedError) -> OutcomeUnknown:
        unknown = OutcomeUnknown(
            f"whether {claim.key!r} was claimed by an earlier call is still unknown; ask again with "
            f"the claim id {shown_id(claim.claim_id)} ({error})"
        )
        unknown.__cause__ = error
        return unknown

    def _remember(self, claim: Claim) -> None:
        self._keys.setdefault(self._name(claim), claim.key)
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)

    def _name(self, claim: Claim) -> tuple[str, bytes]:
        path = series_and_slot(claim.key)[0] if self._next_slot else claim.key
        return path, claim.claim_id
