"""Greetings offer ranges of protocol versions: the highest common one is used, or both are named."""

from typing import Any, cast
from unittest.mock import Mock

import cbor2
import pytest

from decreed.client.transport.framing import Greeting as ClientGreeting
from decreed.client.transport.framing import hello
from decreed.registry.errors import ProtocolError, Refused
from decreed.registry.replica.step.effects import Welcome
from decreed.registry.replica.step.events import Greeted
from decreed.registry.server.links import Links
from decreed.registry.server.versions import check_version, choose_version
from decreed.registry.types import NodeId
from decreed.registry.version import build
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.handshake import (
    LOWEST_VERSION,
    MAGIC,
    VERSION,
    ClientHello,
    ClientWelcome,
    Greeting,
    PeerHello,
    PeerIdentity,
    PeerOpening,
    PeerWelcome,
    Reception,
    Refusal,
)

from ..support.batches import step
from ..support.live import live_cluster, live_config
from ..support.world import World

OLD = "protocol versions 2 to 2 are offered, version 1 is spoken here: upgrade the older side"
"""What a build that speaks version 1 alone answers."""


@pytest.mark.parametrize(
    ("theirs", "ours", "chosen"),
    [((2, 2), (2, 2), 2), ((1, 2), (2, 3), 2), ((1, 9), (2, 3), 3), ((3, 9), (1, 4), 4)],
)
def test_the_highest_version_of_both_is_chosen(
    theirs: tuple[int, int], ours: tuple[int, int], chosen: int
) -> None:
    assert choose_version(*theirs, *ours) == chosen == choose_version(*ours, *theirs)


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        ((1, 1), (2, 2), "version 1 offered"),
        ((1, 1), (2, 2), "speaks version 2: upgrade the side that connects"),
        ((4, 6), (2, 3), "versions 4 to 6 offered"),
        ((4, 6), (2, 3), "speaks versions 2 to 3: upgrade this node"),
        ((9, 2), (2, 3), "upgrade"),
    ],
)
def test_ranges_that_do_not_meet_are_refused_with_both_and_the_way_out(
    theirs: tuple[int, int], ours: tuple[int, int], words: str
) -> None:
    with pytest.raises(Refused, match=words) as refused:
        choose_version(*theirs, *ours)
    assert build() in str(refused.value)


def test_a_version_that_was_not_offered_is_not_spoken() -> None:
    check_version(VERSION)
    for version in (LOWEST_VERSION - 1, VERSION + 1):
        with pytest.raises(ProtocolError, match=f"version {version} chosen, and version"):
            check_version(version)


def identity(node: str = "n2", digest: bytes = b"x" * 16) -> PeerIdentity:
    return PeerIdentity("live-test", digest, NodeId(node), b"d" * 16, 9, b"n" * 16, 0, None)


def test_the_first_messages_keep_the_form_that_every_version_reads() -> None:
    """Older builds read the ranges from these places; no later version may move them."""
    shown = ["live-test", b"x" * 16, "n2", b"d" * 16, 9, b"n" * 16, 0, None]
    peer = cbor2.loads(encode(PeerHello(MAGIC, 1, 2, identity(), 0, None)))
    assert peer == [3, "decreed", 1, 2, shown, 0, None], "so that an earlier version is told"
    nonce = bytes(range(32))
    opening = PeerOpening(MAGIC, 1, 2, "c", NodeId("n2"), NodeId("n1"), nonce)
    assert cbor2.loads(encode(opening)) == [6, "decreed", 1, 2, "c", "n2", "n1", nonce]
    assert cbor2.loads(encode(ClientHello(MAGIC, 1, 2, "x"))) == [1, "decreed", 1, 2, "x"]
    assert cbor2.loads(encode(Refusal(7, "why"))) == [0, 7, "why"]


# -- clients


@pytest.mark.parametrize("lowest, highest", [(VERSION, VERSION), (1, VERSION), (VERSION, 99)])
@pytest.mark.trio
async def test_a_client_of_any_range_that_meets_ours_is_welcomed(lowest: int, highest: int) -> None:
    async with live_cluster(await live_config(1)) as cluster:
        client = await cluster.raw("n1")
        await client.say(ClientHello(MAGIC, lowest, highest, "test"))
        welcome = await client.hear(Reception)
        assert isinstance(welcome, ClientWelcome) and welcome.version == VERSION


@pytest.mark.trio
async def test_a_client_and_a_node_of_version_1_are_refused_with_the_way_out() -> None:
    async with live_cluster(await live_config(1)) as cluster:
        for greeting in (
            ClientHello(MAGIC, 1, 1, "test"),
            PeerHello(MAGIC, 1, 1, identity(digest=cluster.config.digest()), 0, None),
            PeerOpening(MAGIC, 1, 1, "live-test", NodeId("n2"), NodeId("n1"), bytes(32)),
        ):
            old = await cluster.raw("n1")
            await old.say(greeting)
            refusal = await old.hear(Reception)
            assert isinstance(refusal, Refusal) and refusal.code == Refused.code
            assert "version 1 offered" in refusal.message
            assert f"speaks version {VERSION}: upgrade the side that connects" in refusal.message
            assert await old.ended()


def parsed(reception: object) -> ClientWelcome | None:
    """What the client library makes of a node's first frame."""
    return ClientGreeting().feed(b"".join(pack([encode(reception)])))


def test_the_client_offers_its_range_and_takes_a_version_within_it_alone() -> None:
    [offered] = decode_batch(hello("x")[4:], Greeting)
    assert (offered.lowest_version, offered.highest_version) == (LOWEST_VERSION, VERSION)
    welcome = ClientWelcome(VERSION, "c", None, NodeId("n1"), (), 1, 1, 1)
    assert parsed(welcome) == welcome
    for version in (LOWEST_VERSION - 1, VERSION + 1):
        other = ClientWelcome(version, "c", None, NodeId("n1"), (), 1, 1, 1)
        with pytest.raises(ProtocolError, match=f"chose version {version}.* upgrade"):
            parsed(other)
    with pytest.raises(Refused, match="version 1 is spoken here"):
        parsed(Refusal(Refused.code, OLD))


# -- a node that dials


class Node:
    """As much of a node as its links look at."""

    others = (NodeId("n2"),)


@pytest.mark.trio
async def test_a_peer_that_chooses_a_version_that_was_not_offered_is_not_linked() -> None:
    nothing: Any = Mock()
    links = Links(nothing, cast(Any, Node()), *[nothing] * 6)
    welcome = PeerWelcome(1, identity(), None, bytes(32))
    with pytest.raises(ProtocolError, match="version 1 chosen"):
        await links._judge_welcome(NodeId("n2"), welcome, nothing)


def test_a_node_offers_its_range_to_its_peers_and_welcomes_in_the_version_that_was_chosen() -> None:
    world = World()
    membership = world.replica("n1").membership
    offered = membership.hello(NodeId("n2"))
    assert (offered.lowest_version, offered.highest_version) == (LOWEST_VERSION, VERSION)
    shown = world.replica("n2").membership.identity()
    [welcome] = [
        item.message
        for item in step(world, NodeId("n1"), Greeted(9, shown, 0, None, VERSION + 5)).after
        if isinstance(item, Welcome)
    ]
    assert welcome.version == VERSION + 5
