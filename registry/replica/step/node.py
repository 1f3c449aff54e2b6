"""What all parts of a replica share: the node's identity, its right to vote, the end of its feed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from ...config import ClusterConfig
from ...disk import DirectoryIdentity
from ...errors import DecreedError, NotFormed, NotMember, StorageFailed
from ...incarnations import IncarnationHistory
from ...locks.restored import Restoration
from ...paxos.epochs import Epoch, Seat
from ...paxos.quorums import Quorums
from ...space import RoomLeft, room
from ...types import NodeId, Process
from ...wire.peers import AskedIn, Ping, Question
from .counts import Counts
from .disk_reads import DiskMeasured, FeedDone
from .epochs import Epochs
from .events import LinksSecured
from .met_damage import MetDamage
from .tokens import Tokens

MAX_MET = 64
"""How many nodes a joiner follows that no decree of members names."""


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
        voting: whether the node takes part in Paxos: it is formed, its disk has not failed, and it
            has a vote.
        takes_part: whether it does so now or as soon as it is ready for its epoch. What needs a vote
            waits until then (M13).
        failed: why the disk takes no writes any more, or why it votes no more whatever the disk does;
            empty while there is nothing.
        remedy: what an operator can do about that.
        feed_end: the index of the next feed entry.
        restoration: how the node's formation was restored; None if it was not, or if it has none.
        seat: the epochs that it knows and is ready for.
        epoch, before: the voters of the epoch that it knows, and of the one before.
        vote_epoch: the epoch in which it votes; -1 if its seat gives it no vote (M04).
        nodes, others: all voters of the epoch, in order; all voters except this node.
        sources: the nodes to which it keeps links and whose feeds it reads: the others, the voters of
            the epoch before until they are not needed, and while it knows no decree of members, those
            that it has met as a joiner.
        places: where the decree that it knows says that the voters are.
        met: the nodes that it has met as a joiner; they count for nothing but `sources`.
        guests: the nodes that were admitted and have no vote; their answers do not count (M19).
        observers: those of the guests that wait for no vote; some of them may have gone.
        observes: whether this node was started to serve what is frozen, and to wait for no vote.
        unreached: why there is no link to a guest that was dialled; for operators alone.
        met_damage: what reads of its disk have met; for operators alone.
        undialled: what is wrong if nobody has a link to this node, in words; for operators alone.
        secured: how this node's connections are secured.
        counts: what it counts of its own work, for its metrics alone.
        disk: what was measured last of its disk and its clock.
        room: how much room its disk has. Below the soft mark it coordinates no new claims; below the
            hard mark it accepts nothing either, and learns only what is awaited (`Learner.tell_reads`).
        is_full: whether that is below the hard mark.
        disputed: the keys for which this incarnation has met two decrees, for operators alone.
        quorums: the voters, and how many of them each phase needs.
        found_feed_end: where the feed ended when this incarnation began.
        settled_feed_end: the feed is durable up to here; peers are sent no more of it.
        reachable: peers that are not suspected and that report that they vote.
        wants_commits: a request here waits for decrees, so peers should send commits at once.
        tokens: the numbers of the node's questions, and the part that asked each.
    """

    config: ClusterConfig
    identity: DirectoryIdentity
    history: IncarnationHistory
    feed_end: int
    epochs: Epochs | None = None
    restoration: Restoration | None = None
    observes: bool = False
    observers: set[NodeId] = field(default_factory=set[NodeId], init=False)
    unreached: dict[NodeId, str] = field(default_factory=dict[NodeId, str], init=False)
    undialled: str = field(default="", init=False)
    met_damage: MetDamage = field(default_factory=MetDamage, init=False)
    secured: LinksSecured = field(default=LinksSecured(), init=False)
    counts: Counts = field(default_factory=Counts, init=False)
    disk: DiskMeasured = field(default=DiskMeasured(None), init=False)
    room: RoomLeft = field(default=RoomLeft.ENOUGH, init=False)
    is_full: bool = field(default=False, init=False)
    disputed: set[str] = field(default_factory=set[str], init=False)
    failed: str = field(default="", init=False)
    remedy: str = field(default="free or mend its disk, then restart it", init=False)
    reachable: set[NodeId] = field(default_factory=set[NodeId])
    met: set[NodeId] = field(default_factory=set[NodeId])
    guests: set[NodeId] = field(default_factory=set[NodeId])
    wants_commits: bool = False
    name: NodeId = field(init=False)
    formed: bool = field(init=False)
    voting: bool = field(init=False)
    takes_part: bool = field(init=False)
    seat: Seat = field(init=False)
    epoch: Epoch = field(init=False)
    before: Epoch | None = field(default=None, init=False)
    places: Mapping[NodeId, str] = field(init=False)
    vote_epoch: int = field(init=False)
    tokens: Tokens = field(init=False)
    found_feed_end: int = field(init=False)
    settled_feed_end: int = field(init=False)
    nodes: tuple[NodeId, ...] = field(init=False)
    others: tuple[NodeId, ...] = field(init=False)
    sources: tuple[NodeId, ...] = field(init=False)
    quorums: Quorums = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.identity.node
        self.formed = self.identity.formation is not None
        self.tokens = Tokens(self.identity.incarnation)
        self.found_feed_end = self.settled_feed_end = self.feed_end
        found = self.epochs or Epochs(self.config.quorums, joins=self.joins)
        self.places = found.places
        self.sit(found.seat, found.epoch, found.before)

    @property
    def joins(self) -> bool:
        """Whether the cluster formed without this node's directory (M19)."""
        return self.identity.joins

    def sit(self, seat: Seat, epoch: Epoch, before: Epoch | None) -> None:
        """Take a seat: from now on `epoch` is the one whose voters are asked and counted."""
        self.seat, self.epoch, self.before = seat, epoch, before
        self.quorums, self.nodes = epoch.quorums, epoch.nodes
        self.others = tuple(node for node in self.nodes if node != self.name)
        self.follow(() if before is None else before.nodes)
        self._judge()

    def follow(self, further: Iterable[NodeId]) -> None:
        """Keep links to these nodes beside the other voters, and read their feeds."""
        self.sources = tuple(n for n in dict.fromkeys((*self.others, *further)) if n != self.name)

    def meet(self, node: NodeId) -> bool:
        """M19: follow a node as a joiner, while no decree says who votes; whether that is news."""
        if not self.joins or self.seat.known or node == self.name or len(self.met) >= MAX_MET:
            return False
        self.met.add(node)
        if node in self.sources:
            return False
        self.follow(sorted(self.met))
        return True

    @property
    def other_members(self) -> tuple[NodeId, ...]:
        """The members beside it, as far as it knows; a joiner at first knows those that it has met."""
        if self.joins and not self.seat.known and self.met:
            return tuple(sorted(self.met))
        return self.others

    def is_voter(self, epoch: Epoch) -> bool:
        """M01: whether this directory is a voter of an epoch; one that joined is none of epoch 0."""
        if epoch.disk_of(self.name) is None and self.joins:
            return False
        return epoch.has(self.name, self.identity.disk_id)

    def named_disk(self, node: NodeId) -> bytes | None:
        """M20: the disk that the latest known epoch with this name has for it; None if it has none."""
        if node in self.epoch.nodes or self.before is None:
            return self.epoch.disk_of(node)
        return self.before.disk_of(node)

    def has_left(self, node: NodeId) -> bool:
        """Whether a node voted in the epoch before, and does not in this one."""
        return self.before is not None and node in self.before.nodes and node not in self.nodes

    @property
    def may_count(self) -> bool:
        """M19: whether it may conclude anything from answers of voters.

        A joiner that knows no decree of members does not know who votes: its file may be of any time.
        One whose name is a voter's with another disk would pass for that voter in its own counts.
        """
        if not self.joins:
            return True
        return bool(self.epoch.number) and (
            self.name not in self.nodes or self.is_voter(self.epoch)
        )

    def _judge(self) -> None:
        """M04: work out whether the node votes."""
        epoch = self.epoch
        is_voter = self.is_voter(epoch) and epoch.number == self.seat.known
        self.vote_epoch = epoch.number if is_voter and self.seat.votes_in(epoch.number) else -1
        self.takes_part = self.formed and not self.failed and is_voter
        self.voting = self.takes_part and self.vote_epoch >= 0

    def asking(self, question: Question) -> Question | AskedIn:
        """A question that only voters of the present epoch may answer (M12)."""
        return AskedIn(self.epoch.number, question) if self.epoch.number else question

    @property
    def process(self) -> Process:
        """The node in this incarnation: the second half of all its ballots (R05)."""
        return Process(self.identity.node, self.identity.incarnation)

    def form(self, formation: bytes) -> None:
        """Take part from now on: every member has confirmed this node's disk id."""
        self.identity = replace(self.identity, formation=formation)
        self.formed = True
        self._judge()

    def fail(self, reason: str, remedy: str = "") -> None:
        """Stop voting, since the disk may have lost something (R13). The first reason is kept."""
        if not self.failed:
            self.failed, self.remedy = reason, remedy or self.remedy
        self._judge()

    def on_measured(self, told: DiskMeasured) -> None:
        """Note how much room there is. Marks are met and left by that alone, with no memory of work."""
        space = told.space
        self.disk = told
        if space is not None:
            marks = self.config.disk.of(space.size_bytes)
            self.room = room(space.free_bytes, *marks, self.room)
            self.is_full = self.room is RoomLeft.FULL

    @property
    def accepts(self) -> bool:
        """Whether it votes now: it may, and its disk has room for what it would accept.

        To refuse is always safe in Paxos: it is as if the message had been lost (R02). What it promised
        and accepted before stays on its disk and binds it, and it goes on to tell all of it.
        """
        return self.voting and not self.is_full

    def ping(self) -> Ping:
        """What this node sends its peers at intervals."""
        return Ping(self.settled_feed_end, self.accepts, self.wants_commits)


def servable(node: Node, done: FeedDone) -> FeedDone:
    """The part of a feed page that may be sent.

    The entries after the durable end wait for a sync. If the disk has failed, that sync never comes
    and a restart may find other entries there, so no position after the durable end may be sent.
    """
    if not node.failed or done.next_index <= node.settled_feed_end:
        return done
    durable = tuple(entry for entry in done.entries if entry.index < node.settled_feed_end)
    return FeedDone(done.token, durable, node.settled_feed_end)


def no_room(node: Node) -> str:
    """Why a node begins nothing new, and what to do about it."""
    space = node.disk.space
    assert space is not None, "it has no room by what was measured"
    low_bytes, _ = node.config.disk.of(space.size_bytes)
    return (
        f"node {node.name} begins nothing new: {space.free_bytes:,} bytes are free on its disk, and the"
        f" soft mark (disk.low_bytes, disk.low_percent) is {low_bytes:,}; free some or give it a larger"
        " disk, and it goes on by itself"
    )


def refusal(node: Node) -> tuple[type[DecreedError], str]:
    """The error for requests that a node which may not vote cannot serve from what it learned."""
    if node.failed:
        return StorageFailed, (
            f"node {node.name} takes no part any more: {node.failed}; {node.remedy}"
        )
    if node.joins and not node.formed:
        return NotFormed, f"node {node.name} joins the cluster, and has not met a member yet"
    if node.observes and node.formed and not node.takes_part and not node.failed:
        return NotMember, f"node {node.name} observes and has no vote: ask a member for this"
    if node.joins and not node.seat.known:
        return NotFormed, (
            f"node {node.name} follows the cluster and has no vote: no decree of members names it"
        )
    if node.formed and node.epoch.number != node.seat.known:
        return NotFormed, (
            f"node {node.name} has no vote in epoch {node.seat.known}: its record of who votes there is"
            " damaged; it votes again after the next change of members, or replace it with an empty"
            " directory ('decreed member replace')"
        )
    if node.formed and not node.takes_part:
        return NotMember, (
            f"node {node.name} has no vote: the voters of epoch {node.epoch.number} are"
            f" {', '.join(node.nodes)}; ask one of them"
        )
    if node.formed:
        return NotFormed, (
            f"node {node.name} is taking over for epoch {node.epoch.number} and votes when that is"
            " done"
        )
    return NotFormed, (
        f"node {node.name} does not take part yet: the cluster forms when all of"
        f" {', '.join(node.config.nodes)} have been up together once"
    )
