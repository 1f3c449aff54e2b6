"""Claims whose outcome is unknown stay so, until a call says what the key is frozen to."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from decreed.client import Outcome, connect
from decreed.client.requests.doubts import Doubts
from decreed.client.requests.results import Claimed
from decreed.registry.errors import (
    ClaimIdReused,
    Closed,
    DecreedError,
    Disputed,
    OutcomeUnknown,
    Unreachable,
)
from decreed.registry.types import Claim, Key
from decreed.registry.wire.requests import ClaimNextRequest, ClaimRequest, Failed, LatestRequest

from ..fakes import AsUsual, FakeNode, HangUp, Silence, cluster_of, decree_of

pytestmark = pytest.mark.anyio


def silent(node: FakeNode, request: Any) -> Any:
    return Silence


def refusing(error: type[DecreedError]) -> Callable[[FakeNode, Any], Any]:
    return lambda node, request: Failed(request.id, error.code, "no")


@pytest.mark.parametrize("error", [Unreachable, Disputed])
async def test_after_an_unknown_outcome_no_error_of_the_same_claim_is_definite(
    error: type[DecreedError],
) -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = cluster.nodes
        node.script = silent
        with pytest.raises(OutcomeUnknown):
            await registry.claim("k", "v", claim_id="mine", timeout=0.2)
        node.script = refusing(error)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match=r"earlier call.*the claim id mine.*no"):
                await registry.claim("k", "v", claim_id="mine", timeout=0.2)
        # the doubt is about that claim only
        with pytest.raises(error):
            await registry.claim("k", "v", claim_id="another", timeout=0.2)
        with pytest.raises(error):
            await registry.claim("l", "v", claim_id="mine", timeout=0.2)
        node.script = None
        assert (await registry.claim("k", "v", claim_id="mine")).won


async def test_a_claim_stays_in_doubt_while_no_node_can_be_reached() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].script = lambda node, request: HangUp
        with pytest.raises(OutcomeUnknown):
            await registry.claim("k", "v", claim_id="mine", timeout=0.2)
        await cluster.nodes[0].stop()
        with pytest.raises(OutcomeUnknown, match="nothing listens"):
            await registry.claim("k", "v", claim_id="mine", timeout=0.2)
        [result] = await registry.claim_many({"k": "v"}, timeout=0.2)
        assert isinstance(result, Unreachable)


async def test_a_cancelled_claim_is_in_doubt_too() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = cluster.nodes
        node.script = silent
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: registry.claim("k", "v", claim_id="mine"))
            await node.until(lambda node: node.asked(ClaimRequest))
            tasks.cancel_scope.cancel()
        node.script = refusing(Unreachable)
        with pytest.raises(OutcomeUnknown):
            await registry.claim("k", "v", claim_id="mine", timeout=0.2)


async def test_a_closed_client_raises_closed_even_for_a_claim_in_doubt() -> None:
    async with cluster_of(1) as cluster:
        async with connect(*cluster.endpoints) as registry:
            cluster.nodes[0].script = silent
            with pytest.raises(OutcomeUnknown):
                await registry.claim("k", "v", claim_id="mine", timeout=0.2)
        # a loop that repeats the claim until the outcome is known must end
        with pytest.raises(Closed):
            await registry.claim("k", "v", claim_id="mine")


async def test_once_stays_unknown_if_its_first_try_may_have_won() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = cluster.nodes

        def unknown_then_unreachable(node: FakeNode, request: ClaimRequest) -> Failed:
            first = len(node.asked(ClaimRequest)) == 1
            return Failed(request.id, (Disputed if not first else OutcomeUnknown).code, "no")

        node.script = unknown_then_unreachable
        with pytest.raises(OutcomeUnknown):
            await registry.once("jobs/1", timeout=0.4)
        # it pauses between tries
        assert len(node.asked(ClaimRequest)) < 20


async def test_claim_next_repeated_begins_where_it_was_first_tried() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = cluster.nodes
        cluster.decide(decree_of("s@1"))
        node.script = lambda node, request: (
            Silence if isinstance(request, ClaimNextRequest) else AsUsual
        )
        with pytest.raises(OutcomeUnknown, match="first_slot=2"):
            await registry.claim_next("s", "v", claim_id="mine", timeout=0.2)
        # it was chosen nevertheless, and others came after it
        frozen = cluster.decide(node.freeze(node.asked(ClaimNextRequest)[0].claim))
        cluster.decide(decree_of("s@3"))
        node.script = None
        again = await registry.claim_next("s", "v", claim_id="mine")
        assert (again.outcome, again.decree) == (Outcome.WON, frozen)
        assert len(node.asked(LatestRequest)) == 1


def test_the_memory_of_doubts_is_bounded_and_ends_with_an_answer() -> None:
    doubts = Doubts(next_slot=False, most=3)
    claims = [Claim(Key(f"k{n}"), b"v", "t", "me", b"id") for n in range(4)]
    for claim in claims:
        doubts.judge(claim, OutcomeUnknown("?"))
    error = Unreachable("nobody")
    judged = [doubts.judge(claim, error) for claim in claims]
    assert [type(result) for result in judged] == [Unreachable, *[OutcomeUnknown] * 3]
    won = Claimed(Outcome.LOST, decree_of("k3"), b"id")
    assert doubts.judge(claims[3], won) is won
    assert doubts.judge(claims[3], error) is error
    reused = ClaimIdReused("other content")
    assert doubts.judge(claims[2], reused) is reused
    assert doubts.judge(claims[2], error) is error
