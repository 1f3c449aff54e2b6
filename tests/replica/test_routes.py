"""Each kind of message and of request has one route, and no kind has none."""

from typing import get_args

import pytest

from decreed.registry.replica.client_requests import ClientRequests
from decreed.registry.replica.parts import Parts
from decreed.registry.replica.peer_messages import Peers
from decreed.registry.version import VERSION
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import Cancel, ClientPing, Request, StatusRequest
from decreed.storage.memory import MemoryDisk, open_memory

from ..support.world import config

ANSWERED_AT_ONCE = {Cancel, ClientPing, StatusRequest}


@pytest.fixture
def parts() -> Parts:
    cluster = config()
    storage = open_memory(MemoryDisk("n1"), cluster, cluster.nodes[0], bytes)
    return Parts(cluster, storage.recovered())


@pytest.fixture
def peers(parts: Parts) -> Peers:
    return Peers(parts, ClientRequests(parts, VERSION))


def test_every_message_between_nodes_has_one_route_and_no_other_kind_has_one(peers: Peers) -> None:
    assert set(peers.routes) == set(get_args(PeerMessage))


def test_every_request_that_takes_time_has_one_opening_and_no_other_kind_has_one(
    parts: Parts,
) -> None:
    client_requests = ClientRequests(parts, VERSION)
    assert set(client_requests.openings) == set(get_args(Request)) - ANSWERED_AT_ONCE


def test_a_second_route_for_a_kind_is_refused(peers: Peers) -> None:
    kind, route = next(iter(peers.routes.items()))
    with pytest.raises(AssertionError, match=f"{kind.__name__} has a route"):
        peers.add(kind, route.handle, route.needs)
