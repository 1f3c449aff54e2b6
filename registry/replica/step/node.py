"""What all parts of a replica share: who the node is, whether it may vote, and what it may tell."""

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
    """One node in this incarnation of it.

    Attributes:
        config: the cluster.
        name: the node's name.
        identity: of the node's directory; the formation is filled in when the cluster forms.
        history: all incarnations of the node's directory.
        formed: whether every member has confirmed this node's disk id, now or in an earlier
            incarnation.
        voting: whether the node takes part in Paxos: it is formed, and its disk has not failed.
        failed: why the disk takes no writes any more; empty while it does.
        feed_end: the index of the next feed entry.
        nodes, others: all members, in order, and all but this one.
        found_feed_end: where the feed ended when this incarnation began.
        settled_feed_end: up to where the feed is durable; no more of it is told to a peer.
        reachable: peers that are not suspected and that say that they vote.
        wants_commits: somebody here waits to be told what others decide.
        tokens: the numbers of its questions, and who asked them.
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
        """This life of the node; the second half of all its ballots (R05)."""
        return Process(self.identity.node, self.identity.incarnation)

    def form(self, formation: bytes) -> None:
        """Every member has confirmed this node's disk id: it takes part from now on."""
        self.identity = replace(self.identity, formation=formation)
        self.formed, self.voting = True, not self.failed

    def fail(self, reason: str) -> None:
        """A disk that may have lost anything must not vote; the first reason is the one that counts."""
        self.failed = self.failed or reason
        self.voting = False

    def ping(self) -> Ping:
        """What peers are told of this node now and then."""
        return Ping(self.settled_feed_end, self.voting, self.wants_commits)


def servable(node: Node, done: FeedDone) -> FeedDone:
    """What may be told of a part of the feed that was read.

    Behind what is durable there may be entries that wait for a sync. A node whose disk has failed will
    never see it, and whatever a restart leaves there, no position behind it may have been told before.
    """
    if not node.failed or done.next_index <= node.settled_feed_end:
        return done
    durable = tuple(entry for entry in done.entries if entry.index < node.settled_feed_end)
    return FeedDone(done.token, durable, node.settled_feed_end)


def refusal(node: Node) -> tuple[type[DecreedError], str]:
    """What a node that may not vote says when it is asked to do more than serve what it learned."""
    if node.failed:
        return StorageFailed, (
            f"node {node.name} takes no part any more: {node.failed}; free or mend its disk, then"
            " restart it"
        )
    return NotFormed, (
        f"node {node.name} does not take part yet: the cluster forms when all of"
        f" {', '.join(node.config.nodes)} have been up together once"
    )
