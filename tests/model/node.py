"""One node of the model: the shipped `Replica`, used as a pure function of its state.

A node's state in the model is a value: its disk for the one key, the number of its incarnation, and
its volatile state. `react` puts a real replica into that state, gives it one event, and reads the
new state and the messages of the replica, sorted as the replica sorted them: *at once*, or *after*
the records are durable. So the acceptor, the proposer, the learner and the contract between them
and the disk are the shipped code; the model has no second version of them.

One thing does not come from a disk: the number of the incarnation. The model counts it, as the
directory does.

Of feeds the model knows as much as one key needs. A node's feed ends at 1 if it has learned the
key, and at 0 otherwise. A home has read every feed as far as it has learned its entries. A real
home may have read less, and then counts fewer promises; that equals a promise which has not
arrived. A home that holds anything for the key, or may begin no more ballots, gets no class
promise, since it has no use for one.

In scenarios with batches, a batch has the one key, and a home makes at most one batch in each
incarnation.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import (
    ClassRecord,
    CursorRecord,
    DirectoryIdentity,
    InstanceRecord,
    Recovered,
)
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
from decreed.registry.replica.volatile import Volatile as Held
from decreed.registry.types import Ballot, Claim, Key, NodeId, Value
from decreed.registry.wire.requests import ClaimRequest

from ..support.unfolded import unfolded

KEY = Key("c")
"""A key that n1 is home to in clusters of every size."""
NOW = Moment(0.0, 0)
RESEND = Fired(Resend(KEY, 1))
RETRY = Fired(Retry(KEY, 1))
ASK = Fired(Sweep())
FINISH = Finish(KEY, None)


Sent = tuple[tuple[NodeId, PaxosMessage], ...]
"""Messages of Paxos, each with its receiver."""


class Volatile(Value, frozen=True):
    """The volatile state of an attempt.

    Args:
        state: the state of the ballot, with the votes on a batch; None during a pause after a nack.
        heard: the highest ballot reported by a nack.
        claim_index: which of the node's claims it is for.
        batch: the number of the batch that it travels in; 0 if it travels alone.
    """

    state: Preparing | Proposing | None
    heard: Ballot | None
    claim_index: int = 0
    batch: int = 0

    def progress(self) -> Progress:
        """The attempt, after all its repetitions."""
        preemptions = int(self.state is None)
        return Progress(self.state, self.heard, self.batch, CLASS_PROMISE_RESENDS, preemptions)

    def resend(self) -> Fired:
        """The timer that fires when it gets no answer."""
        return Fired(ResendBatch(self.batch)) if self.batch else RESEND


class Disk(Value, frozen=True):
    """The disk of a node: its instance of the key, and its class promise to n1."""

    instance: Instance = EMPTY
    promised: Class | None = None


class Local(Value, frozen=True):
    """The whole state of a node.

    Args:
        disk: its disk, as a reader sees it.
        incarnation: its incarnation.
        begun: the ballots that it has begun, in all its incarnations, in order; kept by the model.
        volatile: the attempt, which a crash loses; None if there is none.
        told: the class promises that this incarnation has received, with their senders; also volatile.
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
        """The node's instance of the key."""
        return self.disk.instance

    def restarted(self) -> "Local":
        """The state after a crash that took nothing from the disk: all else is new."""
        return Local(self.disk, self.incarnation + 1, self.begun)

    def crashed(self) -> "tuple[Local, ...]":
        """The states after a crash: the disk stays as it was, or loses what was not synced."""
        if self.synced is None:
            return (self.restarted(),)
        return (self.restarted(), replace(self, disk=self.synced).restarted())


class Reaction(Value, frozen=True):
    """The effect of one event.

    Args:
        local: the node afterwards, its records durable.
        begins: the ballot that it begins in this step; None if it begins none.
        at_once: the messages that may leave before the records are durable.
        after: the messages that wait for them.
        alarmed: whether the node raised an alarm.
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
        batches: whether what relies on a class promise travels as a batch.
    """

    def __init__(
        self,
        config: ClusterConfig,
        claims: Mapping[NodeId, tuple[Claim, ...]],
        ballots: Mapping[NodeId, int],
        loses: bool,
        batches: bool,
    ) -> None:
        self._batches = batches
        self._ballots = ballots
        self._loses = loses
        self._config = config
        self._claims = claims

    def next_claim(self, name: NodeId, local: Local) -> int:
        """The index of the claim that a node makes next: a new one each time, while there are any."""
        return min(len(local.begun), max(len(self._claims[name]) - 1, 0))

    def opening(self, name: NodeId, claim_index: int) -> Event:
        """The event that makes this node begin an attempt."""
        claims = self._claims[name]
        return (
            FromClient(1, (ClaimRequest(1, 1_000, True, claims[claim_index]),))
            if claims
            else FINISH
        )

    def react(self, name: NodeId, local: Local, event: Event) -> Reaction:
        """The effect of an event on a node in this state."""
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
            return Reaction(local, None, (), (), False)  # out of bounds: the event is lost
        after = self._without_use(name, local, after)
        return Reaction(after, begins, at_once, _sent(effects.after), bool(effects.alarms))

    def _without_use(self, name: NodeId, before: Local, after: Local) -> Local:
        """The same without class promises that no later step uses."""
        if len(after.begun) >= self._ballots.get(name, 0):
            return replace(after, told=frozenset())
        return after if before.instance == EMPTY else replace(after, told=before.told)

    def _revive(self, name: NodeId, local: Local) -> Replica:
        """A replica in the state `local`."""
        replica = Replica(self._config, self._recovered(name, local))
        if self._batches:
            replica.parts.coordinator.smallest_batch = 1
        if local.volatile is not None:
            replica.step(NOW, [self.opening(name, local.volatile.claim_index)], {KEY: EMPTY})
        progress = local.volatile.progress() if local.volatile is not None else None
        told = tuple(sorted(local.told))
        replica.restore(KEY, Held(progress, told, _batches_made(local)))
        return replica

    def _recovered(self, name: NodeId, local: Local) -> Recovered:
        identity = DirectoryIdentity(
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
        claim_index = self.next_claim(name, before) if held is None else held.claim_index
        return Volatile(progress.state, progress.heard, claim_index, progress.batch)


def _batches_made(local: Local) -> int:
    """How many batches this incarnation has made."""
    return sum(b.is_of_home and b.process.incarnation == local.incarnation for b in local.begun)


def _stored(effects: Effects, disk: Disk) -> Disk:
    """The disk after the step's records are written."""
    for record in unfolded(effects.records):
        match record:
            case InstanceRecord(_, instance):
                disk = replace(disk, instance=instance)
            case ClassRecord(promised):
                disk = replace(disk, promised=promised)
            case _:
                pass
    return disk


def _unsynced(effects: Effects, before: Local, disk: Disk) -> Disk | None:
    """What a crash after the step may leave of the disk; None if that is all of it."""
    durable = before.disk if before.synced is None else before.synced
    return None if effects.sync or durable == disk else durable


def _sent(outgoing: list[Outgoing]) -> Sent:
    """The Paxos messages among what is sent.

    A message without a receiver is left out. A nack has no sender here (see `network`), and a home
    that is refused for lack of a class promise asks that sender again. It has asked all nodes already.
    """
    return tuple(
        (item.to, item.message)
        for item in outgoing
        if isinstance(item, Send) and item.to and isinstance(item.message, PaxosMessage)
    )


def _begun(local: Local, event: Event, at_once: Sent) -> Ballot | None:
    """The ballot that a step begins: by a prepare, or by an accept without one.

    After a message a node continues its ballot, or leaves a batch that refuses its key and prepares.
    """
    state = local.volatile.state if local.volatile is not None else None
    first = Prepare if isinstance(event, FromPeer) else Prepare | Accept | AcceptMany
    begins = (m.ballot for _, m in at_once if isinstance(m, first))
    return next((b for b in begins if event != RESEND or state is None or b != state.ballot), None)
