"""S01, S07, S22, S36: the admin listener beyond this machine, where only the right `admin` is answered.

It listens on loopback here, and takes that for an address of another machine.
"""

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h11
import pytest
import trio

from decreed.registry.config import parse_config
from decreed.registry.errors import Refused
from decreed.registry.policy.document import Policy
from decreed.registry.policy.encoding import encode
from decreed.registry.server.admin import listener
from decreed.registry.server.admin.askers import Presented
from decreed.registry.server.admin.listener import MOST
from decreed.registry.server.audit_log import AuditLog
from decreed.registry.server.credentials import Credentials
from decreed.registry.server.start import ServerStart
from decreed.registry.tls.contexts import TlsFiles
from decreed.registry.wire.requests import PolicyApplied, PolicyRequest

from ..support.asked import AdminNode, Told, answer, ended, request, serving, until
from ..support.certificates import CLUSTER, Authority
from ..support.live import RawClient
from ..support.secured import as_client
from ..support.tokens import HOUR_MS, expires, fresh, policy_with

pytestmark = pytest.mark.trio
CONFIG = parse_config({"cluster_id": CLUSTER, "members": {"n1": "127.0.0.1:7430"}})
OTHERS = ("/readyz", "/status", "/metrics", "/nothing")


class Far:
    """A node that is asked from another machine, so to speak.

    Args:
        node: the node.
        authority: who has signed all certificates.
        audit: its audit log.
        files: of the node.
    """

    def __init__(self, node: AdminNode, authority: Authority, audit: Path, files: TlsFiles) -> None:
        self.node, self.authority, self.audit, self.files = node, authority, audit, files
        self.nobody = TlsFiles(ca=authority.ca)
        self.alice, self.bob = authority.client("alice"), authority.client("bob")
        self._number = 0

    async def open(self, files: TlsFiles) -> trio.SSLStream[trio.SocketStream]:
        """A connection of somebody."""
        plain = await trio.open_tcp_stream("127.0.0.1", self.node.admin_port)
        stream = trio.SSLStream(plain, http(files), https_compatible=True)
        await stream.do_handshake()
        return stream

    async def get(self, path: str, files: TlsFiles | None = None, token: str = "") -> Told:
        """What somebody is told."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with await self.open(files or self.nobody) as stream:
            await stream.send_all(request(path, **headers))
            return answer(await ended(stream))

    async def apply(self, policy: Policy) -> None:
        """Apply the next policy, and wait until it is in force."""
        plain = await trio.open_tcp_stream("127.0.0.1", self.node.port)
        secured: Any = trio.SSLStream(plain, as_client(self.alice), https_compatible=False)
        client = RawClient(secured)
        async with plain:
            await client.greet()
            wish = encode(policy), "alice", os.urandom(16), ""
            told = await client.ask(PolicyRequest(1, 60_000, self._number, *wish))
        assert isinstance(told, PolicyApplied) and told.in_force, told
        self._number += 1

    def told(self, event: str) -> list[dict[str, Any]]:
        """The lines of the audit log about something."""
        lines = map(json.loads, self.audit.read_text().splitlines())
        return [line for line in lines if line["event"] == event]


def http(files: TlsFiles) -> Any:
    context = as_client(files)
    context.set_alpn_protocols(["http/1.1"])
    return context


@pytest.fixture(autouse=True)
def beyond_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "is_loopback", lambda _: False)


@asynccontextmanager
async def far(
    authority: Authority, tmp_path: Path, *, clients_must: bool = False
) -> AsyncIterator[Far]:
    audit = AuditLog(tmp_path / "audit", "n1", required=True)
    audit.open()
    files = authority.node("n1", name=f"far-{time.monotonic_ns()}")
    used = Credentials(files, CLUSTER, "n1", clients_must=clients_must)
    async with serving(CONFIG, ServerStart(audit=audit, credentials=used)) as node:
        yield Far(node, authority, tmp_path / "audit", files)
    audit.close()


async def test_s07_only_who_has_the_right_admin_is_answered(
    authority: Authority, tmp_path: Path
) -> None:
    async with far(authority, tmp_path) as world:
        await world.apply(policy_with({}))
        for path in OTHERS:
            statuses = [
                (await world.get(path, files)).status for files in (world.nobody, world.bob)
            ]
            assert statuses == [401, 403], path
        assert (await world.get("/metrics", world.alice)).body.startswith(
            b"# HELP decreed_node_info"
        )
        [node] = json.loads((await world.get("/status", world.alice)).body)["nodes"]
        assert node["node"] == "n1"
        assert (await world.get("/readyz", world.alice)).status == 200
        assert (await world.get("/nothing", world.alice)).status == 404


async def test_a_stranger_learns_that_the_node_lives_and_how_to_show_who_he_is(
    authority: Authority, tmp_path: Path
) -> None:
    async with far(authority, tmp_path) as world:
        await world.apply(policy_with({}))
        assert (await world.get("/livez"))[:2] == (200, b"alive\n")
        assert not world.told("denied")
        told = await world.get("/metrics")
        assert told.headers["www-authenticate"].startswith("Bearer")
        assert b"decreed_" not in told.body


async def test_s22_who_lacks_the_right_is_in_the_audit_log_once_and_then_counted(
    authority: Authority, tmp_path: Path
) -> None:
    async with far(authority, tmp_path) as world:
        await world.apply(policy_with({}))
        for _ in range(3):
            await world.get("/metrics", world.bob)
        [line] = world.told("denied")
        facts = line["identity"], line["right"], line["outcome"], line["policy"]
        assert facts == ("client/bob", "admin", "denied", 1)
        assert line["address"].startswith("127.0.0.1:")
        counted = world.node.server._denials.due()
        assert [record.count for record, _ in counted] == [2]


async def test_s33_a_token_with_the_right_is_answered_and_one_that_is_gone_is_not(
    authority: Authority, tmp_path: Path
) -> None:
    scraper, weak, old, gone = (fresh(name) for name in ("scraper", "weak", "old", "gone"))
    ops = {"client/alice": ["ops"]}
    roles = {**ops, "token/scraper": ["ops"], "token/weak": ["app"], "token/old": ["ops"]}
    async with far(authority, tmp_path) as world:
        tokens = {scraper: expires(), weak: expires(), old: expires(-HOUR_MS)}
        await world.apply(policy_with({gone: expires()}, members={**ops, "token/gone": ["ops"]}))
        assert (await world.get("/metrics", token=gone.show())).status == 200
        await world.apply(policy_with(tokens, members=roles))
        assert (await world.get("/metrics", token=scraper.show())).status == 200
        assert (await world.get("/metrics", token=weak.show())).status == 403
        refused = [await world.get("/metrics", token=each.show()) for each in (old, gone)]
        refused.append(await world.get("/metrics", world.alice, fresh("nobody").show()))
        assert {told.status for told in refused} == {401}, "a certificate makes up for nothing"
        assert len({told.body for told in refused}) == 1, "which of them it is, nobody is told"
        [line] = world.told("token")
        assert line["outcome"] == "denied" and world.told("denied")[0]["identity"] == "token/weak"
        shown = world.audit.read_text()
        assert not any(each.show() in shown for each in (scraper, weak, old, gone))


@pytest.mark.parametrize("by", [0, 1], ids=["sha256", "serial"])
async def test_s36_a_certificate_that_a_policy_refuses_is_refused_on_open_connections_too(
    authority: Authority, tmp_path: Path, by: int
) -> None:
    async with far(authority, tmp_path) as world:
        await world.apply(policy_with({}))
        world.alice, old = authority.client("alice"), world.alice
        async with await world.open(old) as stream:
            await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: n1\r\n\r\n")
            assert b"200" in (await stream.receive_some(1 << 16)).splitlines()[0]
            certificate, der = stream.getpeercert(), stream.getpeercert(True)
            assert certificate and der, "the node's own"
            mark = marks(old)[by]
            await world.apply(policy_with({}, refused=[mark]))
            await stream.send_all(request("/readyz"))
            told = answer(await ended(stream))
        assert told.status == 403 and mark.encode() in told.body
        assert (await world.get("/metrics", old)).status == 403
        assert (await world.get("/metrics", world.alice)).status == 200
        assert world.told("certificate")[0]["path"] == "client/alice"


def marks(files: TlsFiles) -> tuple[str, str]:
    """As `decreed ca show` tells them."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    assert files.certificate is not None
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return f"sha256:{digest}", f"serial:{certificate.serial_number:x}"


async def test_a_certificate_that_has_expired_since_counts_no_more(
    authority: Authority, tmp_path: Path
) -> None:
    async with far(authority, tmp_path) as world:
        askers = world.node.admin._askers
        asked = h11.Request(method="GET", target="/status", headers=[("host", "x")])
        shown = Presented("127.0.0.1:1", ends_s=time.time() + 3_600)
        assert str(askers.check(asked, shown)) == "anonymous"
        askers._now_s = lambda: shown.ends_s
        assert world.node.admin.answer(asked, shown).status == 403


async def test_a_node_and_a_client_of_another_cluster_are_no_clients_here(
    authority: Authority, tmp_path: Path
) -> None:
    async with far(authority, tmp_path) as world:
        assert (await world.get("/metrics")).status == 200, "there is no policy"
        told = await world.get("/metrics", authority.node("n2"))
        assert told.status == 403 and b"node/n2; a client's is needed" in told.body
        told = await world.get("/metrics", authority.client("alice", cluster="another"))
        assert told.status == 403 and b"of cluster 'another'" in told.body


async def test_s03_renewed_files_are_used_and_bad_ones_are_not(
    authority: Authority, tmp_path: Path
) -> None:
    async with far(authority, tmp_path) as world:
        before = await serial(world)
        credentials = world.node.server._securing.credentials
        assert credentials is not None
        put(world.files, authority.node("n2"))
        credentials.look()
        assert credentials.fault and await serial(world) == before
        put(world.files, authority.node("n1"))
        credentials.look()
        assert not credentials.fault and await serial(world) != before


async def serial(world: Far) -> str:
    async with await world.open(world.nobody) as stream:
        certificate = stream.getpeercert()
        assert certificate
        return str(certificate["serialNumber"])


def put(there: TlsFiles, new: TlsFiles) -> None:
    for path, source in zip(there[:2], new[:2], strict=True):
        assert path is not None and source is not None
        path.write_bytes(source.read_bytes())


async def test_where_clients_must_have_a_certificate_a_stranger_learns_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    async with far(authority, tmp_path, clients_must=True) as world:
        with pytest.raises((trio.BrokenResourceError, h11.RemoteProtocolError)):
            await world.get("/livez")
        assert (await world.get("/livez", world.bob)).status == 200


async def test_half_handshakes_of_one_address_are_few_and_the_oldest_goes(
    authority: Authority, tmp_path: Path
) -> None:
    async with far(authority, tmp_path) as world:
        most = MOST // 4
        half: list[trio.SocketStream] = []

        def has(count: int) -> bool:
            return len(world.node.admin._handshakes) == count

        for number in range(most + 1):
            half.append(await trio.open_tcp_stream("127.0.0.1", world.node.admin_port))
            await half[-1].send_all(b"\x16\x03\x01")  # the first bytes of a handshake
            await until(partial(has, min(number + 1, most)))
        assert await ended(half[0]) == b""
        assert (await world.get("/livez")).status == 200
        for stream in half:
            await trio.aclose_forcefully(stream)
        await until(lambda: not len(world.node.admin._handshakes))


async def test_s22_a_required_audit_log_that_fails_ends_the_node_before_it_answers(
    authority: Authority, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise Refused("the audit log cannot be written")

    with pytest.raises(BaseExceptionGroup) as raised:
        async with far(authority, tmp_path) as world:
            await world.apply(policy_with({}))
            world.node.admin._askers._tell = fail
            async with await world.open(world.bob) as stream:
                await stream.send_all(request("/metrics"))
                assert await ended(stream) == b""
            await trio.sleep_forever()
    assert raised.group_contains(Refused, match="cannot be written")
