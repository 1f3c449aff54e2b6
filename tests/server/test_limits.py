"""Limits in use: room for peers, full queues to them, large values that were missed."""

import pytest
import trio

from decreed.registry.config import MIB
from decreed.registry.server.outbox import Outbox
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import ClaimRequest, Decreed, GetRequest

from ..support.live import PATIENCE_S, Cluster, live_cluster, live_config
from ..support.world import claim

pytestmark = pytest.mark.trio


def large(number: int) -> ClaimRequest:
    """A claim of one MiB that the node must coordinate itself."""
    key = f"k{number:02}"
    return ClaimRequest(number, 120_000, True, claim(key, bytes(MIB), key.encode()))


async def has_learned(cluster: Cluster, node: str, count: int) -> None:
    """Wait until a node has learned `count` decrees."""
    with trio.fail_after(PATIENCE_S):
        while (await cluster.report(node)).decrees < count:
            await trio.sleep(0.05)


async def test_clients_cannot_lock_peers_out() -> None:
    """While clients use all their places, a peer that comes back is still accepted."""
    async with live_cluster(await live_config(3, limits={"max_connections": 8})) as cluster:
        cluster.kill(NodeId("n3"))
        cluster.kill(NodeId("n2"))
        clients = [await cluster.client("n1") for _ in range(8)]
        await cluster.start(NodeId("n2"))
        answer = await clients[0].ask(ClaimRequest(1, 60_000, True, claim("k")))
        assert isinstance(answer, Decreed)


async def test_a_message_that_a_full_queue_to_a_peer_drops_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dropped: list[bytes] = []
    put_once = Outbox.put_once

    def full_at_first(outbox: Outbox, message: bytes) -> bool:
        if len(message) > MIB and message not in dropped:
            dropped.append(message)
            return False
        return put_once(outbox, message)

    async with live_cluster(await live_config(3)) as cluster:
        cluster.kill(NodeId("n3"))
        client = await cluster.client("n1")
        monkeypatch.setattr(Outbox, "put_once", full_at_first)
        with trio.fail_after(PATIENCE_S):
            assert isinstance(await client.ask(large(1)), Decreed)
            await has_learned(cluster, "n2", 1)
    assert dropped, "the accept; the commit does not have the value"


async def test_a_node_catches_up_with_more_megabytes_than_a_queue_holds() -> None:
    limits = {"max_frame_bytes": 4 * MIB, "max_peer_queue_bytes": 16 * MIB}
    async with live_cluster(await live_config(3, limits=limits)) as cluster:
        cluster.kill(NodeId("n3"))
        client = await cluster.client("n1")
        for number in range(24):
            assert isinstance(await client.ask(large(number)), Decreed)
        await cluster.start(NodeId("n3"))
        await has_learned(cluster, "n3", 24)
        for node in ("n1", "n2"):
            cluster.kill(NodeId(node))
        late = await cluster.client("n3")
        for number in range(24):
            answer = await late.ask(GetRequest(number, 60_000, Key(f"k{number:02}")))
            assert isinstance(answer, Decreed) and len(answer.decree.value) == MIB
