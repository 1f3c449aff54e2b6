"""Give-ups: claims of locks that their claimers no longer want. Pure.

A claimer that gives up promises that it will never count itself the holder of any term of that claim.
Its secret proves the promise, which is stored here by the hash of that secret. It matches only a claim
with the same id and the same hash, so it may arrive before the acquire that it is about.

Invariants kept here:

* each is remembered for one ttl of the claim, unless the node is restarted;
* at most `MAX_GIVEN_UP` are remembered. Further ones are refused by silence: a give-up that a node has
  accepted is never dropped to make room.
"""

MAX_GIVEN_UP = 65_536
"""About 30 MB; enough for 1,000 give-ups a second with a ttl of a minute each."""


class GiveUps:
    """The given-up claims of a node.

    Args:
        most: how many are remembered.
    """

    def __init__(self, most: int = MAX_GIVEN_UP) -> None:
        self._most = most
        self._until_ms: dict[bytes, dict[bytes, float]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, claim_id: bytes, secret_hash: bytes, until_ms: float) -> bool:
        """Remember that the secret of this hash was shown for this claim; False if there is no room."""
        shown = self._until_ms.get(claim_id, {})
        if secret_hash not in shown:
            if self._count >= self._most:
                return False
            self._count += 1
        shown[secret_hash] = max(until_ms, shown.get(secret_hash, until_ms))
        self._until_ms[claim_id] = shown
        return True

    def may_have(self, claim_id: bytes) -> bool:
        """Whether any secret was shown for this id, so that the hash of the claim must be compared."""
        return claim_id in self._until_ms

    def has(self, claim_id: bytes, secret_hash: bytes | None) -> bool:
        """Whether the claim with this id and hash is given up; never true of a claim without a hash."""
        return secret_hash in self._until_ms.get(claim_id, ())

    def prune(self, now_ms: float) -> None:
        """Drop the give-ups whose ttl is over."""
        for claim_id, shown in list(self._until_ms.items()):
            left = {hash_: until for hash_, until in shown.items() if until > now_ms}
            self._count -= len(shown) - len(left)
            if left:
                self._until_ms[claim_id] = left
            else:
                del self._until_ms[claim_id]
