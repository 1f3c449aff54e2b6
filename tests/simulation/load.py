"""Many clients at once and few faults: measures how fast the simulator is.

Each client has one request at a time and tries again when its node dies. Everything is checked and
judged as in a storm. The network delivers whole frames, as the real one does.
"""

import random

from decreed.registry.config import ClusterConfig
from decreed.registry.keys import homes, series_and_slot, slot_key
from decreed.registry.types import Claim, Key
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    GetRequest,
    LatestRequest,
    ListRequest,
)

from ..support.world import config
from .endings import check_disks, check_the_end
from .fault_rates import FaultRates
from .plan import Plan
from .storm import Storm
from .wanted import Asked, Wish

TICK_MS = 25
TIMEOUT_MS = 2_000
OFTEN = 0.04


class Load(Storm):
    """One run under load.

    Args:
        plan: decides everything that is left to chance.
        clients: the number of clients; each has one request at a time.
        claims: the number of claims to make.
    """

    WATCHED = 1_000

    def __init__(self, plan: Plan, clients: int = 256, claims: int = 5_000) -> None:
        super().__init__(plan)
        self._count = clients
        self._wanted = claims
        self._will = plan.chance("will")
        self.answered = 0
        self.clients.answered = self._on_answered
        self.clients.lost = self._on_lost
        self.world.framed = True
        self.world.late_reads = 0.0
        self.world.network.straggling = self.world.network.repeating = 0.0
        self.world.network.slow_ms = 2.0
        for node in self.world.config.nodes:
            self.world.drive(node).usual_ms = 3.0

    def _cluster(self, chance: random.Random) -> ClusterConfig:
        return config(chance.choice([3, 3, 5, 7]))

    def _climate(self) -> FaultRates:
        return FaultRates(self.world, self.plan, OFTEN)

    def run(self) -> None:
        """Run until enough claims were made; then check everything, as after a storm."""
        for _ in range(self._count):
            self._ask()
        tick = 0
        while self.clients.claims < self._wanted:
            self.fault_rates.strike(self.plan.chance("misfortune", tick))
            self._pass(TICK_MS)
            tick += 1
        check_disks(self.world)
        self._heal()
        check_the_end(self.world, self.watchers.each)
        self._judge()

    def _on_answered(self, asked: Asked) -> None:
        self.answered += asked.wish is not None
        self._go_on()

    def _on_lost(self, asked: Asked) -> None:
        """The node died: try a claim again, with the same id, at another node."""
        if asked.wish is not None and self.clients.claims < self._wanted:
            self._claim(asked.wish)
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self.clients.claims < self._wanted:
            # later: a node that is cut off answers immediately, and time would never pass
            self.world.at(self.world.now_ms + 1 + self._will.random(), self._ask)

    def _ask(self) -> None:
        kind, up = self._will.random(), self.world.up()
        if kind < 0.8 or not up:
            self._claim(self._wish())
            return
        node, number = self._will.choice(up), self.world.new_id()
        if kind < 0.94:
            self.clients.send(node, GetRequest(number, TIMEOUT_MS, self._key()))
        elif kind < 0.98:
            self.clients.send(node, LatestRequest(number, TIMEOUT_MS, self._series()))
        else:
            prefix = f"k/{self._will.randrange(256)}"
            self.clients.send(node, ListRequest(number, TIMEOUT_MS, prefix, "", 1_000))

    def _claim(self, wish: Wish) -> None:
        """Claim at the key's home, as the client library does, or at the next node that is up."""
        nodes = self.world.config.nodes
        up = self.world.up()
        node = next((n for n in homes(wish.claim.key, nodes) if n in up), None)
        if node is None:
            self.world.at(self.world.now_ms + 50, self._ask)
            return
        wish.tries += 1
        self.clients.claims += 1
        kind = ClaimNextRequest if wish.following else ClaimRequest
        self.clients.send(node, kind(self.world.new_id(), TIMEOUT_MS, False, wish.claim), wish)

    def _wish(self) -> Wish:
        wishes = self.world.wishes
        following = self._will.random() < 0.05
        key = slot_key(self._series(), 1) if following else self._key()
        if following:
            series, _ = series_and_slot(key)
            key = slot_key(series, max(1, self.world.last_slot(series)))
        claim_id = b"wish %d" % len(wishes)
        claim = Claim(key, b"of " + claim_id, "text/plain", "tester", claim_id)
        wish = wishes[claim_id] = Wish(claim, following)
        return wish

    def _key(self) -> Key:
        """One of many keys; some of them are claimed by several clients at about the same time."""
        near = len(self.world.wishes) + self._will.randrange(64)
        return Key(f"k/{near % 256}/{near}")

    def _series(self) -> str:
        return f"s{self._will.randrange(8)}"
