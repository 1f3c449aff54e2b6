"""Bursts of claims: several new keys of one home are claimed at once, so that they share a batch.

Sometimes a rival claims some of them at another node, a reader asks for one, or a client gives its
claim up before the home has done anything. Clients that retry or read later use these keys too. A
later burst may claim the same keys, when their home is in a later incarnation.
"""

import random
from itertools import count, islice

from decreed.registry.keys import home
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import GetRequest

from .clients import Clients
from .invariants import CheckedWorld
from .wanted import Mark

OFTEN = 0.04
AGAIN = 0.4
MOST = 5
TIMEOUTS_MS = (20, 100, 500, 2_000)


class Bursts:
    """Clients that send many claims at once.

    Args:
        world: the cluster that they ask.
        clients: sends the claims and records them.
    """

    def __init__(self, world: CheckedWorld, clients: Clients) -> None:
        self._world = world
        self._clients = clients
        self._latest: dict[NodeId, list[Key]] = {}

    def ask(self, chance: random.Random, tick: int) -> None:
        """Send a burst in some of the ticks, to any node that is up."""
        voters = self._world.epoch_check.last.nodes
        up = [node for node in self._world.up() if node in voters]
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
                self._world.event_counts.saw("a claim was given up before its batch left")
                self._clients.give_up(marks[-1])
            case _:
                pass

    def _keys(self, node: NodeId, tick: int, number: int) -> list[Key]:
        """Keys of this home that nobody has claimed yet."""
        keys = (Key(f"burst/{tick}/{n}") for n in count())
        nodes = self._world.epoch_check.last.nodes
        return list(islice((key for key in keys if home(key, nodes) == node), number))

    def _claim(self, node: NodeId, key: Key, timeout_ms: int) -> Mark:
        number = self._world.new_id()
        self._clients.claim(node, number, timeout_ms, True, self._clients.wish(key))
        return node, number

    def _rival(self, node: NodeId, chance: random.Random, keys: list[Key]) -> None:
        """Claim another value for some of the keys, at this node."""
        for key in chance.sample(keys, chance.randint(1, len(keys))):
            self._claim(node, key, chance.choice(TIMEOUTS_MS))

    def _read(self, node: NodeId, key: Key) -> None:
        self._clients.send(node, GetRequest(self._world.new_id(), 500, key))
