"""All requests that wait at a node are bounded together; who has most is refused, and told why."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from decreed.registry.config import MIB
from decreed.registry.errors import Busy
from decreed.registry.server import log
from decreed.registry.server.crowd import REQUEST_BYTES, ClientShare, Crowd
from decreed.registry.server.rates import BURST, Rates
from decreed.registry.types import Key
from decreed.registry.wire.handshake import (
    MAGIC,
    VERSION,
    ClientHello,
    ClientWelcome,
    Reception,
    Refusal,
)
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Failed,
    LatestRequest,
    Position,
    Request,
    StatusRequest,
    Undecided,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

from ..support.live import PATIENCE_S, Cluster, RawClient, live_cluster, live_config
from ..support.world import claim

ROOM = MIB // REQUEST_BYTES
"""How many small requests may wait in all."""
LONG_MS = 600_000
STATUS = StatusRequest(1_000_000)
EVENT = "too many requests wait; the newest of the clients with most are refused"


def waits(count: int, text: str = "w", first: int = 1) -> list[WaitRequest]:
    return [WaitRequest(n, LONG_MS, Key(f"{text}/{n}")) for n in range(first, first + count)]


@asynccontextmanager
async def crowded() -> AsyncIterator[Cluster]:
    """A node with room for few requests."""
    limits = {"max_all_requests_bytes": MIB}
    async with live_cluster(await live_config(1, limits=limits)) as cluster:
        with trio.fail_after(PATIENCE_S):
            yield cluster


async def refused(client: RawClient, *requests: Request) -> list[Failed]:
    """Say these, and ask how the node is until it has told which of all are refused."""
    await client.say(*requests)
    told: list[Failed] = []
    for _ in range(3):  # what is refused is answered in the turn behind that which was too much
        await client.say(STATUS)
        while (answer := await client.hear()).id != STATUS.id:
            assert isinstance(answer, Failed) and answer.code == Busy.code
            told.append(answer)
    return told


# -- who is refused


def held(crowd: Crowd, *requests: int) -> dict[int, ClientShare]:
    holders = {number: ClientShare() for number, _ in enumerate(requests, 1)}
    for holder, count in zip(holders.values(), requests, strict=True):
        crowd.take(holder, count, 0)
    return holders


@pytest.mark.parametrize(
    ("requests", "lost"),
    [
        ((10, 20, 70), {}),
        ((10, 20, 80), {3: 10}),
        ((10, 80, 80), {2: 35, 3: 35}),
        ((1, 1, 1, 1_000), {4: 903}),
        ((300,), {1: 200}),
    ],
)
def test_who_has_more_than_the_share_loses_the_rest_and_nobody_else_anything(
    requests: tuple[int, ...], lost: dict[int, int]
) -> None:
    crowd = Crowd(100 * REQUEST_BYTES)
    holders = held(crowd, *requests)
    assert crowd.is_over is bool(lost)
    assert crowd.refusals(holders) == lost
    for number, count in lost.items():
        crowd.take(holders[number], -count, 0)
    assert not crowd.is_over


def test_a_caller_has_one_share_on_all_its_connections() -> None:
    crowd = Crowd(100 * REQUEST_BYTES)
    holders = held(crowd, 20, 20, 20, 50)
    lost = crowd.refusals(holders, lambda number: 1 if number <= 3 else 2)
    assert lost == {1: 4, 2: 4, 3: 4}, "the other has half, and keeps it"


def test_long_texts_count() -> None:
    crowd = Crowd(100 * REQUEST_BYTES)
    holders = held(crowd, 40, 20)
    crowd.take(holders[2], 0, 60 * REQUEST_BYTES)
    assert crowd.refusals(holders) == {2: 5}, "each of its requests takes four times as much"


def test_what_was_read_and_is_not_in_batch_yet_counts() -> None:
    crowd = Crowd(100 * REQUEST_BYTES)
    holders = held(crowd, 50, 40)
    crowd.leave_untaken(holders[2], 50)
    assert crowd.refusals(holders) == {2: 40}
    crowd.leave_untaken(holders[2], 10)
    assert not crowd.is_over
    crowd.go(holders[2])
    assert crowd.held == 50 * REQUEST_BYTES


# -- at a node


@pytest.mark.trio
async def test_the_newest_requests_of_who_has_most_are_refused_and_the_others_wait_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "RATES", Rates())
    async with crowded() as cluster:
        modest, greedy = await cluster.client("n1"), await cluster.client("n1")
        await modest.say(*waits(50, "modest"))
        numbers = [failed.id for failed in await refused(greedy, *waits(ROOM + 100))]
        left = ROOM + 100 - len(numbers)
        assert set(numbers) == set(range(left + 1, ROOM + 101)), "the newest"
        assert 0 <= ROOM - 50 - left <= 2, "as many as there is no room for, and no more"
        assert await refused(modest, *waits(10, "more", 100)) == [], (
            "it has far less than its share"
        )
        decided = await cluster.client("n1")
        for number, key in enumerate(("modest/50", "more/109", "w/1"), 1):
            wish = claim(key, b"x", claim_id=key.encode())
            assert isinstance(
                await decided.ask(ClaimRequest(number, LONG_MS, False, wish)), Decreed
            )
        assert {(await modest.hear()).id for _ in range(2)} == {50, 109}
        answers = [await greedy.hear()]
        while not isinstance(answers[-1], Decreed):
            answers.append(await greedy.hear())
        assert answers[-1].id == 1
        assert len(answers) <= 12, "besides, only what the modest one needed"
    facts = [r.__dict__["facts"] for r in caplog.records if r.getMessage() == EVENT]
    assert facts and facts[0]["address"].startswith("127.0.0.1:")


@pytest.mark.trio
async def test_the_error_says_what_to_do_and_the_log_little() -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("decreed").addHandler(handler)
    try:
        async with crowded() as cluster:
            greedy = await cluster.client("n1")
            await refused(greedy, *waits(ROOM))
            told: list[Failed] = []
            for number in range(4 * BURST):
                told += await refused(greedy, *waits(1, "more", number))
            assert len(told) >= 4 * BURST - 2
            assert all("limits.max_all_requests_bytes" in failed.message for failed in told)
            assert all("watch of a prefix" in failed.message for failed in told)
    finally:
        logging.getLogger("decreed").removeHandler(handler)
    assert 1 <= lines.count(EVENT) < 4 * BURST


@pytest.mark.trio
async def test_there_is_room_again_once_the_greedy_one_is_gone() -> None:
    async with crowded() as cluster:
        greedy, other = await cluster.client("n1"), await cluster.client("n1")
        assert await refused(greedy, *waits(2 * ROOM))
        await greedy.stream.aclose()
        while await refused(other, *waits(ROOM - 10, "o")):
            await other.stream.aclose()
            other = await cluster.client("n1")
            await trio.sleep(0.01)
        assert await refused(other, *waits(50, "o", 2 * ROOM))


@pytest.mark.trio
@pytest.mark.parametrize("kind", ["latest", "old watch", "parked watch"])
async def test_whatever_waits_counts(kind: str) -> None:
    """Of what can be answered at once, some is, and the rest refused; of what waits, the surplus."""
    async with crowded() as cluster:
        greedy, bystander = await cluster.client("n1"), await cluster.client("n1")
        page = await greedy.ask(WatchRequest(1, LONG_MS, "p", None, 10))
        assert isinstance(page, WatchPage)
        made: dict[str, list[Request]] = {
            "latest": [LatestRequest(n, LONG_MS, f"s/{n}") for n in range(4_000)],
            "old watch": [WatchRequest(n, LONG_MS, "p", _start(page), 10) for n in range(4_000)],
            "parked watch": [
                WatchRequest(n, LONG_MS, "p", page.position, 10) for n in range(4_000)
            ],
        }
        await greedy.say(*made[kind])
        assert await bystander.ask(STATUS)
        answers: list[object] = []
        while not any(isinstance(answer, Failed) for answer in answers):
            answers.append(await greedy.hear())
        assert all(isinstance(a, Failed | Undecided) for a in answers)
        assert await refused(bystander, *waits(20)) == []


def _start(page: WatchPage) -> Position:
    return Position(page.position.node, page.position.feed, 0)


@pytest.mark.trio
async def test_who_greets_at_the_same_time_as_many_others_counts() -> None:
    limits = {"max_connections": 8}
    async with live_cluster(await live_config(1, limits=limits)) as cluster:
        with trio.fail_after(PATIENCE_S):
            clients = [await cluster.raw("n1") for _ in range(14)]
            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(client.say, ClientHello(MAGIC, VERSION, VERSION))
            heard = [await client.hear(Reception) for client in clients]
    assert sum(isinstance(one, ClientWelcome) for one in heard) == 8
    assert {one.code for one in heard if isinstance(one, Refusal)} == {Busy.code}
