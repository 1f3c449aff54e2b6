"""The admin listener: health, status and metrics, to whom they are told, and what a stranger gets."""

import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest
import trio

from decreed.registry.errors import ConfigError
from decreed.registry.identity import ANONYMOUS
from decreed.registry.replica.parts import Parts
from decreed.registry.replica.step.disk_reads import DiskMeasured
from decreed.registry.server.admin.listener import MOST, AdminListener
from decreed.registry.server.admin.metrics import METRICS, exposition, table
from decreed.registry.server.serve import Server
from decreed.registry.space import DiskSpace
from decreed.registry.types import Key
from decreed.registry.wire.requests import ClaimRequest, GetRequest

from ..support.asked import answer, ended, request, serving
from ..support.live import PATIENCE_S, RawClient
from ..support.world import claim, config

pytestmark = pytest.mark.trio
FULL = DiskMeasured(DiskSpace(1, 1_000, (("log", 5), ("tables", 7))))


class Node:
    """A node of a cluster of one or three that serves, with its admin listener."""

    def __init__(self, server: Server, admin: AdminListener, port: int) -> None:
        self.server, self.admin, self.port = server, admin, port

    async def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer."""
        host, port = self.admin.places[0].rsplit(":", 1)
        stream = await trio.open_tcp_stream(host, int(port))
        async with stream:
            await stream.send_all(request(path, **headers))
            return answer(await ended(stream))[:2]


@asynccontextmanager
async def served(size: int = 1) -> AsyncIterator[Node]:
    async with serving(config(size)) as found:
        yield Node(*found)


async def test_a_node_whose_peers_are_down_is_alive_and_not_ready() -> None:
    async with served(3) as node:
        assert (await node.get("/livez"))[0] == 200
        status, body = await node.get("/readyz")
        assert status == 503 and b"not ready" in body


async def test_a_node_that_can_be_part_of_a_quorum_is_ready() -> None:
    async with served() as node:
        assert await node.get("/readyz") == (200, b"ready\n")


async def test_a_node_without_room_on_its_disk_is_alive_and_not_ready() -> None:
    async with served() as node:
        node.server.loop.post(FULL)
        with trio.fail_after(PATIENCE_S):
            while (await node.get("/readyz"))[0] != 503:
                await trio.sleep(0.001)
        assert (await node.get("/livez"))[0] == 200
        told = json.loads((await node.get("/status"))[1])
        [alarm] = told["nodes"][0]["alarms"]
        assert alarm["kind"] == "disk_full" and alarm["way_out"]
        assert not told["quorum"] and not told["nodes"][0]["voting"]


async def test_the_metrics_count_claims_and_reads_by_how_they_ended() -> None:
    async with served() as node:
        client = RawClient(await trio.open_tcp_stream("127.0.0.1", node.port))
        async with client.stream:
            await client.greet()
            for number, value in enumerate((b"v", b"v", b"w"), 1):
                made = claim("k", value, f"id {number}".encode())
                await client.ask(ClaimRequest(number, 5_000, False, made))
            await client.ask(GetRequest(9, 5_000, made.key))
            for number in (10, 11):
                await client.ask(GetRequest(number, 5_000, Key("never")))
        text = (await node.get("/metrics"))[1].decode()
    for outcome in ("won", "same", "lost"):
        assert f'decreed_requests_total{{kind="claim",outcome="{outcome}"}} 1.0' in text
    assert 'decreed_requests_total{kind="get",outcome="decreed"} 1.0' in text
    assert 'decreed_requests_total{kind="get",outcome="undecided"} 2.0' in text
    assert 'decreed_request_duration_seconds_count{kind="get"} 3.0' in text
    assert 'decreed_request_duration_seconds_count{kind="claim"} 3.0' in text
    assert "decreed_decrees 1.0" in text


async def test_promtool_finds_nothing_wrong_with_the_metrics() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    async with served() as node:
        node.server.loop.post(FULL)
        body = (await node.get("/metrics"))[1]
    checked = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


async def test_every_metric_of_the_table_is_told_and_no_other() -> None:
    async with served(3) as node:
        node.server.loop.post(FULL)
        text = exposition(node.admin._sources).decode()
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert told == {name for name, *_ in table()}
    assert len(METRICS) == len(told)


async def test_a_page_that_has_another_name_for_this_machine_gets_nothing() -> None:
    async with served() as node:
        assert (await node.get("/status", host="evil.example:7480"))[0] == 403
        assert (await node.get("/status", host="127.0.0.1:7480"))[0] == 200
        assert (await node.get("/status", host="[::1]:7480"))[0] == 200


async def test_a_token_without_tls_is_not_looked_at() -> None:
    async with served() as node:
        assert (await node.get("/status", Authorization="Bearer t"))[0] == 401


async def test_nothing_can_be_changed_and_other_paths_are_not_there() -> None:
    async with served() as node:
        stream = await trio.open_tcp_stream("127.0.0.1", int(node.admin.places[0].split(":")[1]))
        async with stream:
            await stream.send_all(request("/metrics", "POST"))
            assert answer(await ended(stream))[0] == 405
        assert (await node.get("/nothing"))[0] == 404


async def test_more_connections_than_there_are_places_end_the_oldest() -> None:
    async with served() as node:
        port = int(node.admin.places[0].split(":")[1])
        held = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(MOST + 1)]
        assert await ended(held[0]) == b""
        assert (await node.get("/livez"))[0] == 200
        for stream in held:
            await stream.aclose()


async def test_a_fault_in_what_is_told_ends_neither_node_nor_listener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with served() as node:
        broken = replace(node.admin._sources, parts=cast(Parts, None))
        whole, node.admin._sources = node.admin._sources, broken
        assert (await node.get("/metrics"))[0] == 500
        node.admin._sources = whole
        assert (await node.get("/metrics"))[0] == 200


async def test_s01_beyond_this_machine_it_listens_with_tls_alone() -> None:
    async with served() as node:
        with pytest.raises(ConfigError, match="TLS alone"):
            await node.admin.run("0.0.0.0:7499")


async def test_anybody_may_ask_where_no_policy_is() -> None:
    async with served() as node:
        node.admin._sources.check_administers(ANONYMOUS)
