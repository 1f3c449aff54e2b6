"""S21: the limits of a policy reach the door of a node in the step in which the node learns it."""

import json

import pytest
import trio

from decreed.registry.errors import Busy, OverQuota
from decreed.registry.tls.contexts import TlsFiles
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import ClientHello, Reception, Refusal
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Failed,
    PolicyApplied,
    PolicyRequest,
    StatusRequest,
)
from decreed.registry.wire.status import StatusReport

from ..support.certificates import Authority
from ..support.live import PATIENCE_S, Cluster, RawClient, live_cluster, live_config
from ..support.secured import as_client, credentials
from ..support.world import claim

pytestmark = pytest.mark.trio
POLICY = {
    "format": 1,
    "roles": {
        "ops": [{"on": "", "may": ["admin"]}],
        "all": [{"on": "", "may": ["read", "claim", "lock"]}, {"on": "$status", "may": ["read"]}],
    },
    "members": {"client/alice": ["ops"], "anyone": ["all"]},
    "limits": {"anyone": {"connections": 3, "keys_per_second": 4}},
    "quotas": [{"on": "app", "of": "anyone", "keys": 3}],
}


def wish(number: int, key: str) -> ClaimRequest:
    return ClaimRequest(number, 60_000, True, claim(key, b"v", key.encode()))


async def apply(cluster: Cluster, administrator: TlsFiles) -> None:
    """Apply the policy as alice; the other connections are of nobody."""
    nameless, cluster.dials = cluster.dials, as_client(administrator)
    client = await cluster.client("n1")
    cluster.dials = nameless
    document = json.dumps(POLICY).encode()
    request = PolicyRequest(1, 60_000, 0, document, "alice", b"policy", "")
    applied = await client.ask(request)
    assert isinstance(applied, PolicyApplied) and applied.in_force


async def turned_away(cluster: Cluster) -> bool:
    raw = await cluster.raw("n1")
    await raw.say(ClientHello("decreed", 1, 1_000, "test"))
    reception = await raw.hear(Reception)
    return isinstance(reception, Refusal) and reception.code == Busy.code


async def test_limits_and_quotas_of_a_policy_are_kept_at_once_and_after_a_restart(
    authority: Authority,
) -> None:
    alice = authority.client("alice")
    secured = {NodeId("n1"): credentials(authority, "n1")}
    nameless = as_client(TlsFiles(ca=alice.ca))
    async with live_cluster(await live_config(1), secured, nameless) as cluster:
        with trio.fail_after(PATIENCE_S):
            client, other = await cluster.client("n1"), await cluster.client("n1")
            for number in range(3):
                assert isinstance(await client.ask(wish(number, f"app/{number}")), Decreed)
            await apply(cluster, alice)
            await client.say(*(wish(number, f"k/{number}") for number in range(2, 8)))
            answers = {answer.id: answer for answer in [await client.hear() for _ in range(6)]}
            assert [type(answers[number]) for number in range(2, 8)] == [Decreed] * 4 + [Failed] * 2
            third = await cluster.client("n1")
            assert await turned_away(cluster)
            await over_its_quota(other)
            for each in (client, other, third):
                await each.stream.aclose()
            cluster.kill(NodeId("n1"))
            await cluster.start(NodeId("n1"))
            again = [await cluster.client("n1") for _ in range(3)]
            assert await turned_away(cluster)
            await over_its_quota(again[0])


async def over_its_quota(client: RawClient) -> None:
    """Once it is counted, nothing new may be frozen below the prefix."""
    while True:
        report = await client.ask(StatusRequest(50))
        assert isinstance(report, StatusReport)
        [use] = report.quotas
        if not use.counting:
            break
        await trio.sleep(0.01)
    assert (use.on, use.of, use.keys, use.max_keys) == ("app", "anonymous", 3, 3)
    while True:
        answer = await client.ask(wish(51, "app/new"))
        assert isinstance(answer, Failed)
        if answer.code != Busy.code:  # its keys of this second are used up
            break
        await trio.sleep(answer.wait_ms / 1e3)
    assert answer.code == OverQuota.code
