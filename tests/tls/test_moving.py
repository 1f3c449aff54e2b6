"""S13: a cluster without TLS moves over to it node by node, and nobody waits for that."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from decreed import client
from decreed.client import Tls
from decreed.registry.config import TlsSection
from decreed.registry.errors import ConfigError
from decreed.registry.server import security_watch
from decreed.registry.server.listening import open_listeners
from decreed.registry.server.securing import Securing
from decreed.registry.server.security_watch import ACCEPTS_PLAIN, INSECURE, SecurityWatch
from decreed.registry.tls.contexts import TlsFiles
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import StatusRequest
from decreed.registry.wire.status import CertificatePart, StatusReport

from ..support.certificates import CLUSTER, Authority
from ..support.live import PATIENCE_S, Cluster, RawClient, live_cluster, live_config
from ..support.secured import as_client, credentials

pytestmark = pytest.mark.trio

MOVING, MOVED = TlsSection(accept_plain=True), TlsSection()
LOADS = 4


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_watch, "LOOK_SECONDS", 0.1)


class Load:
    """Clients that claim all the time; each claim is checked."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.won: dict[str, bytes] = {}
        self._scope = trio.CancelScope()
        self._stopped, self._ended = trio.Event(), trio.Event()

    async def begin(self, cluster: Cluster, tls: Tls | None) -> None:
        """Begin, or go on with other clients."""
        endpoints = [address for _, address in cluster.config.addresses]
        self._stopped, self._ended = trio.Event(), trio.Event()
        await self._nursery.start(self._run, endpoints, tls)

    async def _run(
        self, endpoints: list[str], tls: Tls | None, *, task_status: trio.TaskStatus[None]
    ) -> None:
        stopped = self._stopped
        async with (
            client.connect(endpoints, tls=tls, timeout=PATIENCE_S) as registry,
            trio.open_nursery() as nursery,
        ):
            for number in range(LOADS):
                nursery.start_soon(self._claim, registry, number, stopped)
            task_status.started()
        self._ended.set()

    async def _claim(self, registry: Any, number: int, stopped: trio.Event) -> None:
        while not stopped.is_set():
            key = f"moving/{number}/{len(self.won)}"
            claimed = await registry.claim(key, key.encode())
            assert claimed.won
            self.won[key] = key.encode()
            await trio.sleep(0.005)

    async def goes_on(self) -> None:
        """Wait until some more claims are won."""
        enough = len(self.won) + 2 * LOADS
        while len(self.won) < enough:
            await trio.sleep(0.01)

    async def stop(self) -> None:
        """Wait until the claims that are under way are over."""
        self._stopped.set()
        await self._ended.wait()


@asynccontextmanager
async def loaded(cluster: Cluster) -> AsyncIterator[Load]:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            load = Load(nursery)
            await load.begin(cluster, None)
            yield load
            await load.stop()


async def report(cluster: Cluster, node: str, *, plain: bool = False) -> StatusReport:
    stream = await cluster.plain(node)
    secured: Any = trio.SSLStream(stream, cluster.dials, https_compatible=True)  # type: ignore[arg-type]
    raw = RawClient(stream if plain else secured)
    await raw.greet()
    answer = await raw.ask(StatusRequest(1))
    assert isinstance(answer, StatusReport)
    await stream.aclose()
    return answer


async def linked(cluster: Cluster, *, plain: bool = False) -> None:
    for node in cluster.config.nodes:
        while True:
            told = await report(cluster, node, plain=plain)
            if told.voting and all(peer.reachable for peer in told.peers):
                break
            await trio.sleep(0.05)


async def test_s13_a_cluster_moves_over_node_by_node_under_claims_and_none_is_lost(
    authority: Authority,
) -> None:
    alice = authority.client("alice")
    async with live_cluster(await live_config(3)) as cluster, loaded(cluster) as load:
        cluster.dials = as_client(alice)
        cluster.config = replace(cluster.config, tls=MOVING)
        for node in cluster.config.nodes:  # 1: each node takes both
            cluster.credentials[node] = credentials(authority, node)
            await cluster.restart(node)
            await linked(cluster, plain=True)
            await load.goes_on()
        told = await report(cluster, "n1")
        assert ACCEPTS_PLAIN in told.tls_fault
        await load.stop()
        await load.begin(cluster, Tls(alice.ca, alice.certificate, alice.key))  # 2: the clients
        for node in cluster.config.nodes:  # 3: nothing is left without
            while "now of nobody" not in (told := await report(cluster, node)).tls_fault:
                await trio.sleep(0.05)
            peers = [e.whose for e in told.certificates if e.part is CertificatePart.PEER]
            assert len(peers) == 2
        cluster.config = replace(cluster.config, tls=MOVED)
        for node in cluster.config.nodes:  # 4: TLS alone
            await cluster.restart(node)
            await linked(cluster)
            await load.goes_on()
            assert (await report(cluster, node)).tls_fault == ""
        await load.stop()
        check = client.connect(
            [address for _, address in cluster.config.addresses],
            tls=Tls(alice.ca, alice.certificate, alice.key),
            timeout=PATIENCE_S,
        )
        async with check as registry:
            for key, value in load.won.items():
                found = await registry.get(key)
                assert found is not None and found.value == value
        plain = RawClient(await cluster.plain("n1"))
        with pytest.raises(AssertionError, match="speaks TLS alone"):
            await plain.greet()


async def test_s13_a_node_that_accepts_plain_dials_tls_first_and_plain_only_where_it_must(
    authority: Authority,
) -> None:
    config = replace(await live_config(3), tls=MOVING)
    used = {NodeId(name): credentials(authority, name) for name in ("n1", "n2")}
    async with live_cluster(config, used) as cluster:
        with trio.fail_after(PATIENCE_S):
            cluster.dials = as_client(TlsFiles(ca=authority.ca))
            while "now of n3, of a client" not in (
                told := (await report(cluster, "n1", plain=True)).tls_fault
            ):
                await trio.sleep(0.05)
            assert "n2" not in told


async def test_s13_beyond_loopback_a_node_that_accepts_plain_must_be_insecure_too() -> None:
    with pytest.raises(ConfigError, match="without accept_plain"):
        await open_listeners(["0.0.0.0:1"], guarded=False)


@pytest.mark.parametrize("setting", [INSECURE, ACCEPTS_PLAIN])
async def test_s13_either_setting_is_in_the_status_and_in_a_line_each_day(
    authority: Authority, caplog: pytest.LogCaptureFixture, setting: str
) -> None:
    used = credentials(authority, "n1") if setting is ACCEPTS_PLAIN else None
    told: list[Any] = []
    securing = Securing(CLUSTER, "n1", used, accepts_plain=True)
    watch = SecurityWatch(securing, told.append, insecure=True)
    for hour in range(24 * 3):
        watch.look(1e9 + 3600 * hour)
    assert setting in told[0].fault and len(told) == 1
    assert [each.getMessage() for each in caplog.records].count(setting) == 3
