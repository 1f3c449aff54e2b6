"""What a hand-over of a lock costs each node: turns, syncs, frames and messages.

`python -m tests.support.hand_overs` prints it, for a client alone and for eight contenders.
"""

from collections import Counter
from itertools import product

from decreed.registry.keys import homes
from decreed.registry.locks.terms import LeaseId, lease_id, lock_path
from decreed.registry.replica.step.events import FromClient
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import Answer, Ended, Granted, LockRequest

from .lockers import RELEASED, wanted
from .proven import to_end
from .turns import TurnsWorld

LOCK = "l"
TTL_MS = 10_000
TIMEOUT_MS = 10_000
WARM_UP = 20
COUNTED = 64
"""A multiple of the terms that are forgotten together."""
HOLDS_MS = 0.02
"""How long a client holds the lock, and how long it rests after that."""


class HandOvers(TurnsWorld):
    """Clients that each lock and unlock again and again, at the home of the lock.

    Args:
        contenders: how many they are.
        pace: see `TurnsWorld`.
    """

    def __init__(self, contenders: int, pace: float = 1.0) -> None:
        self.granted = 0
        self._claims = 0
        self._held: dict[int, LeaseId] = {}
        super().__init__(pace=pace)
        self.home = NodeId(homes(Key(lock_path(LOCK)), self.config.nodes)[0])
        self.run(3_000)
        for connection in range(1, contenders + 1):
            self._want(connection)

    def count(self, cycles: int) -> dict[str, Counter[str]]:
        """What so many hand-overs cost the home, and both peers together."""
        self._run_to(self.granted + WARM_UP)
        self.count_from_now()
        self._run_to(self.granted + cycles)
        peers = Counter[str]()
        for node, counts in self.counted.items():
            if node != self.home:
                peers += counts
        return {"home": Counter(self.counted[self.home]), "peers": peers}

    def _run_to(self, granted: int) -> None:
        deadline_ms = self.now_ms + 60_000
        while self.granted < granted:
            assert self.now_ms < deadline_ms, "the lock is no longer handed over"
            self.run(0.01)

    def on_answer(self, node: NodeId, answer: Answer) -> None:
        """Release what is granted, and ask again after that."""
        connection = answer.id % 1_000
        match answer:
            case Granted():
                assert answer.leased, "no keep-alive is needed"
                self.granted += 1
                self._held[connection] = lease_id(answer.decree)
                self.at(self.now_ms + HOLDS_MS * self.pace, lambda: self._release(connection))
            case Ended():
                self.at(self.now_ms + HOLDS_MS * self.pace, lambda: self._want(connection))
            case _:
                raise AssertionError(answer)

    def _want(self, connection: int) -> None:
        self._claims += 1
        claim = wanted(f"{connection} for the {self._claims}th time", TTL_MS)
        request = LockRequest(self._id(connection), TIMEOUT_MS, LOCK, True, claim)
        self.asks(self.home, FromClient(connection, (request,)))

    def _release(self, connection: int) -> None:
        request = to_end(self._id(connection), 1_000, self._held.pop(connection), RELEASED)
        self.asks(self.home, FromClient(connection, (request,)))

    def _id(self, connection: int) -> int:
        return self.new_id() * 1_000 + connection


def main() -> None:
    """Print the costs, for each hand-over."""
    for contenders, pace in product((1, 8), (1.0, 3.0)):
        world = HandOvers(contenders, pace)
        began_ms = world.now_ms
        counted = world.count(COUNTED)
        each_ms = (world.now_ms - began_ms) / (COUNTED + WARM_UP)
        print(f"{contenders} contenders, pace {pace:g}: {each_ms:.2f} ms each")
        for who, counts in counted.items():
            nodes = 1 if who == "home" else 2
            each = {what: count / COUNTED / nodes for what, count in sorted(counts.items())}
            print(f"  {who:6}", "  ".join(f"{what} {count:.2f}" for what, count in each.items()))


if __name__ == "__main__":
    main()
