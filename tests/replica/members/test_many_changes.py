"""Random changes of members, with claims, lost messages, crashes and broken blocks in between.

A storm in small, over the whole core. In the end all nodes are up and connected. Then nobody has two
decrees for one key, nobody says undecided of a key that was decided, and the last epoch has voters.
"""

from collections.abc import Callable
from random import Random

import pytest

from decreed.registry.paxos.messages import Accepted, AcceptedMany, Commit, CommitMany
from decreed.registry.replica.feed import catchup
from decreed.registry.types import Decree, Key, NodeId
from decreed.registry.unserved import Unserved
from decreed.registry.wire.peers import Fetched, PeerMessage
from decreed.registry.wire.requests import ClaimRequest, Decreed, GetRequest, Undecided
from decreed.storage.layout import instance_key

from ...support.changing import ChangingWorld
from ...support.world import claim

NODES = [NodeId(f"n{number}") for number in range(1, 7)]
KEYS = [Key(f"k{number}") for number in range(12)]
OUTCOMES = Accepted | AcceptedMany | Commit | CommitMany | Fetched
STEPS = 14


class Storm:
    """One run.

    Args:
        seed: of all choices.
    """

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.world = ChangingWorld(NODES[3:], seed=seed)
        self.decided: dict[Key, Decree] = {}
        self._lost = random.choice([0.0, 0.05, 0.2])
        self._half_done = random.choice([0.0, 0.6, 0.9])
        self._cut: tuple[NodeId, ...] = ()
        self._down: list[NodeId] = []
        self.world.lose = self._loses

    def run(self) -> None:
        for _ in range(STEPS):
            self.random.choice(self._actions())()
            self.world.run(self.random.choice([1, 5, 50, 400]))
            self.world.meet()
            self.world.run(self.random.choice([1, 10, 300]))

    def calm(self) -> None:
        """Mend everything, and let the nodes find each other."""
        self.world.lose = lambda *_: False
        for down in self._down:
            self.world.boot(down)
        for node in NODES:
            self.world.machines[node].disk.restore()
        for _ in range(6):
            self.world.meet()
            self.world.run(3_000)

    def examine(self) -> None:
        """Check what the nodes have learned, and what they answer."""
        for answers in self.world.answers.values():
            for decree in [a.decree for a in answers if isinstance(a, Decreed)]:
                self._agree(decree)
        for node in NODES:
            storage = self.world.machines[node].storage
            assert storage is not None
            for found in storage.load(KEYS).values():
                assert isinstance(found, Unserved) or found.disputed is None, node
                if not isinstance(found, Unserved) and found.learned is not None:
                    self._agree(found.learned)
        assert self.world.voters(), "the last epoch has voters"
        for voter in self.world.voters():
            for key in KEYS:
                read = self.world.ask(voter, GetRequest(self.world.new_id(), 1_500, key))
                assert not isinstance(read, Undecided) or key not in self.decided, (voter, key)

    def _agree(self, decree: Decree) -> None:
        assert self.decided.setdefault(decree.key, decree) == decree

    def _loses(self, sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        if self.random.random() < self._lost or {sender, to} == set(self._cut):
            return True
        is_outcome = isinstance(message, OUTCOMES) and not getattr(message, "key", "").startswith(
            "$"
        )
        return is_outcome and self.random.random() < self._half_done

    def _actions(self) -> list[Callable[[], None]]:
        often: list[Callable[[], None]] = [self._claim, self._claim, self._change, self._change]
        return [*often, self._crash_or_boot, self._cut_or_mend, self._break_a_block]

    def _claim(self) -> None:
        for _ in range(self.random.randint(1, 6)):
            size = self.random.choice([3, 9_000])  # a long value has a row of its own
            value, claim_id = self.random.randbytes(1) * size, self.random.randbytes(8)
            wanted = claim(self.random.choice(KEYS), value, claim_id)
            here = self.random.random() < 0.5
            request = ClaimRequest(self.world.new_id(), 2_000, here, wanted)
            self.world.send(self.random.choice(self.world.up()), request)

    def _change(self) -> None:
        voters = self.world.voters()
        if voters:
            node = self.random.choice(voters)
            names = self.random.sample(NODES, self.random.choice([1, 3, 3, 3, 5]))
            number = self.world.replica(node).node.epoch.number + 1
            self.world.propose(node, self.world.epoch(number, *names))

    def _crash_or_boot(self) -> None:
        if self._down:
            self.world.boot(self._down.pop())
        else:
            self._down.append(NodeId(self.random.choice(self.world.up())))
            self.world.crash(self._down[0])

    def _cut_or_mend(self) -> None:
        self._cut = () if self._cut else tuple(self.random.sample(NODES, 2))

    def _break_a_block(self) -> None:
        """A half-done key of one node cannot be read until the end."""
        machine = self.world.machines[NodeId(self.random.choice(self.world.up()))]
        assert machine.storage is not None
        for key, found in machine.storage.load(KEYS).items():
            half_done = not isinstance(found, Unserved) and found.accepted and not found.learned
            if half_done and instance_key(key) in machine.disk.values:
                machine.disk.lose(instance_key(key))
                return


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost_or_decided_twice_over_many_changes(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 4)  # so that a feed has many pages
    storm = Storm(seed)
    storm.run()
    storm.calm()
    storm.examine()
