"""A trial: a small cluster with faults, judged only by the answers to its clients.

Storms look into the nodes; here the judge of histories has only calls and answers. In return more
faults are allowed: a node may lose its whole disk, and come back as if it were new.
"""

import random
from collections.abc import Callable

from decreed.registry.replica.step.events import Reachable
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    GetRequest,
    LatestRequest,
    ListRequest,
    Request,
)

from ..history.judge import judge
from ..history.operations import Operation, Wish
from ..history.recorder import Pending, Recorder
from ..support.world import World, claim, config

ROUNDS = 60
TIMEOUT_MS = 150
SERIES = "s"


class Trial:
    """One trial.

    Args:
        number: the seed of all random choices.
    """

    def __init__(self, number: int) -> None:
        self._chance = random.Random(f"trial {number}")
        self._world = World(config(3), seed=number)
        self._world.lose = self._lose
        self._recorder = Recorder(lambda: self._world.now_ms)
        self._pending: dict[tuple[NodeId, int], Pending] = {}
        self._alone: set[NodeId] = set()
        self._claims = 0

    def run(self) -> None:
        """Run it, and assert that all answers are consistent."""
        for tick in range(ROUNDS):
            self._misfortune()
            self._ask(tick)
            self._pass(30)
        self._heal()
        verdict = judge(self.history)
        assert verdict.right, str(verdict.violations[0].rule.value)

    @property
    def history(self) -> list[Operation]:
        """The calls of the clients and their answers."""
        return self._recorder.history

    # -- faults

    def _lose(self, sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        return bool({sender, to} & self._alone) or self._chance.random() < 0.05

    def _misfortune(self) -> None:
        node = self._chance.choice(self._world.config.nodes)
        match self._chance.randrange(12):
            case 0 | 1:
                self._alone = {node}
            case 2 | 3:
                self._alone.clear()
            case 4 | 5:
                self._restart(node)
            case 6 if node in self._world.up():
                self._world.crash(node)
            case 7 if node in self._world.up():
                self._world.wipe(node)
                self._world.boot(node)
            case _:
                pass

    def _restart(self, node: NodeId) -> None:
        if node in self._world.up():
            self._world.crash(node)
        self._world.boot(node)
        for other in self._world.up():
            self._world.post(other, Reachable(node, True))

    def _heal(self) -> None:
        """End all faults, read the keys and list them at every node."""
        self._alone.clear()
        for node in self._world.config.nodes:
            self._restart(node)
        self._pass(1_000)
        for node in self._world.config.nodes:
            for tick in range(0, ROUNDS, 10):
                self._get(node, self._key(tick))
            self._list(node)
        self._pass(1_000)

    # -- clients

    def _ask(self, tick: int) -> None:
        if not (up := self._world.up()):
            return
        asks: list[Callable[[NodeId], None]] = [
            lambda node: self._claim(node, self._key(tick)),
            lambda node: self._claim(node, self._key(tick)),
            lambda node: self._get(node, self._key(tick)),
            self._claim_next,
            self._latest,
            self._list,
        ]
        for _ in range(2):
            self._chance.choice(asks)(self._chance.choice(up))

    def _key(self, tick: int) -> Key:
        return Key(f"k{tick // 10}")

    def _claim(self, node: NodeId, key: Key) -> None:
        wanted = claim(key, *self._words())
        request = ClaimRequest(self._world.new_id(), TIMEOUT_MS, True, wanted)
        self._send(node, request, self._recorder.claim(node, wanted))

    def _claim_next(self, node: NodeId) -> None:
        wanted = claim(f"{SERIES}@1", *self._words())
        request = ClaimNextRequest(self._world.new_id(), TIMEOUT_MS, True, wanted)
        wish = Wish.of(wanted)
        self._send(node, request, self._recorder.claim_next(node, SERIES, wish, 1))

    def _get(self, node: NodeId, key: Key) -> None:
        request = GetRequest(self._world.new_id(), TIMEOUT_MS, key)
        self._send(node, request, self._recorder.get(node, key))

    def _latest(self, node: NodeId) -> None:
        request = LatestRequest(self._world.new_id(), TIMEOUT_MS, SERIES)
        self._send(node, request, self._recorder.latest(node, SERIES))

    def _list(self, node: NodeId) -> None:
        request = ListRequest(self._world.new_id(), TIMEOUT_MS, "", "", 1_000)
        self._send(node, request, self._recorder.list(node))

    def _words(self) -> tuple[bytes, bytes]:
        """A value and an id that were not used before."""
        self._claims += 1
        return b"value %d" % self._claims, b"claim %d" % self._claims

    def _send(self, node: NodeId, request: Request, pending: Pending) -> None:
        self._pending[self._world.send(node, request)] = pending

    def _pass(self, ms: float) -> None:
        self._world.run(ms)
        for mark, pending in list(self._pending.items()):
            for answer in self._world.answers[mark]:
                pending.answered(answer)
                self._pending.pop(mark, None)
