"""Clusters that keep few terms of the lock ``l``, and a node that missed most terms."""

from collections.abc import Callable

from msgspec.structs import replace

from decreed.registry.config import LockTerms
from decreed.registry.locks.terms import (
    Ending,
    How,
    lease_id,
    term_key,
)
from decreed.registry.paxos.messages import Accepted, Commit, Nack, Promise
from decreed.registry.replica.step.effects import Effects
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Decree, Key, NodeId
from decreed.registry.unserved import ForgottenInstance
from decreed.registry.wire.leases import ForgottenTerms
from decreed.registry.wire.peers import FeedPage, Fetched, PeerMessage, Query
from decreed.registry.wire.requests import (
    Ended,
    Granted,
    LockRequest,
)

from .proven import to_end, wish
from .world import Lose, World, config

KEEP = 8
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


class MortalWorld(World):
    """A cluster in which a node may be killed before or after the write of any step.

    Attributes:
        dies: whether a node dies at this point: "before the write" or "after the write".
    """

    dies: Callable[[NodeId, str], bool] = staticmethod(lambda *_: False)

    def _carry_out(self, node: NodeId, effects: Effects) -> None:
        if self.dies(node, "before the write"):
            self._deliver(node, effects.at_once)
            self.crash(node)
        elif self.dies(node, "after the write"):
            self._deliver(node, effects.at_once)
            self._write(node, effects)
            self.crash(node)
        else:
            super()._carry_out(node, effects)


def forgetful(size: int = 3) -> MortalWorld:
    """A cluster with the smallest number of kept terms."""
    return MortalWorld(replace(config(size), locks=LockTerms(KEEP)))


def floor_after(terms: int) -> int:
    """The floor after that many terms are learned."""
    return terms - terms % 16 - KEEP + 1


def cycle(world: World, node: str = "n1", lock: str = "l") -> Decree:
    """Let a holder get a lock and release it."""
    name = str(world.new_id())
    wanted = wish(name, b"id of " + name.encode(), 1_000)
    granted = world.ask(node, LockRequest(world.new_id(), 20_000, lock, True, wanted))
    assert isinstance(granted, Granted), granted
    over = to_end(world.new_id(), 1_000, lease_id(granted.decree), Ending(How.RELEASED))
    assert isinstance(world.ask(node, over), Ended)
    return granted.decree


def cycles(world: World, count: int, node: str = "n1") -> list[Decree]:
    return [cycle(world, node) for _ in range(count)]


def held_for(world: World, node: str, term: int) -> object:
    """The instance of a term on the node's disk."""
    storage, key = world.machines[NodeId(node)].storage, term_key("l", term)
    assert storage is not None
    return storage.load([key])[key]


def has_forgotten(world: World, node: str, term: int) -> bool:
    return isinstance(held_for(world, node, term), ForgottenInstance)


def votes(world: World, node: str, term: int) -> list[PeerMessage]:
    """The node's answers about a term as an acceptor."""
    return [
        message
        for sender, _, message in world.sent
        if sender == node
        and isinstance(message, Promise | Accepted | Nack)
        and message.key == term_key("l", term)
    ]


def cut_off(node: NodeId) -> Lose:
    """Lose all decrees to the node except those that it asks for by a query."""
    asked: set[Key] = set()

    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        if sender == node and isinstance(message, Query):
            asked.update(message.keys)
        told = isinstance(message, Commit) and message.key in asked
        return to == node and isinstance(message, FeedPage | Commit | Fetched) and not told

    return lose


def lagging(count: int) -> World:
    """A cluster with a node that missed all terms except the first, and gets only what it asks for."""
    world = forgetful()
    cycle(world)
    world.run(1_000)
    world.crash(N3)
    cycles(world, count)
    world.boot(N3)
    world.lose = cut_off(N3)
    return world


def in_doubt() -> World:
    """A cluster with a node that accepted the second term, missed the rest, and gets only answers."""
    world = forgetful()
    world.lose = cut_off(N3)
    cycles(world, 2)
    world.crash(N3)
    cycles(world, 40)
    world.boot(N3)
    return world


def tell_floor(world: World) -> None:
    """Let a node send its floor to the one that lags."""
    storage = world.machines[N1].storage
    assert storage is not None
    held = storage.load([term_key("l", 1)])[term_key("l", 1)]
    assert isinstance(held, ForgottenInstance)
    world.post(N3, FromPeer(N1, ForgottenTerms("l", held.floor)))
    world.settle()
