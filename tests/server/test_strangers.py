"""Hostile connections: they take nothing from other clients, and hardly fill the log."""

import logging
from contextlib import suppress

import pytest
import trio

from decreed.registry.config import MIB
from decreed.registry.server import log
from decreed.registry.server.rates import BURST, Rates
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.handshake import DirectoryRefusal, PeerIdentity
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    GetRequest,
    Position,
    StatusRequest,
    WatchPage,
    WatchRequest,
)
from decreed.registry.wire.status import StatusReport
from decreed.storage.cache import InstanceCache

from ..support.greeted import hello_as, opening
from ..support.live import PATIENCE_S, Cluster, RawClient, live_cluster, live_config
from ..support.world import claim

pytestmark = pytest.mark.trio
SOMEBODY = PeerIdentity("live-test", b"x" * 16, NodeId("n2"), b"d" * 16, 9, b"n" * 16, 0, None)


@pytest.fixture(autouse=True)
def fresh_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "RATES", Rates())
    monkeypatch.setattr(log, "UNPROVEN", Rates(burst=1, per_s=0.1))


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    return [r.__dict__["facts"] for r in caplog.records if r.getMessage() == event]


async def large_keys(cluster: Cluster, count: int) -> None:
    """Freeze `count` keys to values of nearly a MiB, all different."""
    writer = await cluster.client("n1")
    for number in range(count):
        value = number.to_bytes(1, "big") * (MIB - 1)
        key = f"large/{number}"
        answer = await writer.ask(
            ClaimRequest(1, 60_000, False, claim(key, value, claim_id=key.encode()))
        )
        assert isinstance(answer, Decreed)


async def test_all_answers_that_wait_are_bounded_and_the_largest_holder_goes_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = {"max_all_client_queue_bytes": 16 * MIB}
    async with live_cluster(await live_config(1, limits=limits)) as cluster:
        await large_keys(cluster, 40)
        modest = await cluster.client("n1")
        greedy = await cluster.client("n1")
        await modest.say(*(GetRequest(n, 60_000, Key(f"large/{n}")) for n in range(3)))
        await greedy.say(*(GetRequest(n, 60_000, Key(f"large/{n}")) for n in range(40)))
        with trio.fail_after(PATIENCE_S):
            assert await greedy.ended()
            for _ in range(3):
                assert isinstance(await modest.hear(), Decreed)
    [facts] = said(caplog, "too many answers wait; the client with most of them is dropped")
    assert str(facts["address"]).startswith("127.0.0.1:")


async def test_answers_to_clients_that_are_gone_no_longer_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = {"max_all_client_queue_bytes": 16 * MIB}
    async with live_cluster(await live_config(1, limits=limits)) as cluster:
        await large_keys(cluster, 40)
        for start in range(0, 40, 10):
            leaves = await cluster.client("n1")
            keys = (Key(f"large/{number}") for number in range(start, start + 10))
            await leaves.say(*(GetRequest(n, 60_000, key) for n, key in enumerate(keys)))
            assert isinstance(await leaves.hear(), Decreed)
            await leaves.stream.aclose()
            await cluster.report("n1")
    assert not said(caplog, "too many answers wait; the client with most of them is dropped")


async def test_stalled_watches_of_one_large_claim_cost_one_value() -> None:
    limits = {"max_all_client_queue_bytes": 4 * MIB}
    async with live_cluster(await live_config(1, limits=limits)) as cluster:
        watchers = [await cluster.client("n1") for _ in range(6)]
        for watcher in watchers:
            page = await watcher.ask(WatchRequest(1, 60_000, "", None, 10))
            assert isinstance(page, WatchPage)
            await watcher.say(*_watches(page.position))
            assert isinstance(await watcher.ask(StatusRequest(99)), StatusReport)
        await large_keys(cluster, 1)
        with trio.fail_after(PATIENCE_S):
            for watcher in watchers:
                pages = [await watcher.hear() for _ in range(20)]
                assert all(len(page.decrees[0].value) == MIB - 1 for page in pages)


def _watches(position: Position) -> list[WatchRequest]:
    return [WatchRequest(number, 60_000, "", position, 10) for number in range(20)]


async def test_half_frames_make_room_for_whole_ones(caplog: pytest.LogCaptureFixture) -> None:
    limits = {"max_all_frame_bytes": 8 * MIB}
    async with live_cluster(await live_config(1, limits=limits)) as cluster:
        halves = [await cluster.client("n1") for _ in range(5)]
        async with trio.open_nursery() as nursery:
            for half in halves:
                nursery.start_soon(_say_half, half)
            await trio.sleep(0.1)
            with trio.fail_after(PATIENCE_S):
                await large_keys(cluster, 2)
            nursery.cancel_scope.cancel()
    reasons = [str(f["reason"]) for f in said(caplog, "a connection was ended")]
    assert any("others wait for its room" in reason for reason in reasons)


async def _say_half(client: RawClient) -> None:
    with suppress(trio.BrokenResourceError):
        await client.stream.send_all((7 * MIB).to_bytes(4, "big") + bytes(7 * MIB - 1))


async def test_gets_of_more_megabytes_than_a_turn_loads_are_all_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("decreed.registry.server.node_loop.MAX_LOADED_BYTES", 2 * MIB)
    monkeypatch.setattr("decreed.storage.store.READ_AT_ONCE", 2)
    monkeypatch.setattr(InstanceCache, "find", lambda _cache, _keys: {})
    async with live_cluster(await live_config(1)) as cluster:
        await large_keys(cluster, 12)
        client = await cluster.client("n1")
        await client.say(*(GetRequest(n, 60_000, Key(f"large/{n}")) for n in range(12)))
        with trio.fail_after(PATIENCE_S):
            answers = [await client.hear() for _ in range(12)]
    assert {answer.id for answer in answers} == set(range(12))
    assert all(answer.decree.value[0] == answer.id for answer in answers)


@pytest.mark.parametrize("says", ["nothing", "an opening"])
async def test_silent_connections_are_ended_first_when_there_are_too_many(says: str) -> None:
    async with live_cluster(await live_config(3, limits={"max_connections": 8})) as cluster:
        cluster.kill(NodeId("n3"))
        cluster.kill(NodeId("n2"))
        silent = [await cluster.raw("n1") for _ in range(40)]
        for stranger in silent[:39] if says == "an opening" else ():
            with suppress(trio.BrokenResourceError):
                await stranger.say(opening(SOMEBODY, "n1"))
        await cluster.start(NodeId("n2"))
        client = await cluster.client("n1")
        with trio.fail_after(PATIENCE_S):
            answer = await client.ask(ClaimRequest(1, 600_000, True, claim("k")))
            assert isinstance(answer, Decreed), "the peer was let in, and so was the client"
            assert await silent[0].ended(), "the oldest"
            assert (await silent[-1].greet()).node == "n1", "the newest has its time"


async def test_a_port_check_causes_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with live_cluster(await live_config(1)) as cluster:
        for _ in range(3):
            looks = await cluster.raw("n1")
            await looks.stream.send_eof()
            assert await looks.ended()
            await looks.stream.aclose()
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


async def test_lines_that_strangers_cause_are_few_and_have_an_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with live_cluster(await live_config(1)) as cluster:
        for _ in range(4 * BURST):
            stranger = await cluster.raw("n1")
            await stranger.stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            assert await stranger.ended()
            await stranger.stream.aclose()
        before = len(said(caplog, "a connection was ended"))
        greeted = [await cluster.client("n1") for _ in range(2 * BURST)]
        for client in greeted:
            await client.stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            assert await client.ended()
    lines = said(caplog, "a connection was ended")
    assert 1 <= before < BURST, "S84: one each ten seconds of those that have not greeted"
    assert 1 <= len(lines) - before < 2 * BURST
    assert all(str(facts["address"]).startswith("127.0.0.1:") for facts in lines)


async def test_another_directory_that_greets_as_a_peer_changes_nothing_that_status_says_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with live_cluster(await live_config(3)) as cluster:
        before = (await cluster.report("n1")).peers
        identity = PeerIdentity(
            "live-test", cluster.config.digest(), NodeId("n2"), b"d" * 16, 9, b"n" * 16, 0, None
        )
        stranger = await cluster.raw("n1")
        refusal = await hello_as(stranger, identity)
        assert isinstance(refusal, DirectoryRefusal) and "stays out" in refusal.message
        after = (await cluster.report("n1")).peers
        assert [(p.node, p.refused, p.reachable) for p in after] == [
            (p.node, p.refused, p.reachable) for p in before
        ]
    [facts] = said(caplog, "a node is refused")
    assert (facts["node"], str(facts["address"])[:10]) == ("n2", "127.0.0.1:")
