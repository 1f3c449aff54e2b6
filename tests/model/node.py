"""One node of the model: the shipped `Replica`, taken as a pure function of what it holds.

A node's state in the model is a value: what is on its disk for the one key, which life it is in, and
what a crash would take. `react` puts a real replica into that state, lets one event happen to it,
and reads off the new state and what the replica wants sent, sorted as the replica sorted it:
*at once*, or *after* the records are durable. So the acceptor, the proposer, the learner and the
contract between them and the disk are the code that ships; nothing is written a second time here.

One thing is not taken from a disk: which life this is. The model counts lives, as the directory does.

Of feeds the model knows as much as one key needs. A node's feed ends at 1 if it has learned the key,
and at 0 otherwise; and a home has read every feed up to where it has learned what stands in it. A real
home may have read less, and then counts fewer promises: that is a promise which has not arrived. And a
home that holds anything for the key, or may begin no ballot any more, is told of no class promise:
it has no use for one.

Where proposals fly, a batch has the one key on board, and a home makes at most one in each incarnation.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import ClassRecord, CursorRecord, Identity, InstanceRecord, Recovered
from decreed.registry.incarnations import IncarnationHistory
from decreed.registry.paxos.instance import EMPTY, Class, Instance
from decreed.registry.paxos.messages import (
    Accept,
    AcceptMany,
    PaxosMessage,
    Prepare,
    PromiseClass,
)
from decreed.registry.paxos.proposer import Preparing, Proposing
from decreed.registry.replica.consensus.attempt import Progress
from decreed.registry.replica.consensus.batches import CLASS_PROMISE_RESENDS
from decreed.registry.replica.replica import Replica
from decreed.registry.replica.replica import Volatile as Held
from decreed.registry.replica.step.effects import Effects, Outgoing, Send
from decreed.registry.replica.step.events import (
    Event,
    Finish,
    Fired,
    FromClient,
    FromPeer,
    Moment,
    Resend,
    ResendBatch,
    Retry,
    Sweep,
)
from decreed.registry.types import Ballot, Claim, Key, NodeId, Value
from decreed.registry.wire.requests import ClaimRequest

KEY = Key("c")
"""A key that n1 is home to in clusters of every size."""
NOW = Moment(0.0, 0)
RESEND = Fired(Resend(KEY, 1))
RETRY = Fired(Retry(KEY, 1))
ASK = Fired(Sweep())
FINISH = Finish(KEY, None)


Sent = tuple[tuple[NodeId, PaxosMessage], ...]
"""Messages of Paxos, each with its addressee."""


class Volatile(Value, frozen=True):
    """An attempt under way.

    Args:
        state: None while it pauses after having been preempted. Who has voted on a batch stands
            here too.
        heard: the highest ballot that a nack spoke of.
        wish: which of the node's claims it is for.
        batch: the number of the batch that it travels in; 0 if it travels alone.
    """

    state: Preparing | Proposing | None
    heard: Ballot | None
    wish: int = 0
    batch: int = 0

    def progress(self) -> Progress:
        """The attempt, in which all that may be said again has been said again."""
        preemptions = int(self.state is None)
        return Progress(self.state, self.heard, self.batch, CLASS_PROMISE_RESENDS, preemptions)

    def resend(self) -> Fired:
        """What happens when it stays unanswered."""
        return Fired(ResendBatch(self.batch)) if self.batch else RESEND


class Disk(Value, frozen=True):
    """What is on a node's disk: its instance of the key, and its class promise to n1."""

    instance: Instance = EMPTY
    promised: Class | None = None


class Local(Value, frozen=True):
    """All that a node holds.

    Args:
        disk: what is on its disk, as a reader sees it.
        incarnation: its incarnation.
        begun: the ballots that it has begun, in all its lives, in order; the model's own memory.
        volatile: what a crash takes; None if no attempt is under way.
        told: the class promises that this incarnation was told, and by whom; a crash takes them too.
        synced: what a crash may leave of the disk; None if that is all of it.
    """

    disk: Disk = Disk()
    incarnation: int = 1
    begun: tuple[Ballot, ...] = ()
    volatile: Volatile | None = None
    told: frozenset[tuple[NodeId, PromiseClass]] = frozenset()
    synced: Disk | None = None

    @property
    def instance(self) -> Instance:
        """What the node holds for the key."""
        return self.disk.instance

    def restarted(self) -> "Local":
        """After a crash that took nothing from the disk: everything else is new."""
        return Local(self.disk, self.incarnation + 1, self.begun)

    def crashed(self) -> "tuple[Local, ...]":
        """What a crash may leave: the disk stays as it was, or loses what was not synced."""
        if self.synced is None:
            return (self.restarted(),)
        return (self.restarted(), replace(self, disk=self.synced).restarted())


class Reaction(Value, frozen=True):
    """What one event did.

    Args:
        local: the node afterwards, its records durable.
        begins: the ballot that it begins in this step, if it does.
        at_once: what may leave before the records are durable.
        after: what may not.
        alarmed: whether the node says that it found corruption or a bug.
    """

    local: Local
    begins: Ballot | None
    at_once: Sent
    after: Sent
    alarmed: bool


class Nodes:
    """Reactions of the nodes of one cluster.

    Args:
        config: the cluster.
        claims: what each node is asked to claim, each time that it begins an attempt; none for one
            that only finishes what others began.
        ballots: how many ballots each may begin.
        loses: whether a crash may take what was written without a sync.
        flies: whether what relies on a class promise travels as a batch.
    """

    def __init__(
        self,
        config: ClusterConfig,
        claims: Mapping[NodeId, tuple[Claim, ...]],
        ballots: Mapping[NodeId, int],
        loses: bool,
        flies: bool,
    ) -> None:
        self._flies = flies
        self._ballots = ballots
        self._loses = loses
        self._config = config
        self._claims = claims

    def wish(self, name: NodeId, local: Local) -> int:
        """Which of its claims a node makes next: another one each time, as long as there are."""
        return min(len(local.begun), max(len(self._claims[name]) - 1, 0))

    def opening(self, name: NodeId, wish: int) -> Event:
        """What makes this node begin an attempt."""
        claims = self._claims[name]
        return FromClient(1, (ClaimRequest(1, 1_000, True, claims[wish]),)) if claims else FINISH

    def react(self, name: NodeId, local: Local, event: Event) -> Reaction:
        """What an event does to a node that holds this."""
        replica = self._revive(name, local)
        effects = replica.step(NOW, [event], {KEY: local.instance})
        at_once = _sent(effects.at_once)
        begins = _begun(local, event, at_once)
        disk = _stored(effects, local.disk)
        after = Local(
            disk,
            local.incarnation,
            local.begun if begins is None else (*local.begun, begins),
            self._volatile(name, local, replica),
            frozenset(replica.volatile(KEY).told),
            _unsynced(effects, local, disk) if self._loses else None,
        )
        if len(after.begun) > max(len(local.begun), self._ballots.get(name, 0)):
            return Reaction(local, None, (), (), False)  # out of bounds: what it takes is lost
        after = self._without_use(name, local, after)
        return Reaction(after, begins, at_once, _sent(effects.after), bool(effects.alarms))

    def _without_use(self, name: NodeId, before: Local, after: Local) -> Local:
        """The same without class promises that no step to come looks at."""
        if len(after.begun) >= self._ballots.get(name, 0):
            return replace(after, told=frozenset())
        return after if before.instance == EMPTY else replace(after, told=before.told)

    def _revive(self, name: NodeId, local: Local) -> Replica:
        """A replica that holds what `local` says."""
        replica = Replica(self._config, self._recovered(name, local))
        if self._flies:
            replica.parts.coordinator.smallest_batch = 1
        if local.volatile is not None:
            replica.step(NOW, [self.opening(name, local.volatile.wish)], {KEY: EMPTY})
        progress = local.volatile.progress() if local.volatile is not None else None
        told = tuple(sorted(local.told))
        replica.restore(KEY, Held(progress, told, _flown(local)))
        return replica

    def _recovered(self, name: NodeId, local: Local) -> Recovered:
        identity = Identity(
            self._config.cluster_id,
            name,
            b"digest",
            b"disk",
            local.incarnation,
            b"nonce",
            b"formation",
        )
        held = local.instance
        read = self._config.nodes if held.learned is not None else ()
        in_doubt = held.accepted is not None and held.learned is None
        return Recovered(
            identity,
            IncarnationHistory(b""),
            (),
            tuple(CursorRecord(peer, b"disk", 1) for peer in read if peer != name),
            int(held.learned is not None),
            (KEY,) if in_doubt else (),
            () if local.disk.promised is None else (local.disk.promised,),
        )

    def _volatile(self, name: NodeId, before: Local, replica: Replica) -> Volatile | None:
        progress = replica.volatile(KEY).attempt
        if progress is None:
            return None
        held = before.volatile
        wish = self.wish(name, before) if held is None else held.wish
        return Volatile(progress.state, progress.heard, wish, progress.batch)


def _flown(local: Local) -> int:
    """How many batches this incarnation has made."""
    return sum(b.is_of_home and b.process.incarnation == local.incarnation for b in local.begun)


def _stored(effects: Effects, disk: Disk) -> Disk:
    """What the disk holds once the step's records are on it."""
    for record in effects.records:
        match record:
            case InstanceRecord(_, instance):
                disk = replace(disk, instance=instance)
            case ClassRecord(promised):
                disk = replace(disk, promised=promised)
            case _:
                pass
    return disk


def _unsynced(effects: Effects, before: Local, disk: Disk) -> Disk | None:
    """What a crash behind the step may leave, if it is less than all."""
    durable = before.disk if before.synced is None else before.synced
    return None if effects.sync or durable == disk else durable


def _sent(outgoing: list[Outgoing]) -> Sent:
    """The messages of Paxos among what is to be sent.

    One to nobody is left out: a nack has no sender here (see `network`), and a home that is refused
    for want of a class promise asks that sender once more. It has asked everybody already.
    """
    return tuple(
        (item.to, item.message)
        for item in outgoing
        if isinstance(item, Send) and item.to and isinstance(item.message, PaxosMessage)
    )


def _begun(local: Local, event: Event, at_once: Sent) -> Ballot | None:
    """The ballot that a step begins: by a prepare, or by an accept that needs none.

    A message makes a node go on in its ballot, or leave a batch that refuses it and prepare.
    """
    state = local.volatile.state if local.volatile is not None else None
    first = Prepare if isinstance(event, FromPeer) else Prepare | Accept | AcceptMany
    begins = (m.ballot for _, m in at_once if isinstance(m, first))
    return next((b for b in begins if event != RESEND or state is None or b != state.ballot), None)
