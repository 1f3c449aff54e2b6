"""Nodes that join real servers: observers, voters, names that are used again, and sleepers (M19)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from decreed.client import connect
from decreed.registry.config import parse_config
from decreed.registry.types import Claim, Key, NodeId
from decreed.registry.wire.requests import (
    Answer,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    ListRequest,
    StatusRequest,
    WatchPage,
    WatchRequest,
)

from ..support.live import live_config
from ..support.live_changing import ChangingCluster, changing_cluster
from ..support.ports import hold, let_go

pytestmark = pytest.mark.trio
N1, N2, N3, N4, N5 = (NodeId(f"n{number}") for number in range(1, 6))


@asynccontextmanager
async def cluster_of_three(**places: str) -> AsyncIterator[ChangingCluster]:
    """Three voters, and ports for n4 and n5."""
    config = await live_config()
    held = hold(2)
    further = {f"n{number}": f"127.0.0.1:{port}" for number, port in zip((4, 5), held, strict=True)}
    try:
        async with changing_cluster(config, {**further, **places}) as cluster:
            yield cluster
    finally:
        let_go([*held, *(config.address(node)[1] for node in config.nodes)])


def at(cluster: ChangingCluster, node: str) -> str:
    return cluster.places.get(NodeId(node)) or dict(cluster.config.addresses)[NodeId(node)]


async def ask(cluster: ChangingCluster, node: str, request: object) -> Answer:
    client = await cluster.client(node)
    return await client.ask(request)  # type: ignore[arg-type]


async def freeze(cluster: ChangingCluster, node: str, key: str) -> Decreed:
    wanted = Claim(Key(key), b"v", "text/plain", "tester", key.encode())
    answer = await ask(cluster, node, ClaimRequest(1, 60_000, False, wanted))
    assert isinstance(answer, Decreed), answer
    return answer


async def until_read(cluster: ChangingCluster, node: str, key: str) -> Decreed:
    """Wait until a node answers with the decree of a key."""
    while not isinstance(
        answer := await ask(cluster, node, GetRequest(1, 60_000, Key(key))), Decreed
    ):
        await trio.sleep(0.02)
    return answer


async def test_an_observer_knows_what_is_frozen_and_has_no_vote() -> None:
    async with cluster_of_three() as cluster:
        decree = (await freeze(cluster, N1, "before")).decree
        await cluster.join(N4, at(cluster, N2))
        assert (await until_read(cluster, N4, "before")).decree == decree
        later = (await freeze(cluster, N3, "later")).decree
        assert (await until_read(cluster, N4, "later")).decree == later
        report = await cluster.report(N4)
        assert not report.voting and "has no vote" in report.trouble
        wanted = Claim(Key("x"), b"v", "text/plain", "tester", b"id")
        for request in (ClaimRequest(1, 5_000, True, wanted), ListRequest(1, 5_000, "", "", 10)):
            assert isinstance(await ask(cluster, N4, request), Failed)
        while not any(peer.reachable for peer in (await cluster.report(N4)).peers):
            await trio.sleep(0.01)
        await freeze(cluster, N4, "passed-on-to-a-voter")
        formations = {(await cluster.report(node)).formation for node in (N1, N4)}
        assert len(formations) == 1


async def test_an_observer_finds_the_others_by_the_one_that_it_met_with_a_file_of_nobody() -> None:
    async with cluster_of_three() as cluster:
        members = {"elsewhere": "127.0.0.1:1"}
        alone = parse_config({"cluster_id": cluster.config.cluster_id, "members": members})
        cluster.configs[N4] = alone
        await cluster.join(N4, at(cluster, N2))
        await cluster.until_links(N4, N1, N2, N3)
        await freeze(cluster, N1, "k")
        await until_read(cluster, N4, "k")
        welcome = await (await cluster.raw(N4)).greet()
        assert [member.node for member in welcome.members] == [N1, N2, N3]
        assert [peer.node for peer in (await cluster.report(N4)).peers] == [N1, N2, N3]


async def test_after_a_restart_an_observer_knows_by_its_directory_where_the_members_are() -> None:
    async with cluster_of_three() as cluster:
        members = {"elsewhere": "127.0.0.1:1"}
        alone = parse_config({"cluster_id": cluster.config.cluster_id, "members": members})
        cluster.configs[N4] = alone
        await cluster.join(N4, at(cluster, N2))
        await cluster.until_links(N4, N1, N2, N3)
        for node in (N1, N2, N3):
            while cluster.servers[N4]._replica.membership.known(node).address is None:  # type: ignore[union-attr]
                await trio.sleep(0.01)
        await cluster.stop(N4)
        await freeze(cluster, N1, "meanwhile")
        await cluster.start(N4)
        await until_read(cluster, N4, "meanwhile")


async def test_an_observer_watches() -> None:
    async with cluster_of_three() as cluster:
        await cluster.join(N4, at(cluster, N1))
        client = await cluster.client(N4)
        await until_formed(cluster, N4)
        page = await client.ask(WatchRequest(1, 60_000, "w", None, 10))
        assert isinstance(page, WatchPage)
        await client.say(WatchRequest(2, 60_000, "w", page.position, 10))
        decree = (await freeze(cluster, N2, "w/one")).decree
        heard = await client.ask(StatusRequest(3))
        while not isinstance(heard, WatchPage):
            heard = await client.hear()
        assert heard.decrees == (decree,)


async def until_formed(cluster: ChangingCluster, node: str) -> None:
    while (await cluster.report(node)).formation is None:
        await trio.sleep(0.01)


async def test_a_joiner_becomes_a_voter_and_the_removed_one_is_left() -> None:
    async with cluster_of_three() as cluster:
        await freeze(cluster, N1, "before")
        await cluster.join(N4, at(cluster, N1))
        await until_formed(cluster, N4)
        cluster.propose(N1, N1, N2, N4)
        await cluster.voting(N1, N2, N4)
        await cluster.stop(N3)
        await cluster.until_links(N1, N2, N4)
        await cluster.stop(N2)
        assert (await freeze(cluster, N4, "after")).decree.ballot.epoch == 1
        assert (await freeze(cluster, N1, "after/2")).decree.ballot.epoch == 1


async def test_clients_are_told_of_the_new_members_and_dial_them() -> None:
    async with cluster_of_three() as cluster:
        await cluster.join(N4, at(cluster, N1))
        await until_formed(cluster, N4)
        async with connect(at(cluster, N1)) as registry:
            await registry.claim("a", b"1")
            cluster.propose(N2, N1, N2, N4)
            await cluster.voting(N1, N2, N4)
            while {node.node for node in await registry.status()} != {N1, N2, N4}:
                await trio.sleep(0.02)
            await registry.claim("b", b"2")
        welcome = await (await cluster.raw(N4)).greet()
        assert [member.node for member in welcome.members] == [N1, N2, N4]
        assert {member.address for member in welcome.members} == {
            at(cluster, node) for node in (N1, N2, N4)
        }


async def test_a_voter_that_joined_starts_from_its_directory_alone() -> None:
    async with cluster_of_three() as cluster:
        await cluster.join(N4, at(cluster, N1))
        await until_formed(cluster, N4)
        cluster.propose(N1, N1, N2, N4)
        await cluster.voting(N1, N2, N4)
        members = {"elsewhere": "127.0.0.1:1"}
        alone = parse_config({"cluster_id": cluster.config.cluster_id, "members": members})
        for node in (N1, N4):
            cluster.configs[node] = alone
            cluster.places[node] = at(cluster, node)
            await cluster.stop(node)
        await cluster.start(N4)
        await cluster.start(N1)
        await cluster.voting(N1, N2, N4)
        await freeze(cluster, N4, "after")


async def test_a_name_is_used_again_with_an_empty_directory() -> None:
    async with cluster_of_three() as cluster:
        decree = (await freeze(cluster, N1, "before")).decree
        await cluster.stop(N3)
        while any(p.reachable for p in (await cluster.report(N1)).peers if p.node == N3):
            await trio.sleep(0.01)
        await cluster.join(N3, at(cluster, N1))
        assert (await until_read(cluster, N3, "before")).decree == decree
        assert not (await cluster.report(N3)).voting
        async with connect(at(cluster, N1)) as registry:
            await registry.claim("a", b"1")
            cluster.places[N3] = at(cluster, N4)  # it moves as it becomes a voter
            await cluster.stop(N3)
            await cluster.start(N3)
            cluster.propose(N1, N1, N2, N3)
            await cluster.voting(N1, N2, N3)
            while {node.address for node in await registry.status()} != {
                at(cluster, node) for node in (N1, N2, N3)
            }:
                await trio.sleep(0.02)
        await cluster.stop(N2)
        await freeze(cluster, N3, "after")


async def sleep_through_two_changes(cluster: ChangingCluster) -> None:
    """n3 sleeps while n2 is replaced by n4 and then n1 by n5."""
    await cluster.stop(N3)
    for node in (N4, N5):
        await cluster.join(node, at(cluster, N1))
        await until_formed(cluster, node)
    cluster.propose(N1, N1, N3, N4)
    await cluster.voting(N1, N4)
    cluster.propose(N1, N3, N4, N5)
    await cluster.voting(N4, N5)
    await cluster.stop(N1)
    await cluster.stop(N2)


async def test_a_sleeper_with_an_old_file_learns_of_changes_and_votes_again() -> None:
    """n3 slept while n2 was replaced by n4 and then n1 by n5: it knows neither of them."""
    async with cluster_of_three() as cluster:
        await sleep_through_two_changes(cluster)
        await cluster.start(N3)
        await cluster.voting(N3, N4, N5)
        await cluster.stop(N5)
        await freeze(cluster, N3, "after")


async def test_a_sleeper_with_the_file_of_a_later_epoch_starts_with_the_members_it_formed_with() -> (
    None
):
    """n3 slept while n1 and n2 were replaced; it has moved, and its file names the new members."""
    async with cluster_of_three() as cluster:
        await sleep_through_two_changes(cluster)
        cluster.places[N3] = at(cluster, N2)  # nobody knows that it is here
        members = {str(node): at(cluster, node) for node in (N3, N4, N5)}
        cluster.configs[N3] = parse_config(
            {"cluster_id": cluster.config.cluster_id, "members": members}
        )
        await cluster.start(N3)
        await cluster.voting(N3, N4, N5)
        await cluster.stop(N5)
        await freeze(cluster, N3, "after")
