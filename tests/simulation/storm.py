"""A whole cluster in a storm of faults, chosen by a seed; every rule is watched all the time.

Messages are lost, late, repeated and reordered, links fail one way, nodes die at any point of a step
and come back, disks stop taking writes, and suspicion comes and goes for no reason. Clients claim the
same few keys and the same series, read, list and watch. After a while everything heals; then every
request must have ended, everybody must know everything, and nothing may be left in memory.
"""

from decreed.registry.config import ClusterConfig
from decreed.registry.errors import (
    ERRORS,
    OutcomeUnknown,
    SeriesGap,
    StorageFailed,
    Unreachable,
)
from decreed.registry.keys import matches, series_and_slot, slot_before, slot_key, sort_key
from decreed.registry.replica.events import Reachable
from decreed.registry.types import Claim, Key, NodeId
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import (
    Answer,
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    Undecided,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

from ..support.world import config
from .endings import check_disks, check_the_end
from .plan import Plan
from .wishes import KEYS, SERIES, Asked, Mark, Query, Watcher, Wish
from .witness import WitnessedWorld

FRESH_TICKS = 12
HEALING = 48


class Storm:
    """One run: a cluster, its clients and their bad luck.

    Args:
        plan: what it is made of; it decides everything.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = plan.chance("cluster")
        self.weather = plan.chance("weather")
        self.requests = 0
        self.world = WitnessedWorld(self._cluster(), plan.seed)
        self.asked: dict[Mark, Asked] = {}
        self.watchers = {node: Watcher() for node in self.world.config.nodes}
        self.deaf: set[tuple[NodeId, NodeId]] = set()
        self.loss = 0.0
        self.slow_ms = 5.0
        self.tick = 0
        self.doomed = ""
        self.world.lose = self._lose
        self.world.delays = self._delays
        self.world.dies = self._dies

    def run(self) -> None:
        """Bad weather, then good."""
        for tick in range(self.plan.ticks):
            self.tick = tick
            self._bad_luck()
            self._requests()
            self._watch()
            self.world.run(self.plan.chance("pause", self.tick).choice([0.5, 2, 8, 30, 60]))
            self._collect()
            if self.tick % 10 == 0:
                check_disks(self.world)
        self.chance = self.plan.chance("healing")
        self._heal()
        assert not self.asked, "everything asked has ended"
        check_the_end(self.world, self.watchers)

    def _bad_luck(self) -> None:
        self.chance = self.plan.chance("misfortune", self.tick)
        if self.tick not in self.plan.calm:
            self._misfortune()

    def _requests(self) -> None:
        self.chance = self.plan.chance("requests", self.tick)
        if self.tick not in self.plan.silent:
            for _ in range(self.chance.choice([0, 0, 1, 1, 2, 5])):
                self._ask()

    # -- the weather

    def _cluster(self) -> ClusterConfig:
        kind = self.chance.random()
        if kind < 0.75:
            return config(3)
        if kind < 0.85:
            return config(5)
        if kind < 0.95:
            return config(5, prepare=4, accept=2)
        return config(1)

    def _lose(self, sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        return (sender, to) in self.deaf or self.weather.random() < self.loss

    def _delays(self, sender: NodeId, to: NodeId, message: PeerMessage) -> list[float]:
        """Most are quick, some are slow; a few come more than once, but no passed-on claim does."""
        repeats = not isinstance(message, ClaimRequest | ClaimNextRequest)
        count = 2 if repeats and self.weather.random() < 0.05 else 1
        return [self._delay() for _ in range(count)]

    def _delay(self) -> float:
        kind = self.weather.random()
        if kind < 0.3:
            return 0.0
        return self.weather.random() * (self.slow_ms if kind < 0.95 else 400)

    def _dies(self, node: NodeId, point: str) -> bool:
        if self.doomed != point or self.weather.random() > 0.2:
            return False
        self.doomed = ""
        return True

    def _misfortune(self) -> None:
        world, nodes = self.world, self.world.config.nodes
        node, other = self.chance.choice(nodes), self.chance.choice(nodes)
        down = [n for n in nodes if n not in world.up()]
        match self.chance.randrange(26):
            case 0:
                self.doomed = self.chance.choice(["before the write", "after the write"])
            case 1 if node in world.up():
                world.crash(node)
            case 2 if node in world.up():
                world.machines[node].disk.fail_writes = 1
            case 3:
                self.deaf.add((node, other))
            case 4:
                self.deaf |= {(node, n) for n in nodes} | {(n, node) for n in nodes}
            case 5 | 6:
                self.deaf.clear()
            case 7:
                self.loss = self.chance.choice([0.0, 0.05, 0.3, 0.9])
            case 8:
                self.loss = 0.0
            case 15 | 16:
                self.slow_ms = self.chance.choice([1.0, 5.0, 40.0, 150.0])
            case 9 | 10 if node != other:
                world.post(node, Reachable(other, self.chance.random() < 0.5))
            case 11 | 12 | 13 if down:
                self._restart(self.chance.choice(down))
            case 14:
                failed = [n for n in world.up() if world.replica(n).node.failed]
                for n in failed:
                    self._restart(n)
            case _:
                pass

    def _restart(self, node: NodeId) -> None:
        if node in self.world.up():
            self.world.crash(node)
        self.world.machines[node].disk.fail_writes = 0
        self.world.boot(node)

    def _heal(self) -> None:
        world, nodes = self.world, self.world.config.nodes
        self.loss, self.doomed = 0.0, ""
        self.deaf.clear()
        world.delays = lambda *_: (0.0,)
        everybody = self.chance.random() < 0.5
        for node in nodes:
            if everybody and node in world.up():
                world.crash(node)
        for node in nodes:
            if node not in world.up() or world.replica(node).node.failed:
                self._restart(node)
        for node in nodes:
            world.machines[node].disk.fail_writes = 0
            for other in nodes:
                if node != other:
                    world.post(node, Reachable(other, True))
        self._let_pass(HEALING)
        for node in nodes:
            self._freeze_after(node)
        self._let_pass(HEALING // 2)
        check_disks(self.world)

    def _let_pass(self, rounds: int) -> None:
        for _ in range(rounds):
            self.world.run(250)
            self._watch()
            self._collect()

    def _freeze_after(self, node: NodeId) -> None:
        """All is well again, so the next claim at any node must be decided."""
        claim_id = b"after " + node.encode()
        wanted = Claim(Key(f"after/{node}"), b"calm", "text/plain", "tester", claim_id)
        self.world.wishes[claim_id] = Wish(wanted, following=False, tries=1)
        answer = self.world.claim(node, wanted)
        assert isinstance(answer, Decreed), f"the cluster does not decide any more: {answer}"

    # -- the clients

    def _ask(self) -> None:
        if not (up := self.world.up()):
            return
        node = self.chance.choice(up)
        timeout_ms = self.chance.choice([20, 100, 500, 2_000])
        number = self.world.new_id()
        key = self._key()
        match self.chance.randrange(12):
            case 0 | 1 | 2 | 3 | 4:
                self._claim(node, number, timeout_ms)
            case 5 | 6:
                self._send(node, GetRequest(number, timeout_ms, key))
            case 7:
                self._send(node, WaitRequest(number, timeout_ms, key))
            case 8:
                self._send(node, LatestRequest(number, timeout_ms, self.chance.choice(SERIES)))
            case 9 | 10:
                prefix, after = self.chance.choice(["", "p", "s"]), self.chance.choice(["", key])
                limit = self.chance.choice([1, 3, 1_000])
                self._send(node, ListRequest(number, timeout_ms, prefix, after, limit))
            case _:
                mine = [mark for mark in self.asked if mark[0] == node]
                if mine:
                    self.world.send(node, Cancel(self._give_up(self.chance.choice(mine))))

    def _give_up(self, mark: Mark) -> int:
        del self.asked[mark]
        return mark[1]

    def _key(self) -> Key:
        """One of a few keys that are fresh for a while, or a slot near the end of a series."""
        if self.chance.random() < 0.6:
            return Key(f"{self.chance.choice(KEYS)}{self.tick // FRESH_TICKS}")
        series = self.chance.choice(SERIES)
        last = sum(series_and_slot(key)[0] == series for key in self.world.order)
        return slot_key(series, max(1, last + self.chance.choice([-1, 0, 1, 1, 2])))

    def _claim(self, node: NodeId, number: int, timeout_ms: int) -> None:
        wish = self._wish()
        wish.tries += 1
        kind = ClaimNextRequest if wish.following else ClaimRequest
        here = self.chance.random() < 0.5
        self._send(node, kind(number, timeout_ms, here, wish.claim), wish)

    def _wish(self) -> Wish:
        wishes = list(self.world.wishes.values())
        if wishes and self.chance.random() < 0.3:
            return self.chance.choice(wishes[-6:])
        following = self.chance.random() < 0.4
        key = slot_key(self.chance.choice(SERIES), 1) if following else self._key()
        claim_id = b"wish %d" % len(wishes)
        claim = Claim(key, b"of " + claim_id, "text/plain", "tester", claim_id)
        wish = self.world.wishes[claim_id] = Wish(claim, following)
        return wish

    def _send(
        self,
        node: NodeId,
        request: Query | ClaimRequest | ClaimNextRequest,
        wish: Wish | None = None,
    ) -> None:
        self.requests += 1
        mark = self.world.send(node, request)
        replica, due_ms = self.world.replica(node), self.world.now_ms + request.timeout_ms + 25
        self.asked[mark] = Asked(request, replica, due_ms, len(self.world.order), wish)

    def _watch(self) -> None:
        """Keep one watch open at each node, always from where the last one ended."""
        for node, watcher in self.watchers.items():
            if watcher.mark is None and node in self.world.up():
                request = WatchRequest(self.world.new_id(), 300, "", watcher.position, 3)
                watcher.mark = self.world.send(node, request)
                watcher.asked = self.world.replica(node)

    # -- what they are told

    def _collect(self) -> None:
        for mark, asked in list(self.asked.items()):
            answers = self.world.answers[mark]
            if answers:
                assert len(answers) == 1, f"{asked.request} was answered twice: {answers}"
                del self.asked[mark]
                self._check(asked, answers[0])
            elif self.world.machines[mark[0]].replica is not asked.replica:
                del self.asked[mark]  # the node died over it
            else:
                assert self.world.now_ms <= asked.due_ms, f"{asked.request} is stuck"
        for node, watcher in self.watchers.items():
            self._check_watch(node, watcher)
        for alarm in self.world.alarms:
            assert alarm.startswith("writing failed"), alarm

    def _check(self, asked: Asked, answer: Answer) -> None:
        match asked.request, answer:
            case ClaimRequest(), Decreed(_, decree):
                assert decree.key == asked.request.claim.key
            case ClaimNextRequest(), Decreed(_, decree):
                assert decree.claim_id == asked.request.claim.claim_id
            case GetRequest() | WaitRequest(), Decreed(_, decree):
                assert decree.key == asked.request.key
            case LatestRequest(), Decreed(_, decree):
                series, slot = series_and_slot(decree.key)
                assert series == asked.request.series and slot is not None
                assert slot >= self._last_slot(series, asked), f"{slot} is not the latest"
            case ((GetRequest() | WaitRequest()), Undecided()):
                assert asked.request.key not in self._known(asked), "undecided, but it was chosen"
            case LatestRequest(), Undecided():
                assert not self._last_slot(asked.request.series, asked)
            case ListRequest(), ListPage():
                self._check_list(asked, asked.request, answer)
            case _, Failed():
                self._check_failure(asked, answer)
            case _:
                raise AssertionError(f"{answer} is no answer to {asked.request}")
        if isinstance(answer, Decreed):
            self.world.agree(answer.decree)

    def _known(self, asked: Asked) -> list[Key]:
        """What was chosen before the request was made."""
        return self.world.order[: asked.known]

    def _last_slot(self, series: str, asked: Asked) -> int:
        slots = [series_and_slot(key) for key in self._known(asked)]
        return max((slot or 0 for name, slot in slots if name == series), default=0)

    def _check_list(self, asked: Asked, request: ListRequest, page: ListPage) -> None:
        keys = [decree.key for decree in page.decrees]
        assert keys == sorted(set(keys), key=sort_key)
        assert len(keys) <= request.limit
        for decree in page.decrees:
            self.world.agree(decree)
            assert matches(request.prefix, decree.key)
            assert sort_key(decree.key) > sort_key(request.after)
        for key in self._known(asked):
            due = matches(request.prefix, key) and sort_key(key) > sort_key(request.after)
            if page.next_after is not None and sort_key(key) > sort_key(page.next_after):
                due = False
            assert not due or key in keys, f"{key} was chosen before the list, and is not in it"

    def _check_failure(self, asked: Asked, answer: Failed) -> None:
        error = ERRORS[answer.code]
        allowed = {Unreachable, OutcomeUnknown, StorageFailed}
        if asked.wish is None:
            assert error in allowed, answer
            return
        assert error in allowed | {SeriesGap}, answer
        if error is SeriesGap:
            before = slot_before(asked.wish.claim.key)
            assert before is not None and before not in self._known(asked), "there is no gap"
        if error.definite:
            asked.wish.refusals += 1
            if asked.wish.tries == 1:
                proposed = asked.wish.claim.claim_id in self.world.proposed
                assert not proposed, f"{answer} was said, but it was proposed"
        assert not (asked.wish.over and asked.wish.claim.claim_id in self.world.proposed)

    def _check_watch(self, node: NodeId, watcher: Watcher) -> None:
        if watcher.mark is None:
            return
        answers = self.world.answers[watcher.mark]
        if not answers and self.world.machines[node].replica is watcher.asked:
            return
        watcher.mark = None
        for answer in answers:
            if isinstance(answer, WatchPage):
                assert not answer.lost, "a position of this very disk"
                if watcher.position is None:
                    watcher.start = answer.position.index
                watcher.position = answer.position
                watcher.seen += [decree.key for decree in answer.decrees]
                for decree in answer.decrees:
                    self.world.agree(decree)
