"""Give-ups: claims of locks that their own claimers want no more. Pure.

A claimer who gives up promises that he will never count himself holder of any term of that claim. The
promise is proven by his secret, and is kept here by the hash of what was shown: it meets a claim of
the same id and the same hash, and no other. So it may arrive before the acquire that it is about.

Invariants kept here:

* what is remembered is remembered for one ttl of the claim, unless the node is restarted;
* at most `MAX_GIVEN_UP` are remembered. Beyond that a new one is not, and its sender is told so by
  silence: what was promised to others is never forgotten to make room.
"""

MAX_GIVEN_UP = 65_536
"""Some thirty megabytes: 1,000 give-ups a second, each with a ttl of a minute, are fewer."""


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
        """Somebody has shown the secret of this hash for this claim; whether that is remembered."""
        shown = self._until_ms.get(claim_id, {})
        if secret_hash not in shown:
            if self._count >= self._most:
                return False
            self._count += 1
        shown[secret_hash] = max(until_ms, shown.get(secret_hash, until_ms))
        self._until_ms[claim_id] = shown
        return True

    def may_have(self, claim_id: bytes) -> bool:
        """Whether anything was shown for this id: worth a look at the hash of the claim."""
        return claim_id in self._until_ms

    def has(self, claim_id: bytes, secret_hash: bytes | None) -> bool:
        """Whether the claim of this id and this hash is given up; one without a hash never is."""
        return secret_hash in self._until_ms.get(claim_id, ())

    def prune(self, now_ms: float) -> None:
        """Forget what was remembered for long enough."""
        for claim_id, shown in list(self._until_ms.items()):
            left = {hash_: until for hash_, until in shown.items() if until > now_ms}
            self._count -= len(shown) - len(left)
            if left:
                self._until_ms[claim_id] = left
            else:
                del self._until_ms[claim_id]
