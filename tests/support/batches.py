"""Claims that share a batch, and the messages about their batches."""

from collections.abc import Sequence
from itertools import count, islice

from decreed.registry.keys import home
from decreed.registry.paxos.decrees import Decrees
from decreed.registry.paxos.messages import (
    AcceptMany,
    Prepare,
)
from decreed.registry.replica.step.effects import Effects
from decreed.registry.replica.step.events import Event, FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import ClaimRequest, Decreed

from .world import World, claim

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
Mark = tuple[NodeId, int]


def keys_of(world: World, number: int = 3, node: str = N1) -> list[Key]:
    """Keys whose home is `node`."""
    keys = (Key(f"k{n}") for n in count())
    return list(islice((k for k in keys if home(k, world.config.nodes) == node), number))


def identity(incarnation: int = 1, node: NodeId = N1) -> Ballot:
    return Ballot.of_home(Process(node, incarnation))


def asks(world: World, key: Key, value: bytes = b"v", timeout_ms: int = 5_000) -> ClaimRequest:
    wanted = claim(key, value, f"{key} {value!r} {world.new_id()}".encode())
    return ClaimRequest(world.new_id(), timeout_ms, True, wanted)


def propose_batch(world: World, keys: Sequence[Key], value: bytes = b"v") -> list[Mark]:
    """Claim all of these in one step of their home."""
    return [world.send(N1, asks(world, key, value)) for key in keys]


def decrees(world: World, marks: Sequence[Mark]) -> list[Decree]:
    """The answers to the claims, which must be decrees."""
    answers = [answer for mark in marks for answer in world.answers[mark]]
    found = [answer.decree for answer in answers if isinstance(answer, Decreed)]
    assert len(found) == len(answers) == len(marks), answers
    return found


def said(world: World, kind: type, sender: NodeId, to: NodeId) -> list[PeerMessage]:
    return [m for s, t, m in world.sent if (s, t) == (sender, to) and isinstance(m, kind)]


def proposed(key: Key, ballot: Ballot, value: bytes = b"v") -> Decree:
    return Decree.of(claim(key, value, b"id-" + value + key.encode()), ballot, 0)


def proposal(keys: Sequence[Key], ballot: Ballot | None = None, number: int = 1) -> AcceptMany:
    at = ballot or identity()
    return AcceptMany(at, number, Decrees(proposed(key, at) for key in keys))


def take(world: World, node: NodeId, *messages: tuple[NodeId, PeerMessage]) -> None:
    """Deliver messages to a node in one step."""
    for sender, message in messages:
        world.post(node, FromPeer(sender, message))
    world.settle()


def step(world: World, node: NodeId, *events: Event) -> Effects:
    """The effects of one step of a node, which are not carried out."""
    replica, storage = world.replica(node), world.machines[node].storage
    assert storage is not None
    return replica.step(world.moment(), events, storage.load(replica.needs(events)))


def under_way(world: World, node: str = N1) -> int:
    return len(world.replica(node).pending_work().get("batches", ()))


def unheard(world: World, *kinds: type) -> None:
    """Lose all messages of these kinds from now on."""
    world.lose = lambda sender, to, message: isinstance(message, kinds)


def heard(world: World) -> None:
    world.lose = lambda *_: False


def without_n3(world: World) -> None:
    world.lose = lambda sender, to, message: N3 in (sender, to)


def promised_to(world: World, node: NodeId, keys: Sequence[Key], round_: int = 1) -> Ballot:
    """Let a node promise a ballot of n3 for each of these keys separately."""
    ballot = Ballot(round_, Process(N3, 1))
    take(world, node, *((N3, Prepare(key, ballot)) for key in keys))
    return ballot


def settled(world: World, marks: Sequence[Mark]) -> list[Decree]:
    world.settle()
    return decrees(world, marks)
