"""Each kind of message and of request has one route, and no kind has none."""

from typing import get_args

import pytest

from decreed.registry.paxos.messages import (
    Accepted,
    AcceptedMany,
    Nack,
    PrepareClass,
    Promise,
    PromiseClass,
)
from decreed.registry.replica.client_requests import ClientRequests
from decreed.registry.replica.parts import Parts
from decreed.registry.replica.peer_messages import Peers
from decreed.registry.version import VERSION
from decreed.registry.wire.marks import MarkRequest
from decreed.registry.wire.peers import PeerMessage, TermRefused
from decreed.registry.wire.requests import Cancel, ClientPing, Request, StatusRequest
from decreed.registry.wire.scrub import ScrubRequest
from decreed.storage.memory import MemoryDisk, open_memory

from ..support.world import config

ANSWERED_AT_ONCE = {Cancel, ClientPing, StatusRequest, ScrubRequest, MarkRequest}


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


def test_a_node_that_may_not_vote_counts_no_answers_and_gives_no_class_promise(
    peers: Peers,
) -> None:
    """A failed node has no attempts, and one that has not formed begins none: the table says it too."""
    passed_over = {kind for kind, route in peers.routes.items() if route.for_voters}
    answers = {Promise, Accepted, AcceptedMany, Nack, TermRefused}
    assert passed_over == {*answers, PrepareClass, PromiseClass}


def test_a_second_route_for_a_kind_is_refused(peers: Peers) -> None:
    kind, route = next(iter(peers.routes.items()))
    with pytest.raises(AssertionError, match=f"{kind.__name__} has a route"):
        peers.add(kind, route.handle, route.needs)
