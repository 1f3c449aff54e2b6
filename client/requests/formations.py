"""Which formation of a cluster a client works with: it goes on to a later one, and never back.

After a restore or a recovery, nodes of the old formation may still answer where the client knows
addresses. What they say is not what the new ones say: a key may be decided otherwise there. Two
formations that were both restored, or of which one was, are told apart by the time of that. Two that
were formed apart are not, and the one that is met later is taken for the later one.

Invariant kept here: a client that has left a formation takes nothing from it any more.
"""

from ...registry.documents import time_text
from ...registry.errors import Refused
from ...registry.wire.handshake import ClientWelcome
from ..transport.endpoints import Endpoint


class Formations:
    """The formation that counts, and those that were left."""

    def __init__(self) -> None:
        self._present: ClientWelcome | None = None
        self._left: set[bytes] = set()

    def take(self, endpoint: Endpoint, welcome: ClientWelcome) -> None:
        """Go on to the formation of a node, unless an earlier one is told.

        Raises:
            Refused: if the node is of an earlier formation.
        """
        if welcome.formation is None:
            return
        present = self._present
        if present is not None and present.formation != welcome.formation:
            if welcome.formation in self._left or welcome.restored_ms < present.restored_ms:
                raise Refused(_is_earlier(endpoint, welcome, present))
            assert present.formation is not None, "only formations are noted"
            self._left.add(present.formation)
        self._present = welcome

    def has_left(self, welcome: ClientWelcome | None) -> bool:
        """Whether a node is of a formation that was left."""
        return welcome is not None and welcome.formation in self._left


def _is_earlier(endpoint: Endpoint, welcome: ClientWelcome, present: ClientWelcome) -> str:
    return (
        f"{endpoint} is of an earlier formation of the cluster, {_name(welcome)}, and the client works"
        f" with {_name(present)}: stop the nodes of the earlier one, or name endpoints of one alone"
    )


def _name(welcome: ClientWelcome) -> str:
    assert welcome.formation is not None, "only formations are compared"
    restored = f" (restored at {time_text(welcome.restored_ms)})" if welcome.restored_ms else ""
    return f"{welcome.formation.hex()}{restored}"
