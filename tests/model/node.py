"""One node of the model: the shipped `Replica`, taken as a pure function of what it holds.

A node's state in the model is a value: what is on its disk for the one key, which life it is in, and
what a crash would take. `react` puts a real replica into that state, lets one event happen to it,
and reads off the new state and what the replica wants sent, sorted as the replica sorted it:
*at once*, or *after* the records are durable. So the acceptor, the proposer, the learner and the
contract between them and the disk are the code that ships; nothing is written a second time here.

One thing is not taken from a disk: which life this is. The model counts lives, as the directory does.
"""

from collections.abc import Mapping
from functools import cache

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import Identity, InstanceRecord, Recovered
from decreed.registry.lineage import Lineage
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.paxos.messages import PaxosMessage, Prepare
from decreed.registry.paxos.proposer import Preparing, Proposing
from decreed.registry.replica.coordinator import Attempt
from decreed.registry.replica.effects import Effects, Outgoing, Send
from decreed.registry.replica.events import (
    Event,
    Finish,
    Fired,
    FromClient,
    FromPeer,
    Moment,
    Resend,
    Retry,
)
from decreed.registry.replica.replica import Replica
from decreed.registry.types import Ballot, Claim, Key, NodeId, Value
from decreed.registry.wire.requests import ClaimRequest

KEY = Key("k")
NOW = Moment(0.0, 0)
RESEND = Fired(Resend(KEY, 1))
RETRY = Fired(Retry(KEY, 1))
FINISH = Finish(KEY, None)


Sent = tuple[tuple[NodeId, PaxosMessage], ...]
"""Messages of Paxos, each with its addressee."""


class Volatile(Value, frozen=True):
    """An attempt under way; `state` is None while it pauses after having been outbid."""

    state: Preparing | Proposing | None
    heard: Ballot | None


class Local(Value, frozen=True):
    """All that a node holds.

    Args:
        instance: what is on its disk.
        life: its incarnation.
        begun: the ballots that it has begun, in all its lives, in order; the model's own memory.
        volatile: what a crash takes; None if no attempt is under way.
    """

    instance: Instance = EMPTY
    life: int = 1
    begun: tuple[Ballot, ...] = ()
    volatile: Volatile | None = None

    def restarted(self) -> "Local":
        """After a crash: the disk stays, everything else is new."""
        return Local(self.instance, self.life + 1, self.begun)


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
    """Reactions of the nodes of one cluster; each is worked out once.

    Args:
        config: the cluster.
        claims: what each node is asked to claim; None for one that only finishes what others began.
    """

    def __init__(self, config: ClusterConfig, claims: Mapping[NodeId, Claim | None]) -> None:
        self._config = config
        self._claims = claims
        self.react = cache(self._react)

    def opening(self, name: NodeId) -> Event:
        """What makes this node begin an attempt."""
        claim = self._claims[name]
        if claim is None:
            return FINISH
        return FromClient(1, ClaimRequest(1, 1_000, True, claim))

    def _react(self, name: NodeId, local: Local, event: Event) -> Reaction:
        replica = self._revive(name, local)
        effects = replica.step(NOW, [event], {KEY: local.instance})
        at_once = _sent(effects.at_once)
        begins = None if isinstance(event, FromPeer) or event == RESEND else _prepared(at_once)
        begun = local.begun if begins is None else (*local.begun, begins)
        instance = _stored(effects, local.instance)
        after = Local(instance, local.life, begun, _volatile(_attempt(replica)))
        return Reaction(after, begins, at_once, _sent(effects.after), bool(effects.alarms))

    def _revive(self, name: NodeId, local: Local) -> Replica:
        """A replica that holds what `local` says."""
        identity = Identity(
            self._config.cluster_id, name, b"digest", b"disk", local.life, b"nonce", b"formation"
        )
        recovered = Recovered(identity, Lineage(b""), (), (), 1, ())
        replica = Replica(self._config, recovered)
        if local.volatile is not None:
            replica.step(NOW, [self.opening(name)], {KEY: EMPTY})
            attempt = _attempt(replica)
            assert attempt is not None, "an opening opens an attempt"
            attempt.state, attempt.heard = local.volatile.state, local.volatile.heard
            attempt.outbids = int(attempt.state is None)
        return replica


def _attempt(replica: Replica) -> Attempt | None:
    return replica._coordinator._attempts.get(KEY)


def _volatile(attempt: Attempt | None) -> Volatile | None:
    return None if attempt is None else Volatile(attempt.state, attempt.heard)


def _stored(effects: Effects, before: Instance) -> Instance:
    """What the disk holds for the key once the step's records are on it."""
    for record in effects.records:
        if isinstance(record, InstanceRecord) and record.key == KEY:
            before = record.instance
    return before


def _sent(outgoing: list[Outgoing]) -> Sent:
    """The messages of Paxos among what is to be sent."""
    return tuple(
        (item.to, item.message)
        for item in outgoing
        if isinstance(item, Send) and isinstance(item.message, PaxosMessage)
    )


def _prepared(at_once: Sent) -> Ballot | None:
    return next((message.ballot for _, message in at_once if isinstance(message, Prepare)), None)
