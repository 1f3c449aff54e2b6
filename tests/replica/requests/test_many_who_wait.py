"""Thousands of requests wait: each costs the same however many wait, and each is answered."""

from typing import Any

import pytest

from decreed.registry.errors import Busy, OutcomeUnknown
from decreed.registry.keys import home, homes
from decreed.registry.locks.terms import TermClaim
from decreed.registry.paxos.messages import Accept, AcceptMany
from decreed.registry.replica.feed import watches
from decreed.registry.replica.locks import lock_queue
from decreed.registry.replica.requests import lists
from decreed.registry.replica.step.effects import Outgoing, Reply
from decreed.registry.replica.step.events import ClientGone, Crowded, FromClient, Reachable
from decreed.registry.replica.step.in_turn import InTurn
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.peers import PassedClaim
from decreed.registry.wire.requests import (
    Cancel,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    HeldBy,
    HolderRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    LockRequest,
    Request,
    Undecided,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

from ...support.world import World, claim, config

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
MANY = 300
KEY = Key("k")
LONG_MS = 600_000


def said(world: World, connection: int, *requests: Request) -> None:
    world.post(N1, FromClient(connection, requests))


class Telling(World):
    """A world that notes the answers to each client of n1, oldest first."""

    def __init__(self, size: int = 3) -> None:
        self.told: dict[int, list[Any]] = {}
        self.order: list[tuple[int, Any]] = []
        super().__init__(config(size))

    def _hand_over(self, node: NodeId, item: Outgoing) -> None:
        if node == N1 and isinstance(item, Reply):
            self.told.setdefault(item.to, []).append(item.answer)
            self.order.append((item.to, item.answer))
        super()._hand_over(node, item)


def answered(world: Telling, connection: int) -> list[Any]:
    """The answers to a client of n1."""
    return world.told.get(connection, [])


def wants(number: int, timeout_ms: int = LONG_MS, *, queue: bool = True) -> LockRequest:
    wanted = TermClaim("somebody", b"%08d" % number, 60_000, bytes(32))
    return LockRequest(number, timeout_ms, "l", queue, wanted)


class Count:
    """How often something was done."""

    def __init__(self) -> None:
        self.times = 0


def pending(world: World) -> int:
    return len(world.replica("n1").parts.requests.all())


# -- ids that are repeated


def test_requests_with_the_same_id_all_end_with_their_connection() -> None:
    world = Telling(1)
    said(world, 7, *(WaitRequest(1, LONG_MS, Key(f"k/{n}")) for n in range(10)))
    world.run(10)
    assert pending(world) == 10
    world.post(N1, ClientGone(7))
    world.run(10)
    assert pending(world) == 0
    assert not world.replica("n1").parts.requests._by_id


def test_requests_with_the_same_id_are_each_answered() -> None:
    world = Telling(1)
    said(world, 7, *(WaitRequest(1, 1_000, Key(f"k/{n}")) for n in range(3)), Cancel(1))
    world.run(2_000)
    assert pending(world) == 0
    replica = world.replica("n1")
    assert not replica.parts.requests._by_origin and not replica.parts.requests._by_id


def test_a_request_is_found_by_its_id_when_an_earlier_one_with_that_id_is_over() -> None:
    world = Telling(1)
    said(world, 7, WaitRequest(1, LONG_MS, Key("a")), WaitRequest(1, LONG_MS, Key("b")))
    world.run(10)
    world.freeze("n1", "a")
    said(world, 7, Cancel(1))
    world.run(10)
    assert [type(answer) for answer in answered(world, 7)] == [Decreed, Failed]


def test_what_is_answered_is_kept_nowhere_until_its_time_would_have_run_out() -> None:
    world = Telling(1)
    said(world, 7, *(GetRequest(n, 5_000, Key(f"k/{n}")) for n in range(10)))
    world.run(10)
    assert len(answered(world, 7)) == 10
    assert not any(world.replica("n1").parts.requests._buckets.values())
    world.run(6_000)
    assert not world.replica("n1").parts.requests._buckets


def test_a_claim_that_is_routed_again_is_not_taken_for_a_later_request_with_its_id() -> None:
    world = Telling()
    first, second, _ = homes(KEY, world.config.nodes)
    asked = next(node for node in world.config.nodes if node not in (first, second))
    world.lose = lambda sender, to, message: isinstance(message, PassedClaim)
    for later in (WaitRequest(1, 500, Key("w")), ClaimRequest(1, 500, False, claim("other"))):
        mark = world.send(asked, ClaimRequest(1, 400, False, claim(KEY)))
        world.run(1)
        world.post(asked, FromClient(1, (later,)))
        world.run(1)
        for node in (first, second):
            world.post(asked, Reachable(node, False))
            world.run(1)
        world.run(2_000)
        answers = world.answers[mark]
        assert len(answers) == 2, "each request has one answer"
        assert not any(isinstance(a, Decreed) and a.decree.key == KEY for a in answers)
        for node in (first, second):
            world.post(asked, Reachable(node, True))


def test_a_search_for_the_latest_slot_is_not_taken_for_a_later_one_with_its_id() -> None:
    world = Telling(1)
    for series in "ab":
        world.freeze("n1", f"{series}@1")
    said(world, 7, LatestRequest(1, 1_000, "a"), LatestRequest(1, 1_000, "b"))
    world.run(2_000)
    found, late = answered(world, 7)
    assert isinstance(found, Decreed) and found.decree.key == "b@1"
    assert isinstance(late, Failed), "the earlier one runs out of time"


# -- work that does not grow with the number of waiters


def test_a_parked_watch_leaves_without_a_comparison_with_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = Count()

    class Counting(watches.Watch, eq=False):
        def __eq__(self, other: object) -> bool:
            compared.times += 1
            return self is other

        __hash__ = object.__hash__

    monkeypatch.setattr(watches, "Watch", Counting)
    world = Telling(1)
    page = world.ask("n1", WatchRequest(1, LONG_MS, "", None, 10))
    assert isinstance(page, WatchPage)
    for connection in (1_001, 1_002):
        requests = (WatchRequest(n, LONG_MS, "", page.position, 10) for n in range(MANY))
        said(world, connection, *requests)
    world.run(100)
    world.post(N1, ClientGone(1_002))
    world.run(2_000)
    assert len(world.replica("n1").parts.watches.parked[""]) == MANY
    assert compared.times <= MANY


@pytest.mark.parametrize("way", ["time", "cancel", "gone", "crowded", "tries", "reader"])
def test_a_waiter_leaves_a_lock_queue_without_a_check_of_the_others(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Telling(1)
    world.ask("n1", wants(1))
    said(world, 1_001, *(wants(10 + n) for n in range(MANY)))
    leaving_ms = 5_000 if way == "time" else LONG_MS
    leaving = [wants(10_000 + n, leaving_ms) for n in range(MANY)]
    said(world, 1_002, *leaving)
    world.run(3_500)
    looked = Count()
    queues = lock_queue.queues

    def counted(request: Any) -> bool:
        looked.times += 1
        return queues(request)

    monkeypatch.setattr(lock_queue, "queues", counted)
    tidied = Count()
    drop_finished = lock_queue.LockQueue.drop_finished

    def counted_drop(one: lock_queue.LockQueue) -> None:
        tidied.times += 1
        drop_finished(one)

    monkeypatch.setattr(lock_queue.LockQueue, "drop_finished", counted_drop)
    match way:
        case "cancel":
            said(world, 1_002, *(Cancel(request.id) for request in leaving))
        case "gone":
            world.post(N1, ClientGone(1_002))
        case "crowded":
            world.post(N1, Crowded(1_002, MANY))
        case "tries":
            said(world, 1_003, *(wants(30_000 + n, queue=False) for n in range(MANY)))
        case "reader":
            said(world, 1_003, *(HolderRequest(n, LONG_MS, "l") for n in range(MANY)))
        case _:
            pass
    world.run(3_000)
    assert tidied.times < MANY / 4
    assert looked.times < 20 * MANY
    told = answered(world, 1_003 if way in ("tries", "reader") else 1_002)
    assert len(told) == (0 if way == "gone" else MANY)
    if way in ("time", "tries", "reader"):
        assert all(isinstance(answer, HeldBy) for answer in told)
    stayed = 2 * MANY if way in ("tries", "reader") else MANY
    assert len(world.replica("n1").parts.lock_queues._lock_queues["l"].waiters) == stayed


@pytest.mark.parametrize("way", ["cancel", "gone", "crowded", "time"])
def test_who_left_a_lock_queue_is_counted_and_kept_no_more(way: str) -> None:
    world = Telling(1)
    world.ask("n1", wants(1))
    said(world, 1_001, wants(2))
    said(world, 1_002, *(wants(10 + n, 5_000) for n in range(3)))
    world.run(100)
    match way:
        case "cancel":
            said(world, 1_002, *(Cancel(10 + n) for n in range(3)))
        case "gone":
            world.post(N1, ClientGone(1_002))
        case "crowded":
            world.post(N1, Crowded(1_002, 3))
        case _:
            world.run(6_000)
    world.run(10)
    held = world.ask("n1", HolderRequest(99, 5_000, "l"))
    assert isinstance(held, HeldBy) and held.waiters == 1
    queue = world.replica("n1").parts.lock_queues._lock_queues["l"]
    assert set(queue.by_claim) == {wants(2).claim.claim_id}


# -- whose turn it is


def test_each_requester_has_one_item_served_before_any_has_a_second() -> None:
    line = InTurn[str]()
    for item in ("a1", "a2", "a3"):
        line.add(1, item)
    line.add(2, "b1")
    line.add(2, "b2")
    line.add(None, "own")
    line.discard(2, "b2")
    line.discard(2, "never there")
    line.discard(9, "nobody's")
    served: list[str] = []
    while line:
        served.append(line.take())
    assert served == ["a1", "b1", "own", "a2", "a3"]


def test_a_list_waits_for_one_page_of_each_other_client() -> None:
    world = Telling()
    world.freeze("n1", "p/k")
    world.run(1_000)
    said(world, 1_001, *(ListRequest(n, LONG_MS, f"q/{n}", "", 10) for n in range(MANY)))
    said(world, 1_002, ListRequest(1, LONG_MS, "p", "", 10))
    for _ in range(1_000):
        if not answered(world, 1_002):
            world.run(1)
    [page] = answered(world, 1_002)
    assert isinstance(page, ListPage) and len(page.decrees) == 1
    told = [connection for connection, _ in world.order]
    assert told.index(1_002) <= 2 * lists.MAX_ASKING
    world.run(5_000)
    assert len(answered(world, 1_001)) == MANY


# -- refused for lack of room


def test_a_refused_request_leaves_nothing_and_the_others_still_wait() -> None:
    world = Telling()
    said(world, 1_001, *(WaitRequest(n, LONG_MS, Key(f"k/{n}")) for n in range(10)))
    said(world, 1_002, WaitRequest(1, LONG_MS, Key("k/1")))
    world.run(500)
    world.post(N1, Crowded(1_001, 4))
    world.run(10)
    told = answered(world, 1_001)
    assert [answer.id for answer in told] == [9, 8, 7, 6]
    assert {answer.code for answer in told if isinstance(answer, Failed)} == {Busy.code}
    assert pending(world) == 7
    world.post(N1, Crowded(1_001, 100))
    world.post(N1, Crowded(999, 1))
    world.run(10)
    assert pending(world) == 1 and not answered(world, 1_002)


@pytest.mark.parametrize("proposed", [False, True])
def test_a_refused_claim_ends_as_definite_only_if_no_accept_has_left(proposed: bool) -> None:
    world = Telling()
    world.run(1_000)
    accepts = (Accept, AcceptMany)
    if proposed:
        world.lose = lambda sender, to, message: sender == N1 and isinstance(message, accepts)
    else:
        world.crash(N2)
        world.crash(N3)
    # its home has a class promise, so that accepts leave at once; another node has to prepare
    key = next(Key(f"k/{n}") for n in range(100) if _is_home(world, f"k/{n}") is proposed)
    said(world, 1_001, ClaimRequest(1, LONG_MS, True, claim(key)))
    world.run(30 if proposed else 500)
    world.post(N1, Crowded(1_001, 1))
    world.run(30)
    [answer] = answered(world, 1_001)
    assert isinstance(answer, Failed)
    if proposed:
        assert answer.code == OutcomeUnknown.code and "may yet be chosen" in answer.message
    else:
        assert answer.code == Busy.code
        world.boot(N2)
        world.boot(N3)
        world.run(5_000)
        assert isinstance(world.ask("n1", WaitRequest(5, 500, key)), Undecided)


def _is_home(world: World, key: str) -> bool:
    return home(Key(key), world.config.nodes) == N1


def test_a_forwarded_claim_that_is_refused_ends_as_unknown() -> None:
    world = Telling()
    world.run(1_000)
    key = next(Key(f"k/{n}") for n in range(100) if not _is_home(world, f"k/{n}"))
    world.lose = lambda sender, to, message: sender == N1
    said(world, 1_001, ClaimRequest(1, LONG_MS, False, claim(key)))
    world.run(1)
    world.post(N1, Crowded(1_001, 1))
    world.run(30)
    [answer] = answered(world, 1_001)
    assert isinstance(answer, Failed) and answer.code == OutcomeUnknown.code
