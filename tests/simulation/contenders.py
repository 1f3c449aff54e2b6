"""Contenders for locks: programs with clocks, pauses and a bad connection to the cluster.

A contender does what the client library does, by the same pure rules (`registry.locks.holding`). It
asks with one claim id until it is answered, counts validity from the time of sending, keeps its term
alive, and releases it. Or it dies, or it stops for any time and continues without noticing. It may
give up at any point, and repeats that until a quorum has taken the give-up. Some contenders are
thieves: they name the claims of others, which all can read, and show secrets of their own.
"""

import random
from collections.abc import Callable
from enum import Enum
from functools import partial

from decreed.registry.locks.holding import MAX_CLOCK_DRIFT, Holding
from decreed.registry.locks.terms import (
    Ending,
    How,
    LeaseId,
    lease_id,
    lock_and_term,
    term_of,
)
from decreed.registry.replica.step.events import ClientGone, FromClient
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import (
    Answer,
    Ended,
    EndRequest,
    GivenUp,
    GiveUpRequest,
    Granted,
    HeldBy,
    HolderRequest,
    KeepAliveRequest,
    Kept,
    LockRequest,
    Superseded,
)

from ..support.proven import secret_of, to_end, to_give_up, to_keep, wish
from .lease_spans import LockWorld, Spans

LOSS = 0.05
RELEASED = Ending(How.RELEASED)
Sent = LockRequest | KeepAliveRequest | EndRequest | HolderRequest | GiveUpRequest


class Stage(Enum):
    """The state of a contender."""

    ASKING = "asking"
    CONFIRMING = "confirming"
    HOLDING = "holding"
    GIVING_UP = "giving up"
    OVER = "over"


class Mood(Enum):
    """The kind of trouble in a run.

    *Sluggish*: leases are shorter than messages between nodes take, so that requests cross each other.
    *Drifting*: leases are long; the nodes' clocks run as fast as allowed, the contenders' as slowly.
    *Patient*: leases are so long that nobody gets a lock because one ran out.
    """

    MIXED = (100, 200, 300, 1_000, 5_000)
    SLUGGISH = (100, 150, 200)
    DRIFTING = (20_000,)
    PATIENT = (5_000, 30_000)


class Contender:
    """One program that wants one lock, once.

    Args:
        world: the cluster.
        spans: records every validity.
        number: identifies the contender.
        lock: the lock that it wants.
        mood: the kind of trouble in this run.
        chance: decides everything about the contender.
    """

    def __init__(
        self,
        world: LockWorld,
        spans: Spans,
        number: int,
        lock: str,
        mood: Mood,
        chance: random.Random,
    ) -> None:
        self._world, self._spans, self._chance = world, spans, chance
        drift = -1 if mood is Mood.DRIFTING else chance.choice([-1, 1, chance.uniform(-1, 1)])
        self._rate = 1 + drift * MAX_CLOCK_DRIFT
        self._connection = 10 + number
        self._lock, self.queue = lock, chance.random() < 0.8
        ttl_ms = chance.choice(mood.value)
        self.claim = wish(f"c{number}", b"c%d" % number, ttl_ms)
        self._hold_ms = chance.choice([0, 10, 200, 2_000, 20_000])
        self.stage = Stage.ASKING
        self.holding: Holding | None = None
        self._awake_ms = 0.0
        self._cut_until_ms = 0.0
        self._gone = False
        self._asked_ms: list[float] = []
        self._sent: dict[int, float] = {}
        self._asked: dict[NodeId, None] = {}
        self._given_up_ms = 0.0
        self._said_given_up: set[int] = set()
        self._thefts: set[int] = set()
        world.wanted[self.claim.claim_id] = (lock, self.claim)

    # -- its clock, its pauses, its connection

    def _now_ms(self) -> float:
        return self._world.now_ms * self._rate

    def _later(self, ms: float, action: Callable[[], None]) -> None:
        """Do something when `ms` have passed on its own clock, and it is awake."""
        self._world.at(self._world.now_ms + ms / self._rate, partial(self._awake, action))

    def _awake(self, action: Callable[[], None]) -> None:
        if self.stage is Stage.OVER:
            return
        if self._world.now_ms < self._awake_ms:
            self._world.at(self._awake_ms, partial(self._awake, action))
        else:
            action()

    def pause(self, ms: float) -> None:
        """Stop, as in a long garbage collection; the contender does not notice."""
        self._awake_ms = max(self._awake_ms, self._world.now_ms + ms)
        self._world.seen[f"a contender paused while {self.stage.value}"] += 1

    def cut_off(self, ms: float) -> None:
        """Lose all messages in both directions for `ms`."""
        self._cut_until_ms = max(self._cut_until_ms, self._world.now_ms + ms)
        self._world.seen[f"a contender was cut off while {self.stage.value}"] += 1

    def _is_lost(self) -> bool:
        return self._world.now_ms < self._cut_until_ms or self._chance.random() < LOSS

    def die(self, noticed: bool) -> None:
        """End without releasing; the nodes may notice that the connection is gone."""
        self._world.seen[f"a contender died while {self.stage.value}"] += 1
        self._end()
        self._gone = noticed
        if noticed:
            self._hang_up()

    def reconnect(self) -> None:
        """Lose the connections and make new ones, by which the nodes do not know it."""
        self._world.seen[f"a contender's links broke while {self.stage.value}"] += 1
        self._hang_up()
        self._connection += 1_000

    def _hang_up(self) -> None:
        for node in self._world.machines:
            self._world.post(node, ClientGone(self._connection))

    def _send(self, request: Sent, to: NodeId | None = None) -> None:
        """Send a request to a node that is up; it may be lost or late."""
        self._sent[request.id] = self._now_ms()
        node = to or self._chance.choice(tuple(self._world.machines))
        if isinstance(request, LockRequest):
            self._asked[node] = None
        if self._is_lost():
            return
        arrive = partial(self._arrive, node, FromClient(self._connection, (request,)))
        self._world.at(self._world.now_ms + self._trip_ms(), arrive)

    def _arrive(self, node: NodeId, event: FromClient) -> None:
        """Deliver a request, unless the node has seen its connection end."""
        if not self._gone and event.connection == self._connection:
            self._world.post(node, event)

    def _trip_ms(self) -> float:
        slow = self._chance.random() < 0.05
        return self._chance.random() * (600.0 if slow else 5.0)

    def take(self, answer: Answer) -> None:
        """A node has answered; the answer travels to the contender."""
        if not self._is_lost():
            handle = partial(self._awake, partial(self._take, answer))
            self._world.at(self._world.now_ms + self._trip_ms(), handle)

    # -- what a contender does

    def begin(self) -> None:
        """Ask for the lock; repeat that with the same claim id until there is an answer."""
        if self.stage is not Stage.ASKING:
            return
        self._asked_ms.append(self._now_ms())
        timeout_ms = self._chance.choice([200, 2_000, 20_000])
        request = LockRequest(self._world.new_id(), timeout_ms, self._lock, self.queue, self.claim)
        self._send(request)
        if self._chance.random() < 0.1:
            self._release_what_is_not_his()
        if self._chance.random() < 0.1:
            self._steal()
        self._later(self._chance.choice([50, 200, 2_500, 21_000]), self.begin)

    def _release_what_is_not_his(self) -> None:
        """As a confused program does, release a term that another claim won."""
        prefix = f"$locks/{self._lock}@"
        terms = [
            key
            for key, decree in self._world.chosen.items()
            if key.startswith(prefix) and decree.claim_id != self.claim.claim_id
        ]
        if terms:
            number = lock_and_term(self._chance.choice(terms[-2:]))[1]
            others = LeaseId(self._lock, number, self.claim.claim_id)
            self._world.seen["a loser released"] += 1
            self._send(to_end(self._world.new_id(), 500, others, RELEASED))

    def _steal(self) -> None:
        """As a thief does, give up, keep or release the claims of others without their secret."""
        others = [one for one in self._world.wanted if one != self.claim.claim_id]
        if not others:
            return
        victim = self._chance.choice(others)
        lock, claim = self._world.wanted[victim]
        self._world.seen["a thief showed a secret of his own"] += 1
        id, secret = self._world.new_id(), secret_of(b"thief")
        self._send(GiveUpRequest(id, 500, lock, victim, claim.ttl_ms, secret))
        terms = [lease_id(d) for d in self._world.chosen.values() if d.claim_id == victim]
        for held in terms[:1]:
            thefts = (
                EndRequest(self._world.new_id(), 500, held, RELEASED, secret),
                KeepAliveRequest(self._world.new_id(), 500, held, secret),
            )
            for theft in thefts:
                self._thefts.add(theft.id)
                self._send(theft)

    def give_up(self) -> None:
        """Give the claim up, and tell every node that was asked."""
        if self.stage in (Stage.OVER, Stage.GIVING_UP):
            return
        self._world.seen[f"a contender gave up while {self.stage.value}"] += 1
        self._world.given_up.add(self.claim.claim_id)
        self._end()
        self.stage = Stage.GIVING_UP
        self._given_up_ms = self._now_ms()
        for node in self._asked:
            self._say_given_up(node)
        self._say_it_again()

    def _say_given_up(self, to: NodeId | None) -> None:
        request = to_give_up(self._world.new_id(), 500, self._lock, self.claim)
        self._said_given_up.add(request.id)
        self._send(request, to)

    def _say_it_again(self) -> None:
        """Repeat the give-up, to one node or another, for one ttl or until it is taken."""
        if self.stage is not Stage.GIVING_UP:
            return
        if self._now_ms() > self._given_up_ms + self.claim.ttl_ms:
            self.stage = Stage.OVER
            return
        self._say_given_up(None)
        self._later(self._chance.choice([30, 100, 600]), self._say_it_again)

    def _take(self, answer: Answer) -> None:
        if answer.id in self._thefts:  # S10: it tells a thief nothing, and nothing of his own claim
            assert not isinstance(answer, Kept | Ended), f"a thief was told {answer}"
            return
        sent_ms = self._sent.get(answer.id)
        if self.stage is Stage.GIVING_UP:
            if isinstance(answer, GivenUp) and answer.id in self._said_given_up:
                self._world.seen["a quorum took a give-up"] += 1
                self.stage = Stage.OVER
            return
        match answer:
            case Granted() if self.stage is Stage.ASKING:
                self._granted(answer)
            case Kept() if sent_ms is not None and self.holding is not None:
                self._confirmed(sent_ms)
            case Superseded() if self.holding is not None:
                self._world.seen["a holder was superseded"] += 1
                self._end()
            case HeldBy() if self.stage is Stage.ASKING and not self.queue:
                self._world.seen["the lock was held"] += 1
                # an earlier request, at another node, may get a term
                if len(self._asked_ms) > 1:
                    self.give_up()
                else:
                    self._end()
            case _:
                pass

    def _granted(self, granted: Granted) -> None:
        held = lease_id(granted.decree)
        assert held.claim_id == self.claim.claim_id
        self._world.seen["granted"] += 1
        self._world.agree(granted.decree)
        ttl_ms, now_ms = term_of(granted.decree).ttl_ms, self._now_ms()
        self.holding = Holding.granted(held, ttl_ms, granted.leased, self._asked_ms, now_ms)
        self.stage = Stage.CONFIRMING
        if self.holding.until_ms is not None:
            self._world.seen["a claim was its own first keep-alive"] += 1
            self._hold()
        late = self._chance.random() < 0.4
        self._later(ttl_ms * self._chance.uniform(0.5, 1.5) if late else 0.0, self._keep_alive)

    def _confirmed(self, sent_ms: float) -> None:
        """A quorum has answered: the validity is a ttl less the margin, from the time of sending."""
        assert self.holding is not None
        self.holding = self.holding.confirmed(sent_ms, self._now_ms())
        self._hold()

    def _hold(self) -> None:
        assert self.holding is not None
        if not self.holding.valid(self._now_ms()):
            if self.stage is Stage.HOLDING:
                self._world.seen["a validity lapsed"] += 1
                self._end()
            return
        if self.stage is Stage.CONFIRMING:
            self.stage = Stage.HOLDING
            self._later(self._hold_ms, self._finish)
        until_ms = self.holding.until_ms
        assert until_ms is not None
        self._spans.holds(self.holding.lease_id, self._world.now_ms, until_ms / self._rate)

    def _keep_alive(self) -> None:
        if self.holding is None or self.stage is Stage.GIVING_UP:
            return
        if self.stage is Stage.HOLDING and not self.holding.valid(self._now_ms()):
            self._world.seen["a validity lapsed"] += 1
            self._end()
            return
        request = to_keep(self._world.new_id(), 500, self.holding.lease_id)
        self._send(request)
        if self._chance.random() < 0.3:
            self._world.seen["a keep-alive was sent twice"] += 1
            self._send(request)
        self._later(self.holding.ttl_ms / 3, self._keep_alive)

    def _finish(self) -> None:
        """The work is done: release the lock."""
        if self.holding is None or self.stage in (Stage.OVER, Stage.GIVING_UP):
            return
        held = self.holding.lease_id
        self._world.seen["a holder released"] += 1
        self._world.ended.add((held, How.RELEASED))
        self._end()
        self._send(to_end(self._world.new_id(), 500, held, RELEASED))

    def _end(self) -> None:
        if self.holding is not None:
            self._spans.gives_up(self.holding.lease_id, self._world.now_ms)
        self.stage = Stage.OVER
