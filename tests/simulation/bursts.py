"""Bursts of claims: several fresh keys of one home are claimed at once, so that they fly together.

Now and then a rival claims some of them at another node, a reader asks for one, or a client gives its
claim up before the home has done anything. Whoever retries or reads later picks them up like any wish,
and a later burst may want the same keys, from a later life of their home.
"""

import random
from itertools import count, islice

from decreed.registry.keys import home
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import GetRequest

from .clients import Clients
from .wishes import Mark
from .witness import WitnessedWorld

OFTEN = 0.04
AGAIN = 0.4
MOST = 5
TIMEOUTS_MS = (20, 100, 500, 2_000)


class Bursts:
    """Clients that ask for much at once.

    Args:
        world: whom they ask.
        clients: who they are.
    """

    def __init__(self, world: WitnessedWorld, clients: Clients) -> None:
        self._world = world
        self._clients = clients
        self._latest: dict[NodeId, list[Key]] = {}

    def ask(self, chance: random.Random, tick: int) -> None:
        """Maybe there is a burst in this tick, at any node that is up."""
        up = self._world.up()
        if not up or chance.random() > OFTEN:
            return
        node = chance.choice(up)
        again = self._latest.get(node) if chance.random() < AGAIN else None
        keys = self._latest[node] = again or self._keys(node, tick, chance.randint(2, MOST))
        if chance.random() < 0.2:
            self._rival(chance.choice(up), chance, keys)
        timeout_ms = chance.choice(TIMEOUTS_MS)
        marks = [self._claim(node, key, timeout_ms) for key in keys]
        if chance.random() < 0.2:
            self._read(node, keys[-1])
        match chance.randrange(8):
            case 0 | 1:
                self._rival(chance.choice(up), chance, keys)
            case 2:
                self._world.sightings.saw("a claim was given up before it could fly")
                self._clients.give_up(marks[-1])
            case _:
                pass

    def _keys(self, node: NodeId, tick: int, number: int) -> list[Key]:
        """Keys that nobody has claimed, and that a node is home to."""
        keys = (Key(f"burst/{tick}/{n}") for n in count())
        nodes = self._world.config.nodes
        return list(islice((key for key in keys if home(key, nodes) == node), number))

    def _claim(self, node: NodeId, key: Key, timeout_ms: int) -> Mark:
        number = self._world.new_id()
        self._clients.claim(node, number, timeout_ms, True, self._clients.wish(key))
        return node, number

    def _rival(self, node: NodeId, chance: random.Random, keys: list[Key]) -> None:
        """Another value for some of the keys, wherever."""
        for key in chance.sample(keys, chance.randint(1, len(keys))):
            self._claim(node, key, chance.choice(TIMEOUTS_MS))

    def _read(self, node: NodeId, key: Key) -> None:
        self._clients.send(node, GetRequest(self._world.new_id(), 500, key))
