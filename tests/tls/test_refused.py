"""S36: who is refused by the policy that a node obeys is let in no more, and is cut off at once."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from decreed.registry.errors import Denied, ProtocolError
from decreed.registry.identity import ANONYMOUS
from decreed.registry.policy.encoding import encode
from decreed.registry.replica.replica import Replica
from decreed.registry.server import security_watch, serve
from decreed.registry.server.admitted import RefusedByPolicy
from decreed.registry.server.audit_log import AuditLog
from decreed.registry.server.credentials import Credentials
from decreed.registry.server.greeting import Greeter, PeerLine
from decreed.registry.server.securing import Securing
from decreed.registry.server.security_watch import SecurityWatch
from decreed.registry.server.start import ServerStart
from decreed.registry.tls.contexts import TlsFiles, node_contexts
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.handshake import (
    NO_MEMBERS,
    VERSION,
    ClientHello,
    PeerHello,
    PeerIdentity,
    PeerReception,
    Reception,
    Refusal,
)
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Failed,
    PolicyApplied,
    PolicyRequest,
    StatusRequest,
    WaitRequest,
)
from decreed.registry.wire.status import CertificatePart, StatusReport

from ..policy.samples import SMALL, changed, read
from ..support.certificates import CLUSTER, Authority
from ..support.live import PATIENCE_S, SECRET, Cluster, RawClient, live_cluster, live_config
from ..support.secured import as_client, pair
from ..support.world import claim

pytestmark = pytest.mark.trio

OPEN = changed(
    roles={
        **SMALL["roles"],
        "all": [
            {"on": "", "may": ["read", "claim", "lock"]},
            {"on": "$status", "may": ["read"]},
        ],
    },
    members={**SMALL["members"], "client/alice": ["all", *SMALL["members"]["client/alice"]]},
)
"""Alice may do everything, and bob too."""


@pytest.fixture(autouse=True)
def enforcing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "Replica", partial(Replica, enforces=True))
    monkeypatch.setattr(security_watch, "LOOK_SECONDS", 0.1)


class Governed:
    """A cluster with TLS whose nodes obey policies, and alice, who makes them."""

    def __init__(self, cluster: Cluster, authority: Authority, nodes: Mapping[NodeId, TlsFiles]):
        self.cluster, self.authority, self.nodes = cluster, authority, nodes
        self.files = {name: authority.client(name) for name in ("alice", "bob")}
        self._policies = 0
        self._requests = 0

    async def client(self, name: str, node: str = "n1", files: TlsFiles | None = None) -> RawClient:
        """A connection of somebody that is welcomed."""
        self.cluster.dials = as_client(files or self.files[name])
        return await self.cluster.client(node)

    async def met(self, files: TlsFiles, node: str = "n1") -> Refusal | None:
        """What a node says to somebody whom it does not let in; None if it does."""
        self.cluster.dials = as_client(files)
        raw = await self.cluster.raw(node)
        await raw.say(ClientHello("decreed", VERSION, VERSION, "test"))
        said = await raw.hear(Reception)
        if not isinstance(said, Refusal):
            return None
        assert await _over(raw)
        return said

    async def refusal(self, files: TlsFiles, node: str = "n1") -> Refusal:
        """The same, of somebody whom it does not let in."""
        said = await self.met(files, node)
        assert said is not None
        return said

    async def refuse(self, *entries: str) -> None:
        """Apply a policy that refuses these and no others, and wait until it is in force."""
        answer = await self.apply(*entries)
        assert isinstance(answer, PolicyApplied) and answer.in_force, answer

    async def apply(self, *entries: str) -> Any:
        """Apply such a policy; returns the answer, which comes when it is in force."""
        alice = await self.client("alice", "n1")
        answer = await alice.ask(self._request(*entries))
        self._policies += isinstance(answer, PolicyApplied)
        return answer

    async def begin(self, *entries: str) -> None:
        """The same, without the wait for those who are cut off by it."""
        alice = await self.client("alice", "n1")
        await alice.say(self._request(*entries))
        self._policies += 1

    def _request(self, *entries: str) -> PolicyRequest:
        document = encode(read({**OPEN, "refused": list(entries)}))
        self._requests += 1
        claim_id = b"%d" % self._requests
        return PolicyRequest(
            self._requests, 60_000, self._policies, document, "alice", claim_id, ""
        )

    async def report(self, node: str) -> StatusReport:
        alice = await self.client("alice", node)
        answer = await alice.ask(StatusRequest(1))
        assert isinstance(answer, StatusReport)
        return answer

    async def reaches(self, node: str, *peers: str) -> None:
        """Wait until a node has links to exactly these."""
        while True:
            report = await self.report(node)
            if {each.node for each in report.peers if each.reachable} == set(peers):
                return
            await trio.sleep(0.05)


async def _over(raw: RawClient) -> bool:
    """Wait until the node has ended a connection."""
    with pytest.raises((EOFError, trio.BrokenResourceError)):
        while True:
            await raw.hear()
    return True


def marks(files: TlsFiles, node: str) -> tuple[str, ...]:
    return node_contexts(files, CLUSTER, node).marks


def client_marks(files: TlsFiles) -> tuple[str, str]:
    """As `decreed ca show` and `openssl x509` tell them."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    assert files.certificate is not None
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return f"sha256:{digest}", f"serial:{certificate.serial_number:x}"


@asynccontextmanager
async def governed(authority: Authority, size: int = 1) -> AsyncIterator[Governed]:
    names = [NodeId(f"n{number + 1}") for number in range(size)]
    nodes = {name: authority.node(name) for name in names}
    used = {name: Credentials(files, CLUSTER, name) for name, files in nodes.items()}
    alice = as_client(authority.client("alice"))
    async with live_cluster(await live_config(size), used, alice) as cluster:
        with trio.fail_after(PATIENCE_S):
            yield Governed(cluster, authority, nodes)


# -- clients


@pytest.mark.parametrize("by", ["identity", "sha256", "serial"])
async def test_s36_a_client_that_is_refused_is_cut_off_and_let_in_no_more(
    authority: Authority, by: str
) -> None:
    async with governed(authority) as world:
        await world.refuse()
        bob = await world.client("bob")
        await bob.say(WaitRequest(1, 60_000, Key("never")))
        entry = dict(zip(("sha256", "serial"), client_marks(world.files["bob"]), strict=True))
        entry["identity"] = "client/bob"
        alice = await world.client("alice")
        await world.refuse(entry[by])
        assert await _over(bob)
        told = await world.refusal(world.files["bob"])
        assert told.code == Denied.code and "is refused by policy 2" in told.message
        assert entry[by] in told.message
        again = world.authority.client("bob")  # a new certificate of the same name
        if by == "identity":
            assert (await world.refusal(again)).message == "client/bob is refused by policy 2"
        else:
            await world.client("bob", files=again)
        answer = await alice.ask(ClaimRequest(1, 60_000, False, claim("prod/x")))
        assert isinstance(answer, Decreed), "her connection goes on"
        await world.refuse()
        await world.client("bob")


async def test_s36_what_was_sent_before_the_cut_is_not_begun_after_it(
    authority: Authority,
) -> None:
    """Many claims of one frame after another; none is answered or proposed once the policy is there."""
    async with governed(authority) as world:
        await world.refuse()
        thief = await world.client("alice")  # her certificate, refused by its mark
        [sha256, _] = client_marks(world.files["alice"])
        wanted = [
            ClaimRequest(number, 60_000, False, claim(f"k{number}", b"v", b"%d" % number))
            for number in range(1, 2_000)
        ]

        async def flood() -> None:
            with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
                while True:
                    await thief.say(*wanted)

        world.files["alice"] = world.authority.client("alice")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await world.refuse(sha256)
        report = await world.report("n1")
        before = report.decrees
        await trio.sleep(0.2)
        assert (await world.report("n1")).decrees == before


async def test_s36_the_policy_that_a_node_knows_counts_before_its_first_connection(
    authority: Authority,
) -> None:
    async with governed(authority) as world:
        await world.refuse("client/bob")
        await world.cluster.restart(NodeId("n1"))
        assert "client/bob is refused" in (await world.refusal(world.files["bob"])).message


async def test_s36_an_operator_does_not_come_in_as_a_node_that_is_refused(
    authority: Authority,
) -> None:
    """At the others the way back in is open; a policy cannot refuse all of them."""
    async with governed(authority, 3) as world:
        await world.refuse()
        admin = await world.client("alice", "n3")
        document = encode(read({**OPEN, "refused": ["node/n3"]}))
        await admin.say(PolicyRequest(1, 60_000, 1, document, "alice", b"x", ""))
        while (await world.met(world.nodes[NodeId("n3")], "n3")) is None:
            await trio.sleep(0.05)
        assert await world.met(world.nodes[NodeId("n2")], "n2") is None


# -- peers


async def test_s36_a_node_does_not_use_a_peer_that_is_refused_where_it_dials_either(
    authority: Authority,
) -> None:
    n2 = authority.node("n2")
    for entries, fault in (
        ([], ""),
        (["node/n2"], "node/n2 is refused by policy 9"),
        (marks(n2, "n2")[:1], "sha256"),
    ):
        dialler = Securing(CLUSTER, "n1", Credentials(authority.node("n1"), CLUSTER, "n1"))
        dialler.admitted.obey(read(changed(refused=list(entries))), 9)
        door = Securing(CLUSTER, "n2", Credentials(n2, CLUSTER, "n2"))
        ours, theirs = await pair()
        async with ours, theirs, trio.open_nursery() as nursery:
            nursery.start_soon(door.accept, theirs)
            greeter = Greeter(NodeId("n1"), CLUSTER, None, securing=dialler)
            if not fault:
                await greeter.dial(ours, NodeId("n2"))
                assert str(ours.identity) == "node/n2"
                continue
            with pytest.raises(ProtocolError, match=fault):
                await greeter.dial(ours, NodeId("n2"))
            assert ours.identity == ANONYMOUS


async def test_s36_a_peer_that_proves_the_secret_is_refused_by_its_name_once_it_has() -> None:
    """Before its proof nobody is told whom the policy refuses."""
    door = Securing(CLUSTER, "n1", None)
    door.admitted.obey(read(changed(refused=["node/n2"])), 3)
    ours, theirs = await pair()
    said: list[object] = []

    async def answer() -> None:
        with pytest.raises(RefusedByPolicy, match="node/n2 is refused by policy 3"):
            await door.accept(theirs)
            await Greeter(NodeId("n1"), CLUSTER, SECRET, securing=door).answer(theirs)

    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        line = await Greeter(NodeId("n2"), CLUSTER, SECRET).dial(ours, NodeId("n1"))
        assert isinstance(line, PeerLine)
        identity = PeerIdentity(CLUSTER, NO_MEMBERS, NodeId("n2"), bytes(16), 1, bytes(16), 0, None)
        await line.say(PeerHello("decreed", VERSION, VERSION, identity, 0, None))
        said.append(await line.hear(PeerReception))
    assert said == [Refusal(Denied.code, "node/n2 is refused by policy 3")]


@pytest.mark.parametrize("by", ["identity", "serial"])
async def test_s36_a_node_that_is_refused_loses_its_links_and_comes_back_when_it_is_not(
    authority: Authority, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with governed(authority, 3) as world:
        await world.refuse()
        await world.reaches("n1", "n2", "n3")
        entry = "node/n3" if by == "identity" else marks(world.nodes[NodeId("n3")], "n3")[1]
        await world.begin(entry)
        await world.reaches("n1", "n2")
        await world.reaches("n2", "n1")
        await world.reaches("n3")
        alice = await world.client("alice")
        decided = await alice.ask(ClaimRequest(1, 60_000, False, claim("prod/x")))
        assert isinstance(decided, Decreed), "two of three go on"
        while "is refused by policy 2" not in await _refused(world, "n3"):  # it dials again first
            await trio.sleep(0.05)
        while not any("a peer refuses this node" in each.message for each in caplog.records):
            await trio.sleep(0.05)
        await world.refuse()
        for node in ("n1", "n2", "n3"):
            await world.reaches(node, *({"n1", "n2", "n3"} - {node}))


async def _refused(world: Governed, node: str) -> str:
    """Why n1 refuses a node."""
    [reason] = [peer.refused for peer in (await world.report("n1")).peers if peer.node == node]
    return reason


async def test_s36_a_node_whose_certificate_is_refused_is_back_with_a_new_one(
    authority: Authority,
) -> None:
    async with governed(authority, 3) as world:
        await world.refuse()
        [sha256, _] = marks(world.nodes[NodeId("n3")], "n3")
        await world.begin(sha256)
        await world.reaches("n1", "n2")
        renewed = world.authority.node("n3")
        for old, new in zip(world.nodes[NodeId("n3")][:2], renewed[:2], strict=True):
            assert old is not None and new is not None
            old.write_bytes(new.read_bytes())
        world.cluster.credentials[NodeId("n3")].reload()
        await world.reaches("n1", "n2", "n3")


async def test_s36_a_policy_that_would_leave_no_quorum_linked_is_refused_by_certificates_too(
    authority: Authority,
) -> None:
    async with governed(authority, 3) as world:
        await world.refuse()
        listed = [marks(world.nodes[NodeId(node)], node)[0] for node in ("n2", "n3")]
        while len(await _peers_told(world)) < 2:  # looked at every few seconds
            await trio.sleep(0.2)
        answer = await world.apply(*listed)
        assert isinstance(answer, Failed) and "cuts off n2, n3" in answer.message


async def _peers_told(world: Governed) -> set[str]:
    told = (await world.report("n1")).certificates
    return {each.whose for each in told if each.part is CertificatePart.PEER}


# -- what is told of it


async def test_s36_a_node_says_that_it_is_refused_itself(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    securing = Securing(CLUSTER, "n1", Credentials(authority.node("n1"), CLUSTER, "n1"))
    told: list[Any] = []
    watch = SecurityWatch(securing, told.append, insecure=False)
    watch.look(0)
    assert told[-1].fault == ""
    for entry in ("node/n1", securing.credentials.contexts.marks[1]):  # type: ignore[union-attr]
        securing.admitted.obey(read(changed(refused=[entry])), 7)
        watch.look(0)
        assert "refused by policy 7: other nodes have no link with this one" in told[-1].fault


async def test_s81_a_refused_certificate_is_told_to_the_audit_log(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path, "n1")
    monkeypatch.setattr("tests.support.live.ServerStart", partial(ServerStart, audit=audit))
    async with governed(authority) as world:
        await world.refuse()
        await world.client("bob")
        await world.refuse("client/bob")
        await world.refusal(world.files["bob"])
    found = [json.loads(line) for line in path.read_text().splitlines()]
    told = [each for each in found if each["event"] == "certificate"]
    assert [(each["path"], each.get("policy")) for each in told] == [
        ("client/bob", 2),
        ("client/bob", None),
    ]
    assert told[0]["identity"] == "client/bob" and told[0]["outcome"] == "denied"


async def test_s17_the_status_tells_administrators_whose_certificates_are_connected(
    authority: Authority,
) -> None:
    async with governed(authority, 3) as world:
        bob = await world.client("bob")
        while True:
            shown = (await world.report("n1")).certificates
            found = {(each.part, each.whose): each for each in shown}
            if (CertificatePart.CLIENT, "client/bob") in found:
                break
            await trio.sleep(0.2)
        assert found[CertificatePart.OWN, "node/n1"].marks == marks(world.nodes[NodeId("n1")], "n1")
        for node in ("n2", "n3"):
            peer = found[CertificatePart.PEER, f"node/{node}"]
            assert peer.marks == marks(world.nodes[NodeId(node)], node) and peer.connections == 2
        assert found[CertificatePart.CLIENT, "client/bob"].marks == client_marks(world.files["bob"])
        await world.refuse()
        answer = await bob.ask(StatusRequest(2))
        assert isinstance(answer, StatusReport)
        assert all(each.part is not CertificatePart.CLIENT for each in answer.certificates)
