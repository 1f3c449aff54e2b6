"""What all parts of a replica share: the node's identity, its right to vote, the end of its feed."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from ...config import ClusterConfig
from ...disk import Identity
from ...errors import DecreedError, NotFormed, StorageFailed
from ...incarnations import IncarnationHistory
from ...types import NodeId, Process
from ...wire.peers import Ping
from .events import FeedDone
from .tokens import Tokens


@dataclass(slots=True, eq=False)
class Node:
    """One node in one incarnation.

    Attributes:
        config: the cluster.
        name: the node's name.
        identity: of the node's directory; the formation is filled in when the cluster forms.
        history: all incarnations of the node's directory.
        formed: whether every member has confirmed this node's disk id, now or in an earlier
            incarnation.
        voting: whether the node takes part in Paxos: it is formed, and its disk has not failed.
        failed: why the disk takes no writes any more; empty while it works.
        feed_end: the index of the next feed entry.
        nodes, others: all members, in order; all members except this node.
        found_feed_end: where the feed ended when this incarnation began.
        settled_feed_end: the feed is durable up to here; peers are sent no more of it.
        reachable: peers that are not suspected and that report that they vote.
        wants_commits: a request here waits for decrees, so peers should send commits at once.
        tokens: the numbers of the node's questions, and the part that asked each.
    """

    config: ClusterConfig
    identity: Identity
    history: IncarnationHistory
    feed_end: int
    failed: str = field(default="", init=False)
    reachable: set[NodeId] = field(default_factory=set[NodeId])
    wants_commits: bool = False
    name: NodeId = field(init=False)
    formed: bool = field(init=False)
    voting: bool = field(init=False)
    tokens: Tokens = field(init=False)
    found_feed_end: int = field(init=False)
    settled_feed_end: int = field(init=False)
    nodes: tuple[NodeId, ...] = field(init=False)
    others: tuple[NodeId, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.identity.node
        self.formed = self.voting = self.identity.formation is not None
        self.tokens = Tokens(self.identity.incarnation)
        self.found_feed_end = self.settled_feed_end = self.feed_end
        self.nodes = self.config.nodes
        self.others = tuple(node for node in self.nodes if node != self.name)

    @property
    def process(self) -> Process:
        """The node in this incarnation: the second half of all its ballots (R05)."""
        return Process(self.identity.node, self.identity.incarnation)

    def form(self, formation: bytes) -> None:
        """Take part from now on: every member has confirmed this node's disk id."""
        self.identity = replace(self.identity, formation=formation)
        self.formed, self.voting = True, not self.failed

    def fail(self, reason: str) -> None:
        """Stop voting, since the disk may have lost something (R13). The first reason is kept."""
        self.failed = self.failed or reason
        self.voting = False

    def ping(self) -> Ping:
        """What this node sends its peers at intervals."""
        return Ping(self.settled_feed_end, self.voting, self.wants_commits)


def servable(node: Node, done: FeedDone) -> FeedDone:
    """The part of a feed page that may be sent.

    The entries after the durable end wait for a sync. If the disk has failed, that sync never comes
    and a restart may find other entries there, so no position after the durable end may be sent.
    """
    if not node.failed or done.next_index <= node.settled_feed_end:
        return done
    durable = tuple(entry for entry in done.entries if entry.index < node.settled_feed_end)
    return FeedDone(done.token, durable, node.settled_feed_end)


def refusal(node: Node) -> tuple[type[DecreedError], str]:
    """The error for requests that a node which may not vote cannot serve from what it learned."""
    if node.failed:
        return StorageFailed, (
            f"node {node.name} takes no part any more: {node.failed}; free or mend its disk, then"
            " restart it"
        )
    return NotFormed, (
        f"node {node.name} does not take part yet: the cluster forms when all of"
        f" {', '.join(node.config.nodes)} have been up together once"
    )
