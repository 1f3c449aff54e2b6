"""S21: what a caller may use of a node counts over all its connections."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio

from decreed.registry.config import MIB, Limits
from decreed.registry.errors import Busy
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.locks.terms import LeaseId
from decreed.registry.policy.document import Limit
from decreed.registry.server.callers import (
    ACTIVE_MS,
    LOOK_MS,
    REST,
    STALLED_MS,
    WINDOW,
    Caller,
    Callers,
)
from decreed.registry.server.clients import Clients
from decreed.registry.types import Key
from decreed.registry.wire.handshake import ClientHello, ClientWelcome, Reception, Refusal
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    KeepAliveRequest,
    Request,
    Undecided,
    WaitRequest,
)

from ..support.live import PATIENCE_S, Cluster, live_cluster, live_config
from ..support.world import claim

ALICE, BOB = Identity("client", "alice"), Identity("client", "bob")
HOST = "10.0.0.1"


class Door:
    """The callers of a node at a time that a test sets."""

    def __init__(self, limits: Mapping[str, Limit], node: Limits | None = None) -> None:
        self.now_ms = 1e6
        self.callers = Callers(node or Limits(), lambda: self.now_ms)
        self.callers.obey(limits)

    def claims(self, caller: Caller, count: int) -> int:
        """How many of so many claims are let through."""
        return count - len(self.callers.over(caller, [_claim(n) for n in range(count)]))


def _claim(number: int) -> ClaimRequest:
    return ClaimRequest(number, 1_000, False, claim(f"k/{number}"))


def _get(number: int) -> GetRequest:
    return GetRequest(number, 1_000, Key("k"))


def test_without_a_policy_a_caller_has_no_limits_of_its_own() -> None:
    door = Door({})
    caller = door.callers.enter(ANONYMOUS, HOST)
    for _ in range(2_000):
        assert door.callers.enter(ANONYMOUS, HOST) is caller
    assert door.claims(caller, 100_000) == 100_000


def test_connections_count_together_and_the_refusal_says_whose_they_are() -> None:
    door = Door({"client/alice": Limit(connections=2)})
    caller = door.callers.enter(ALICE, HOST)
    assert door.callers.enter(ALICE, "10.0.0.2") is caller
    with pytest.raises(Busy, match=r"client/alice has 2 connections.* again in a second"):
        door.callers.enter(ALICE, "10.0.0.3")
    door.callers.enter(BOB, HOST)
    door.callers.leave(caller)
    door.callers.enter(ALICE, HOST)


def test_who_has_no_limit_of_its_own_has_that_of_anyone() -> None:
    door = Door({"anyone": Limit(connections=1), "client/bob": Limit(in_flight=5)})
    door.callers.enter(ALICE, HOST)
    with pytest.raises(Busy):
        door.callers.enter(ALICE, HOST)
    door.callers.enter(BOB, HOST)
    door.callers.enter(BOB, HOST)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
    ],
)
def test_the_anonymous_are_told_apart_by_their_addresses(one: str, other: str, same: bool) -> None:
    callers = Door({}).callers
    assert (callers.enter(ANONYMOUS, one) is callers.enter(ANONYMOUS, other)) is same


def test_keys_a_second_are_charged_before_the_work_and_come_back_with_the_time() -> None:
    door = Door({"anyone": Limit(keys_per_second=10)})
    caller = door.callers.enter(ALICE, HOST)
    assert door.claims(caller, 15) == 10
    over = door.callers.over(caller, [_get(1), _claim(2)])
    assert set(over) == {1}, "what freezes nothing goes on"
    assert "client/alice may ask for 10 keys a second" in over[1].why
    assert over[1].wait_ms == 1_000
    door.now_ms += 500
    assert door.claims(caller, 15) == 5
    door.now_ms += over[1].wait_ms
    assert door.claims(caller, 15) == 10
    door.now_ms += 3_600_000
    assert door.claims(caller, 15) == 10, "a second's worth is all that gathers"


def test_who_leaves_and_comes_again_has_not_more_keys() -> None:
    door = Door({"anyone": Limit(keys_per_second=10)})
    caller = door.callers.enter(ALICE, HOST)
    assert door.claims(caller, 10) == 10
    door.callers.leave(caller)
    door.callers.enter(BOB, HOST)
    assert door.claims(door.callers.enter(ALICE, HOST), 10) == 0


def test_callers_that_have_gone_are_forgotten_once_their_bucket_is_full() -> None:
    door = Door({"anyone": Limit(keys_per_second=10)})
    for number in range(1_000):
        caller = door.callers.enter(ANONYMOUS, f"10.0.{number // 250}.{number % 250}")
        door.claims(caller, 5)
        door.callers.leave(caller)
        door.now_ms += 10
    assert len(door.callers) < 60


def test_requests_in_flight_count_together_but_for_those_that_end_or_keep_something() -> None:
    door = Door({"client/alice": Limit(in_flight=3)})
    caller = door.callers.enter(ALICE, HOST)
    caller.requests = 2
    keep = KeepAliveRequest(9, 1_000, LeaseId("jobs", 1, b"id"), bytes(32))
    over = door.callers.over(caller, [_get(1), _get(2), keep, _get(3)])
    assert set(over) == {1, 3}
    assert "client/alice has 3 requests in flight" in over[1].why


def test_limits_of_a_new_policy_count_for_callers_that_are_there() -> None:
    door = Door({})
    caller = door.callers.enter(ALICE, HOST)
    assert caller.budget.has_room(16 * MIB)
    door.callers.obey({"client/alice": Limit(1, 2, MIB, 3)})
    caller.budget.take(1)
    assert caller.budget.has_room(MIB - 1) and not caller.budget.has_room(MIB)
    assert door.claims(caller, 9) == 2, "its requests in flight"
    caller.requests = -100
    assert door.claims(caller, 9) == 1, "its keys of this second"
    with pytest.raises(Busy):
        door.callers.enter(ALICE, HOST)
    door.callers.obey({})
    assert door.claims(caller, 99) == 99
    assert caller.budget.has_room(MIB)


def test_one_callers_values_never_take_all_the_room() -> None:
    node = Limits(max_in_flight_bytes=MIB, max_all_in_flight_bytes=64 * MIB)
    caller = Door({}, node).callers.enter(ALICE, HOST)
    caller.budget.take(16 * MIB - 1)
    assert caller.budget.has_room(1) and not caller.budget.has_room(2)


# -- at a node


@asynccontextmanager
async def node(
    monkeypatch: pytest.MonkeyPatch, limits: Mapping[str, Limit], **bounds: int
) -> AsyncIterator[Cluster]:
    """A node that obeys these limits from its start on."""
    init = Clients.__init__

    def obedient(clients: Clients, *arguments: object) -> None:
        init(clients, *arguments)  # type: ignore[arg-type]
        clients.callers.obey(limits)

    monkeypatch.setattr(Clients, "__init__", obedient)
    async with live_cluster(await live_config(1, limits=bounds)) as cluster:
        with trio.fail_after(PATIENCE_S):
            yield cluster


async def _turned_away(cluster: Cluster) -> Refusal:
    raw = await cluster.raw("n1")
    await raw.say(ClientHello("decreed", 1, 1_000, "test"))
    refusal = await raw.hear(Reception)
    assert isinstance(refusal, Refusal) and await raw.ended()
    return refusal


@pytest.mark.trio
async def test_a_connection_over_the_limit_is_told_so_at_its_greeting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with node(monkeypatch, {"anyone": Limit(connections=2)}) as cluster:
        first = await cluster.client("n1")
        await cluster.client("n1")
        refusal = await _turned_away(cluster)
        assert refusal.code == Busy.code
        assert "the anonymous caller at 127.0.0.1 has 2 connections" in refusal.message
        await first.stream.aclose()
        while not isinstance(await _greeted(cluster), ClientWelcome):
            await trio.sleep(0.01)


async def _greeted(cluster: Cluster) -> object:
    raw = await cluster.raw("n1")
    await raw.say(ClientHello("decreed", 1, 1_000, "test"))
    return await raw.hear(Reception)


@pytest.mark.trio
async def test_what_is_over_the_limit_is_answered_at_once_and_the_connection_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its requests of two connections are its requests in flight."""
    async with node(monkeypatch, {"anyone": Limit(in_flight=3)}) as cluster:
        one, other = await cluster.client("n1"), await cluster.client("n1")
        await one.say(*_waits(1, 2))
        await other.say(*_waits(3, 5))
        told = [await other.hear() for _ in range(4)]
        assert all(isinstance(each, Failed) and each.code == Busy.code for each in told)
        assert {each.id for each in told} == {4, 5, 6, 7}
        assert all(each.wait_ms > 0 for each in told)
        began = trio.current_time()
        again = await other.ask(_waits(8, 1)[0])
        assert isinstance(again, Failed) and again.code == Busy.code
        assert trio.current_time() - began >= 0.8 * told[0].wait_ms / 1000


def _waits(first: int, count: int) -> list[Request]:
    return [WaitRequest(n, 600_000, Key(f"w/{n}")) for n in range(first, first + count)]


@pytest.mark.trio
async def test_claims_over_the_rate_are_refused_and_later_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with node(monkeypatch, {"anyone": Limit(keys_per_second=5)}) as cluster:
        client = await cluster.client("n1")
        await client.say(*(ClaimRequest(n, 60_000, True, claim(f"k/{n}")) for n in range(8)))
        answers = [await client.hear() for _ in range(8)]
        kinds = {answer.id: type(answer) for answer in answers}
        assert [kinds[n] for n in range(8)] == [Decreed] * 5 + [Failed] * 3
        assert isinstance(await client.ask(GetRequest(9, 60_000, Key("k/7"))), Undecided)
        retried = await client.ask(ClaimRequest(7, 60_000, True, claim("k/7")))
        assert isinstance(retried, Decreed), "it was read when it could be taken again"


@pytest.mark.trio
async def test_when_all_places_are_taken_who_has_few_gets_one_of_who_has_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter = Callers.enter
    speakers = iter([ALICE] * 6 + [BOB] * 99)

    def known(callers: Callers, identity: Identity, host: str) -> Caller:
        return enter(callers, next(speakers), host)

    async with node(monkeypatch, {}, max_connections=8) as cluster:
        places = 8
        async with trio.open_nursery() as nursery:
            monkeypatch.setattr(Callers, "enter", known)
            alices = [await cluster.client("n1") for _ in range(6)]
            bobs = [await cluster.client("n1") for _ in range(places - 6)]
            bobs += [await cluster.client("n1") for _ in range(2)]
            nursery.start_soon(alices[5].ended)
            nursery.start_soon(alices[4].ended)
        refusal = await _turned_away(cluster)
        assert refusal.code == Busy.code, "both have four by now"
        for client in (*alices[:4], *bobs):
            assert isinstance(await client.ask(GetRequest(1, 60_000, Key("k"))), Undecided)


# -- several callers at a time


def _busy(door: Door, *callers: Caller) -> None:
    """All of these have asked for something just now."""
    for _ in range(2):
        door.now_ms += LOOK_MS
        for caller in callers:
            door.callers.window(caller)
    door.now_ms += LOOK_MS


def test_a_caller_that_is_alone_has_as_much_in_work_as_it_likes() -> None:
    door = Door({})
    alice, bob = door.callers.enter(ALICE, HOST), door.callers.enter(BOB, HOST)
    alice.requests = 10_000
    _busy(door, alice)
    assert door.callers.window(alice) is None and door.callers.has_room(alice, 64 * MIB)
    _busy(door, alice, bob)
    alice.answered_ms = door.now_ms
    assert door.callers.window(alice) is not None
    door.now_ms += 2 * ACTIVE_MS
    bob.requests = 1
    assert door.callers.window(alice) is not None, "the other waits for an answer"
    door.now_ms += 2 * ACTIVE_MS
    bob.requests = 0
    assert door.callers.window(alice) is None, "the other has asked for nothing lately"


def test_while_several_are_active_each_has_few_requests_in_work() -> None:
    door = Door({})
    alice, bob = door.callers.enter(ALICE, HOST), door.callers.enter(BOB, HOST)
    _busy(door, alice, bob)
    alice.requests, alice.answered_ms = WINDOW - 3, door.now_ms
    assert door.callers.window(alice) == 3
    alice.requests = 10 * WINDOW
    assert door.callers.window(alice) == 0
    assert door.callers.window(bob) == WINDOW, "it has its own"
    alice.further = -9 * WINDOW - 5
    assert door.callers.window(alice) == 5, "what lasts is no work"


def test_requests_that_wait_for_a_quorum_hold_up_no_others() -> None:
    door = Door({})
    alice, bob = door.callers.enter(ALICE, HOST), door.callers.enter(BOB, HOST)
    _busy(door, alice, bob)
    alice.requests, alice.answered_ms = WINDOW, door.now_ms
    assert door.callers.window(alice) == 0
    door.now_ms += STALLED_MS - LOOK_MS
    assert door.callers.window(bob) is not None
    assert door.callers.window(alice) == 0
    door.now_ms += 2 * LOOK_MS
    assert door.callers.window(alice) == WINDOW, "it had no answer for a while"
    alice.requests += WINDOW
    assert door.callers.window(alice) == 0, "and not more than one further window"
    door.now_ms += STALLED_MS + LOOK_MS
    door.callers.window(bob)
    assert door.callers.window(alice) == WINDOW
    alice.answered_ms = door.now_ms
    assert door.callers.window(alice) == 0, "what it waited for has come"


def test_large_values_rest_in_proportion_to_what_they_took() -> None:
    door = Door({})
    alice, bob = door.callers.enter(ALICE, HOST), door.callers.enter(BOB, HOST)
    _busy(door, alice, bob)
    door.callers.hold(alice, MIB - 100)
    assert door.callers.has_room(alice, 100) and not door.callers.has_room(alice, 101)
    assert door.callers.has_room(bob, 16 * MIB), "the first of a caller always begins"
    door.now_ms += 100
    door.callers.give_back(alice, MIB - 100)
    assert not door.callers.has_room(alice, 5_000) and door.callers.has_room(bob, 5_000)
    door.now_ms += REST * 100
    assert door.callers.has_room(alice, 5_000)
    door.callers.hold(alice, 10_000)
    door.now_ms += 100
    door.callers.give_back(alice, 10_000)
    door.now_ms += REST
    assert door.callers.has_room(alice, MIB), "a hundredth of that was as soon over"


def test_two_nodes_rarely_work_at_once_for_the_large_values_of_one_caller() -> None:
    at_work, nodes = 1 / (1 + REST), 3
    alone = nodes * at_work * (1 - at_work) ** (nodes - 1)
    idle = (1 - at_work) ** nodes
    assert 1 - alone - idle < 0.01, "beyond the 99th percentile of who is there too"


@pytest.mark.trio
async def test_a_wait_for_ones_turn_ends_with_an_answer_and_by_itself(
    autojump_clock: trio.testing.MockClock,
) -> None:
    callers = Callers(Limits())
    alice, bob = callers.enter(ALICE, HOST), callers.enter(BOB, HOST)
    callers.window(bob)
    callers.window(alice)
    await trio.sleep(2 * LOOK_MS / 1e3)
    callers.window(bob)
    alice.requests, alice.answered_ms = WINDOW, callers.now_ms()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(callers.turn, alice, 0)
        await trio.testing.wait_all_tasks_blocked()
        alice.requests -= 1
        alice.freed.unpark_all()
    began = trio.current_time()
    alice.requests = WINDOW
    await callers.turn(alice, 0)
    assert trio.current_time() - began <= 2 * STALLED_MS / 1e3
