"""The digests of what was learned lately, so that a peer's feed costs no disk reads when in step."""

from ..types import Key

CAPACITY = 65_536


class Recent:
    """A bounded memory of learned keys and the digests of their decrees; the oldest go first."""

    def __init__(self) -> None:
        self._digests: dict[Key, bytes] = {}

    def add(self, key: Key, digest: bytes) -> None:
        """The key was learned, with a decree of this digest."""
        self._digests[key] = digest
        if len(self._digests) > CAPACITY:
            del self._digests[next(iter(self._digests))]

    def agrees(self, key: Key, digest: bytes) -> bool:
        """Whether the key is known to have been learned with just this digest."""
        return self._digests.get(key) == digest
