"""Truncation under random faults: no term is ever chosen twice, and the lock works on (design 11)."""

import os
import random

import pytest

from decreed.registry.locks.terms import Ending, How, lease_id, lock_and_term, term_key
from decreed.registry.paxos.messages import Accept, Accepted, Commit
from decreed.registry.types import Ballot, Decree, Key, NodeId
from decreed.registry.wire.peers import FeedPage, Fetched, PeerMessage
from decreed.registry.wire.requests import GetRequest, Granted, LockRequest

from ...support.forgetful import KEEP, cycle, forgetful, has_forgotten
from ...support.proven import to_end, wish
from ...support.world import World, stored

SEEDS = range(1, 1 + int(os.environ.get("DECREED_TEST_STORMS", "6")))
TICKS = 160
TICK_MS = 120


class Ballots:
    """What was chosen, counted from the votes that left."""

    def __init__(self, world: World) -> None:
        self.chosen: dict[Key, Decree] = {}
        self._world = world
        self._seen = 0
        self._values: dict[tuple[Key, Ballot], Decree] = {}
        self._votes: dict[tuple[Key, Ballot], set[NodeId]] = {}

    def count(self) -> None:
        """Count the messages since the last call."""
        for sender, _, message in self._world.sent[self._seen :]:
            self._look(sender, message)
        self._seen = len(self._world.sent)

    def _look(self, sender: NodeId, message: PeerMessage) -> None:
        match message:
            case Accept(key, ballot, decree):
                assert self._values.setdefault((key, ballot), decree) == decree
            case Accepted(key, ballot):
                votes = self._votes.setdefault((key, ballot), set())
                votes.add(sender)
                if self._world.config.quorums.accepted(votes) and (key, ballot) in self._values:
                    decree = self._values[key, ballot]
                    assert self.chosen.setdefault(key, decree) == decree, f"{key} is chosen twice"
            case Commit(key, decree) if key in self.chosen:
                assert self.chosen[key] == decree
            case Fetched(decrees):
                assert all(self.chosen.get(decree.key, decree) == decree for decree in decrees)
            case _:
                pass


class Storm:
    """One run: faults, and clients that take the lock, release it, and read its old terms."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = forgetful(self.chance.choice((3, 3, 5)))
        self.ballots = Ballots(self.world)
        self.pending: dict[tuple[NodeId, int], None] = {}
        self.world.delays = lambda *_: self._delays()

    def tick(self) -> None:
        """Perhaps one fault, some requests, and some time."""
        if self.chance.random() < 0.5:
            self._misfortune()
        for _ in range(self.chance.randrange(1, 4)):
            self._wish()
        self.world.run(TICK_MS)
        self._give_back()
        self.ballots.count()

    def heal(self) -> None:
        """End all faults."""
        self.world.lose = lambda *_: False
        self.world.delays = lambda *_: (0.0,)
        for node in self.world.config.nodes:
            if node not in self.world.up():
                self.world.boot(node)
        for _ in range(40):
            self.world.run(500)
            self._give_back()
        self.ballots.count()

    def _delays(self) -> tuple[float, ...]:
        luck = self.chance.random()
        if luck < 0.8:
            return (self.chance.random() * 4,)
        return (self.chance.random() * 3_000,) * (1 + (luck > 0.95))

    def _misfortune(self) -> None:
        node, share = self.chance.choice(self.world.config.nodes), self.chance.random() * 0.3
        up = self.world.up()
        match self.chance.randrange(5):
            case 0 if node in up and len(up) > self.world.config.quorums.accept:
                self.world.crash(node)
            case 1 | 2 if node not in up:
                self.world.boot(node)
            case 3:
                kinds = self.chance.choice(
                    (FeedPage | Commit | Fetched, FeedPage, Commit | Fetched)
                )
                self.world.lose = lambda _, to, message: to == node and isinstance(message, kinds)
            case _:
                self.world.lose = lambda *_: self.chance.random() < share

    def _wish(self) -> None:
        node = self.chance.choice(self.world.up())
        number = self.world.new_id()
        if self.chance.random() < 0.2:
            term = self.chance.randrange(1, 2 + len(self.ballots.chosen))
            self.world.send(node, GetRequest(number, 2_000, term_key("l", term)))
        else:
            wanted = wish("somebody", b"id %d" % number, 300)
            queue = self.chance.random() < 0.7
            mark = self.world.send(node, LockRequest(number, 2_000, "l", queue, wanted))
            self.pending[mark] = None

    def _give_back(self) -> None:
        for mark in [mark for mark in self.pending if self.world.answers[mark]]:
            del self.pending[mark]
            [answer] = self.world.answers[mark]
            if isinstance(answer, Granted) and self.world.up():
                self._check_granted(answer.decree)
                over = Ending(How.RELEASED)
                request = to_end(self.world.new_id(), 1_000, lease_id(answer.decree), over)
                self.world.send(self.chance.choice(self.world.up()), request)

    def _check_granted(self, decree: Decree) -> None:
        self.ballots.count()
        assert self.ballots.chosen[decree.key] == decree


@pytest.mark.parametrize("seed", SEEDS)
def test_no_term_is_chosen_twice_though_most_are_forgotten(seed: int) -> None:
    storm = Storm(seed)
    for _ in range(TICKS):
        storm.tick()
    storm.heal()
    world, chosen = storm.world, storm.ballots.chosen
    terms = sorted(lock_and_term(key)[1] for key in chosen)
    assert terms == list(range(1, len(terms) + 1)), "terms have no gaps"
    assert len(terms) > 3 * KEEP, "enough has happened"
    assert world.alarms == [] and world.rejected == []
    for node in world.config.nodes:
        assert world.replica(node).parts.acceptors.unlearned == 0
        assert has_forgotten(world, node, 1)
        for term in terms[-KEEP:]:
            assert stored(world, node, term_key("l", term)).learned == chosen[term_key("l", term)]
    assert lock_and_term(cycle(world).key)[1] == len(terms) + 1
