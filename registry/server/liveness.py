"""Which peers are reachable: those with a link to send on, that were heard recently.

Suspicion only affects the choice of coordinators; it may be wrong, and it ends as soon as the peer is
heard again. After this process was suspended for a while all peers look silent, so a round in which
our own clock jumped suspects no peer.

A node without a link has nobody to ping, and suspects everybody already. So it takes no rounds: a
cluster of one wakes up for none.
"""

from collections.abc import Callable, Iterable

import trio

from ..replica.step.events import Reachable
from ..types import NodeId
from .node_loop import NodeLoop

ROUNDS = 3
"""How many rounds there are in a suspicion period, so that one late ping raises no suspicion."""


class Liveness:
    """The reachability of each peer.

    Args:
        peers: the other members to begin with; a node that is linked or heard later counts as well.
        suspect_ms: a peer is suspected after this much silence.
    """

    def __init__(self, peers: Iterable[NodeId], suspect_ms: float) -> None:
        self._suspect_s = suspect_ms / 1000
        self._heard = dict.fromkeys(peers, float("-inf"))
        self._voting = dict.fromkeys(self._heard, False)
        self._linked: set[NodeId] = set()
        self._said: dict[NodeId, bool] = dict.fromkeys(self._heard, False)
        self._has_link = trio.Event()

    def heard(self, peer: NodeId) -> None:
        """Note that something came from `peer`."""
        self._heard[peer] = trio.current_time()

    def says_voting(self, peer: NodeId, voting: bool, loop: NodeLoop) -> None:
        """Note whether the peer takes part, and report a change of its reachability immediately."""
        self._voting[peer] = voting
        self._say(peer, loop)

    def linked(self, peer: NodeId, loop: NodeLoop) -> None:
        """Note a link to `peer`, and report a change of its reachability immediately."""
        self._linked.add(peer)
        self._has_link.set()
        self._say(peer, loop)

    def unlinked(self, peer: NodeId, loop: NodeLoop) -> None:
        """Note that the link to `peer` is gone, and report the change immediately."""
        if self._linked == {peer}:  # else the round may wait for this very event already
            self._has_link = trio.Event()
        self._linked.discard(peer)
        self._say(peer, loop)

    def unheard(self, peer: NodeId, loop: NodeLoop) -> None:
        """Suspect `peer` until it is heard again: the link on which we heard it has ended."""
        self._heard[peer] = float("-inf")
        self._say(peer, loop)

    async def run(self, loop: NodeLoop, ping: Callable[[], None]) -> None:
        """Ping all peers and check them, several times in each suspicion period, while there is a link.

        One task does both, for all peers: an idle node does little else than wake up for this.

        Args:
            loop: notified of peers whose reachability has changed.
            ping: pings all peers.
        """
        period_s = self._suspect_s / ROUNDS
        last = trio.current_time()
        while True:
            if not self._linked:
                await self._has_link.wait()
                last = trio.current_time()
            await trio.sleep(period_s)
            ping()
            now = trio.current_time()
            if now - last < self._suspect_s:
                self.look(loop)
            last = now

    def look(self, loop: NodeLoop) -> None:
        """Tell the replica which peers' reachability has changed."""
        for peer in list(self._heard):
            self._say(peer, loop)

    def leave(self, peer: NodeId, loop: NodeLoop) -> None:
        """Forget a node to which no link is kept any more; it is suspected permanently."""
        self.unheard(peer, loop)
        for known in (self._heard, self._voting, self._said):
            known.pop(peer, None)

    def _say(self, peer: NodeId, loop: NodeLoop) -> None:
        silent_s = trio.current_time() - self._heard.get(peer, float("-inf"))
        voting = self._voting.get(peer, False)
        reachable = peer in self._linked and voting and silent_s < self._suspect_s
        if reachable != self._said.get(peer, False):
            self._said[peer] = reachable
            loop.post(Reachable(peer, reachable))
