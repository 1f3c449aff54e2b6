"""What a peer says on the link that it dialled: into the inbox, as far as there is room."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from ..types import NodeId
from ..wire.handshake import DirectoryRefusal, Refusal
from ..wire.peers import PeerMessage, Ping
from .liveness import Liveness
from .node_loop import NodeLoop
from .weights import weight


class Peer(Struct, eq=False):
    """Takes the messages of a peer on the link that it dialled (`Taker`).

    Attributes:
        node: the peer.
        loop: where its messages go.
        liveness: notified when the peer is heard.
        wants_commits: the peers that want commits immediately.
        pinged: the latest ping of each peer.
        on_refusal: called when the peer refuses this node.
    """

    node: NodeId
    loop: NodeLoop
    liveness: Liveness
    wants_commits: set[NodeId]
    pinged: dict[NodeId, Ping]
    on_refusal: Callable[[NodeId, Refusal | DirectoryRefusal], None]

    def take(self, messages: Sequence[PeerMessage]) -> Sequence[PeerMessage]:
        """Take a frame of messages if the inbox has room; returns the rest."""
        if not self.loop.has_room:
            return messages
        self.liveness.heard(self.node)
        for message in messages:
            self._take_one(message)
        return ()

    async def room(self, message: PeerMessage) -> None:
        """Wait until the inbox has room."""
        await self.loop.room()

    def _take_one(self, message: PeerMessage) -> None:
        # types are compared: a failed isinstance costs more than one that succeeds
        if type(message) is Refusal or type(message) is DirectoryRefusal:
            self.on_refusal(self.node, message)
            return
        if type(message) is Ping:
            self.liveness.says_voting(self.node, message.voting, self.loop)
            if message == self.pinged.get(self.node):
                return  # nothing new, and not worth a turn: an idle node hears little else
            self.pinged[self.node] = message
            (self.wants_commits.add if message.wants_commits else self.wants_commits.discard)(
                self.node
            )
        self.loop.post_of(self.node, message, weight(message))
