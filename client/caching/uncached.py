"""A cache that holds nothing: for requests in the name of somebody else.

What one identity was told may be what another may not read, so nothing that a client holds answers a
request that names another identity.
"""

from ...registry.types import Decree
from .cache import Cache
from .memory import Memory


class Uncached(Cache):
    """Knows the formation of a client's cache, and none of its decrees.

    Args:
        known: the cache of the client.
    """

    def __init__(self, known: Cache) -> None:
        self._known = known
        super().__init__(Memory(0, 0), None, ())

    @property
    def formation(self) -> bytes | None:
        """The formation that the client knows."""
        return self._known.formation

    @formation.setter
    def formation(self, _: bytes | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The client alone finds out about formations."""

    def put(self, formation: bytes | None, decree: Decree) -> None:
        """Hold nothing."""
