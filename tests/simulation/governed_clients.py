"""Clients with identities: those of every storm, and others whose answers the judge of policies reads.

A claim is mostly repeated by whom it is of; now and then somebody else repeats it, since a claim id can
be read by all. A list is judged for what it leaves out only as far as its caller could read all along.
"""

import random
from collections.abc import Callable

from decreed.registry.errors import ERRORS, DecreedError, Denied
from decreed.registry.identity import Identity
from decreed.registry.keys import matches, sort_key
from decreed.registry.locks.terms import Ending, How, LeaseId, lease_id
from decreed.registry.policy.series import policy_key
from decreed.registry.replica.step.events import FromClient
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.members import MembersRequest
from decreed.registry.wire.requests import (
    Answer,
    Cancel,
    Failed,
    GetRequest,
    Granted,
    HolderRequest,
    ListPage,
    ListRequest,
    LockRequest,
    Position,
    Request,
    StatusRequest,
    WatchPage,
    WatchRequest,
)
from decreed.registry.wire.scrub import ScrubRequest

from ..history.recorder import Pending
from ..support.proven import to_end, to_give_up, to_keep, wish
from .clients import Clients
from .drawn_policies import LOCKS, NODE, PEOPLE, ROOT
from .examiner import Examiner
from .governed_world import GovernedWorld
from .wanted import AnyClaim, Asked, Mark, Query, Wish

FIRST_CONNECTION = 100
EVERYBODY = (*PEOPLE, NODE, ROOT)
RELEASED = Ending(How.RELEASED)


def connection_of(who: Identity) -> int:
    """The connection that somebody has with each node."""
    return FIRST_CONNECTION + EVERYBODY.index(who)


class GovernedExaminer(Examiner):
    """Checks answers as in other storms, and knows that some are denied.

    Args:
        world: the witness.
        reads_all: whether the caller of a list can read everything.
    """

    def __init__(self, world: GovernedWorld, reads_all: Callable[[ListRequest], bool]) -> None:
        super().__init__(world)
        self._reads_all = reads_all

    def _check_list(self, asked: Asked, request: ListRequest, page: ListPage) -> None:
        if self._reads_all(request):
            super()._check_list(asked, request, page)
            return
        keys = [decree.key for decree in page.decrees]
        assert keys == sorted(set(keys), key=sort_key) and len(keys) <= request.limit
        for decree in page.decrees:
            self._world.agree(decree)
            assert matches(request.prefix, decree.key)

    def _check_failure(self, node: NodeId, asked: Asked, answer: Failed) -> None:
        if ERRORS[answer.code] is Denied and asked.wish is not None:
            decree = self._world.chosen.get(asked.wish.claim.key)
            lost = decree is not None and decree.claim_id != asked.wish.claim.claim_id
            if lost and not asked.wish.following:  # it has lost, and may not read against what
                return
        super()._check_failure(node, asked, answer)

    def _count(self, error: type[DecreedError]) -> None:
        if error is not Denied:
            super()._count(error)


class GovernedClients(Clients):
    """The clients of every storm, each request with the identity of somebody.

    Args:
        world: the cluster that they ask.
        chance: decides how their lists continue from page to page.
        people: decides who asks.
    """

    def __init__(self, world: GovernedWorld, chance: random.Random, people: random.Random) -> None:
        super().__init__(world, chance)
        self.examiner = GovernedExaminer(world, lambda list_: self._of[list_.id] is ROOT)
        self._people = people
        self._of: dict[int, Identity] = {}
        self._owners: dict[bytes, Identity] = {}

    def send(self, node: NodeId, request: Query | AnyClaim, wish: Wish | None = None) -> None:
        """Send a request of somebody to a node, and record it as an operation."""
        self._of[request.id] = self._whose(request)
        super().send(node, request, wish)

    def _whose(self, request: Query | AnyClaim) -> Identity:
        anybody = ROOT if self._people.random() < 0.3 else self._people.choice(EVERYBODY)
        if isinstance(request, AnyClaim):
            owner = self._owners.setdefault(request.claim.claim_id, anybody)
            return owner if self._people.random() < 0.9 else anybody
        return anybody

    def _begun(self, request: Query | AnyClaim) -> Pending | None:
        partial = isinstance(request, ListRequest) and self._of[request.id] is not ROOT
        return None if partial else super()._begun(request)

    def _post(self, node: NodeId, request: Query | AnyClaim | Cancel) -> None:
        who = self._of.setdefault(request.id, ROOT)
        self._world.post(node, FromClient(connection_of(who), (request,), who))


class Bystanders:
    """Users of locks, watchers of prefixes and the curious: only what they are told is judged.

    Args:
        world: the cluster that they ask.
    """

    def __init__(self, world: GovernedWorld) -> None:
        self._world = world
        self._asked: dict[Mark, Identity] = {}
        self._positions: dict[NodeId, Position] = {}
        self._held: list[tuple[Identity, LeaseId]] = []

    def ask(self, chance: random.Random) -> None:
        """Send one more request of any kind to any node that is up."""
        up = self._world.up()
        if not up:
            return
        node, who = chance.choice(up), chance.choice(EVERYBODY)
        number, timeout_ms = self._world.new_id(), chance.choice([20, 100, 500, 2_000])
        match chance.randrange(12):
            case 0 | 1 | 2:
                self._lock(node, who, chance, timeout_ms)
            case 3 | 4 if self._held:
                self._go_on(node, chance, timeout_ms)
            case 5:
                self._send(node, who, HolderRequest(number, timeout_ms, chance.choice(LOCKS)))
            case 6 | 7 | 8:
                prefix, since = chance.choice(["", "p", "s", "l"]), self._positions.get(node)
                self._send(node, who, WatchRequest(number, timeout_ms, prefix, since, 5))
            case 9:
                key = chance.choice([policy_key(1), policy_key(2), Key("$locks/l@1")])
                self._send(node, who, GetRequest(number, timeout_ms, key))
            case 10:
                self._send(node, who, StatusRequest(number))
            case _:
                kinds = (MembersRequest(number, timeout_ms), ScrubRequest(number, False, 0))
                self._send(node, who, chance.choice(kinds))

    def take(self, mark: Mark, answer: Answer) -> bool:
        """Take an answer; returns whether it was for one of these."""
        who = self._asked.pop(mark, None)
        if who is None:
            return False
        match answer:
            case Granted(_, decree):
                self._held.append((who, lease_id(decree)))
            case WatchPage():
                self._positions.setdefault(mark[0], answer.position)
            case _:
                pass
        return True

    def lose(self, node: NodeId) -> None:
        """A node has died."""
        self._asked = {mark: who for mark, who in self._asked.items() if mark[0] != node}

    def disk_died(self, node: NodeId) -> None:
        """Another disk is in the machine of a node."""
        self._positions.pop(node, None)

    def _send(self, node: NodeId, who: Identity, request: Request) -> None:
        self._asked[node, request.id] = who
        self._world.post(node, FromClient(connection_of(who), (request,), who))

    def _lock(self, node: NodeId, who: Identity, chance: random.Random, timeout_ms: int) -> None:
        number, lock = self._world.new_id(), chance.choice(LOCKS)
        claim = wish(str(who), b"lock %d" % number, chance.choice([100, 300]))
        self._world.wanted[claim.claim_id] = (lock, claim)
        self._send(node, who, LockRequest(number, timeout_ms, lock, chance.random() < 0.7, claim))
        if chance.random() < 0.1:
            self._world.given_up.add(claim.claim_id)
            self._send(node, who, to_give_up(self._world.new_id(), timeout_ms, lock, claim))

    def _go_on(self, node: NodeId, chance: random.Random, timeout_ms: int) -> None:
        """Keep a lock, release it, or let somebody break it."""
        who, held = chance.choice(self._held[-3:])
        number = self._world.new_id()
        kind = chance.random()
        if kind < 0.5:
            self._send(node, who, to_keep(number, timeout_ms, held))
            return
        broken = Ending(How.BROKEN, str(who), "why")
        by, ending = (who, RELEASED) if kind < 0.75 else (chance.choice(EVERYBODY), broken)
        self._world.ended.add((held, ending.how))
        self._send(node, by, to_end(number, timeout_ms, held, ending))
