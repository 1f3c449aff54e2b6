"""Clients in a storm: they claim few keys with many values, grow series, read, list and give up.

Every operation is recorded for the judge, with the world's time of its begin and of its end.
"""

import random
from collections.abc import Callable

from msgspec.structs import replace

from decreed.registry.keys import slot_key
from decreed.registry.replica.step.events import FromClient
from decreed.registry.replica.step.pending import COARSE_MS
from decreed.registry.types import Claim, Key, NodeId
from decreed.registry.wire.requests import (
    Answer,
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    GetRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    WaitRequest,
)

from ..history import operations
from ..history.recorder import Pending, Recorder
from .examiner import Examiner
from .invariants import CheckedWorld
from .wanted import AnyClaim, Asked, Mark, Query, Wish

KEYS = ["a", "b", "p/c"]
SERIES = ["s", "p/s"]
FRESH_TICKS = 12
GRACE_MS = COARSE_MS + 5


Told = Callable[[Asked], None]


class Clients:
    """All clients of a storm.

    Args:
        world: the cluster that they ask.
        chance: decides how their lists continue from page to page.

    Attributes:
        asked: the requests that wait for an answer.
        recorder: the history so far.
        requests, claims: the numbers of those that were sent.
        answered: called with each request that was answered.
        lost: called with each request whose node died before it answered.
    """

    def __init__(self, world: CheckedWorld, chance: random.Random) -> None:
        self._world = world
        self._paging = chance
        self.examiner = Examiner(world)
        self.recorder = Recorder(lambda: world.now_ms)
        self.asked: dict[Mark, Asked] = {}
        self._given_up: set[Mark] = set()
        self.requests = 0
        self.claims = 0
        self.answered: Told = lambda _: None
        self.lost: Told = lambda _: None

    # -- asking

    def ask(self, chance: random.Random, tick: int) -> None:
        """Send one more request, of any kind, to any node that is up."""
        up = self._world.up()
        if not up:
            return
        node, key = chance.choice(up), self._key(chance, tick)
        number, timeout_ms = self._world.new_id(), chance.choice([20, 100, 500, 2_000])
        match chance.randrange(13):
            case 0 | 1 | 2 | 3 | 4:
                self._claim(node, number, timeout_ms, chance, tick)
            case 5 | 6 | 7:
                self.send(node, GetRequest(number, timeout_ms, self._read_key(chance, key)))
            case 8:
                self.send(node, WaitRequest(number, timeout_ms, key))
            case 9:
                self.send(node, LatestRequest(number, timeout_ms, chance.choice(SERIES)))
            case 10 | 11:
                prefix, after = chance.choice(["", "p", "s"]), chance.choice(["", "", key])
                limit = chance.choice([1, 3, 1_000])
                self._list(node, ListRequest(number, timeout_ms, prefix, after, limit))
            case _:
                self._give_up(node, chance)

    def _list(self, node: NodeId, request: ListRequest) -> None:
        """Ask for a page; sometimes for the same one again and for others, so that lists queue."""
        self.send(node, request)
        if request.id % 3 == 0:
            self._world.event_counts.saw("a list was asked for twice at once")
            for limit in (3, 1, request.limit, request.limit):
                self.send(node, replace(request, id=self._world.new_id(), limit=limit))

    def _give_up(self, node: NodeId, chance: random.Random) -> None:
        mine = [mark for mark in self.asked if mark[0] == node]
        if mine:
            self.give_up(chance.choice(mine))

    def give_up(self, mark: Mark) -> None:
        """Cancel a request, and tell its node."""
        node, number = mark
        del self.asked[mark]
        self._given_up.add(mark)
        self._world.event_counts.saw("a client gave up")
        self._post(node, Cancel(number))

    def _key(self, chance: random.Random, tick: int) -> Key:
        """One of a few keys, which change every few ticks, or a slot near the end of a series."""
        if chance.random() < 0.6:
            return Key(f"{chance.choice(KEYS)}{tick // FRESH_TICKS}")
        series = chance.choice(SERIES)
        last = self._world.last_slot(series)
        return slot_key(series, max(1, last + chance.choice([-1, 0, 1, 1, 2])))

    def _read_key(self, chance: random.Random, key: Key) -> Key:
        """Most reads are of a key that was claimed just now: it may be in doubt."""
        wishes = list(self._world.wishes.values())[-3:]
        if chance.random() < 0.75 and wishes:
            return chance.choice(wishes).claim.key
        return key

    def _claim(
        self, node: NodeId, number: int, timeout_ms: int, chance: random.Random, tick: int
    ) -> None:
        wish = self._wish(chance, tick)
        self.claim(node, number, timeout_ms, chance.random() < 0.5, wish)

    def claim(self, node: NodeId, number: int, timeout_ms: int, here: bool, wish: Wish) -> None:
        """Send a claim for a wish."""
        wish.tries += 1
        self.claims += 1
        kind = ClaimNextRequest if wish.following else ClaimRequest
        self.send(node, kind(number, timeout_ms, here, wish.claim), wish)

    def _wish(self, chance: random.Random, tick: int) -> Wish:
        wishes = self._world.wishes
        if wishes and chance.random() < 0.3:
            return chance.choice(list(wishes.values())[-6:])
        following = chance.random() < 0.4
        key = slot_key(chance.choice(SERIES), 1) if following else self._key(chance, tick)
        return self.wish(key, following)

    def wish(self, key: Key, following: bool = False) -> Wish:
        """A new wish, for a key or for the next free slot from that slot on."""
        wishes = self._world.wishes
        claim_id = b"wish %d" % len(wishes)
        claim = Claim(key, b"of " + claim_id, "text/plain", "tester", claim_id)
        wish = wishes[claim_id] = Wish(claim, following)
        return wish

    def send(self, node: NodeId, request: Query | AnyClaim, wish: Wish | None = None) -> None:
        """Send a request to a node, and record it as an operation."""
        self.requests += 1
        known = len(self._world.order)
        self.asked[node, request.id] = Asked(request, self._begun(request), known, wish)
        self._post(node, request)

    def _post(self, node: NodeId, request: Query | AnyClaim | Cancel) -> None:
        self._world.post(node, FromClient(1, (request,)))

    def _begun(self, request: Query | AnyClaim) -> Pending | None:
        who = f"c{request.id}"
        match request:
            case ClaimRequest():
                return self.recorder.claim(who, request.claim)
            case ClaimNextRequest():
                series, _, slot = request.claim.key.partition("@")
                wish = operations.Wish.of(request.claim)
                return self.recorder.claim_next(who, series, wish, int(slot))
            case GetRequest():
                return self.recorder.get(who, request.key)
            case WaitRequest():
                return self.recorder.wait(who, request.key)
            case LatestRequest():
                return self.recorder.latest(who, request.series)
            case ListRequest():
                whole = request.after == ""
                return self.recorder.list(who, request.prefix) if whole else None

    # -- being answered

    def take(self, mark: Mark, answer: Answer) -> None:
        """Check an answer, record it, and ask for the next page of a list."""
        asked = self.asked.pop(mark, None)
        if asked is None:
            assert mark in self._given_up, f"a request was answered twice: {answer}"
            self._given_up.remove(mark)
            return
        self.examiner.check(mark[0], asked, answer)
        if asked.pending is not None:
            asked.pending.answered(answer)
            if isinstance(answer, ListPage) and answer.next_after is not None:
                self._turn_page(asked, answer.next_after)
                return
        self.answered(asked)

    def _turn_page(self, asked: Asked, after: str) -> None:
        assert isinstance(asked.request, ListRequest)
        up = self._world.up()
        if not up:
            return
        self._world.event_counts.saw("a list took several pages")
        node, number = self._paging.choice(up), self._world.new_id()
        request = asked.request
        page = ListRequest(number, request.timeout_ms, request.prefix, after, request.limit)
        known = len(self._world.order)
        self.asked[node, number] = Asked(page, asked.pending, known)
        self._post(node, page)

    def lose(self, node: NodeId) -> None:
        """A node has died: its requests get no answer, and their outcome stays unknown."""
        lost = [mark for mark in self.asked if mark[0] == node]
        over = [self.asked.pop(mark) for mark in lost]
        self._given_up = {mark for mark in self._given_up if mark[0] != node}
        for asked in over:
            self.lost(asked)

    def check_stuck(self) -> None:
        """Every request must be answered in time, by the clock of the node that was asked."""
        for (node, _), asked in self.asked.items():
            if not self._world.is_idle(node):
                continue
            now_ms = self._world.clocks[node].now_ms(self._world.now_ms)
            if asked.due_ms is None:
                asked.due_ms = now_ms + asked.request.timeout_ms + GRACE_MS
            assert now_ms <= asked.due_ms, f"{asked.request} is stuck at {node}"
