"""Clusters in the middle of a change of members, and single steps of their nodes."""

from collections.abc import Iterable

from decreed.registry.paxos.messages import Prepare
from decreed.registry.replica.step.effects import Effects, Send
from decreed.registry.replica.step.events import Event, FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId
from decreed.registry.wire.peers import StatePage

from .changing import ChangingWorld
from .world import claim

N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))


def changed(*names: str) -> ChangingWorld:
    """A cluster of three after one change: n3 is replaced by n4."""
    world = ChangingWorld([N4, *names])
    world.change(N1, N1, N2, N4)
    assert world.voters() == [N1, N2, N4]
    return world


def sealed() -> ChangingWorld:
    """The same, with every page of state lost: all have sealed, and nobody is ready."""
    world = ChangingWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.change(N1, N1, N2, N4, ms=300)
    assert world.voters() == []
    return world


def step(world: ChangingWorld, node: NodeId, *events: Event) -> Effects:
    """One step of a node alone; nothing of it leaves."""
    replica, storage = world.replica(node), world.machines[node].storage
    assert storage is not None
    return replica.step(world.moment(), events, storage.load(replica.needs(events)))


def said(effects: Effects) -> list[object]:
    """All messages of a step."""
    return [item.message for item in (*effects.at_once, *effects.after) if isinstance(item, Send)]


def of_kind(messages: Iterable[object], *kinds: type) -> list[object]:
    """The messages of these kinds."""
    return [message for message in messages if isinstance(message, kinds)]


def decree_of(key: str, ballot: Ballot, value: bytes = b"v") -> Decree:
    """A decree that was chosen in this ballot."""
    return Decree.of(claim(key, value), ballot, 0)


def prepared(node: NodeId, key: Key, ballot: Ballot) -> FromPeer:
    """A prepare message that arrives from a node."""
    return FromPeer(node, Prepare(key, ballot))
