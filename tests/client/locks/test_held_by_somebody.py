"""A lock whose holder is not told, since the caller may not read it, and a lock that is denied."""

from typing import Any

import anyio
import pytest

from decreed.client import connect
from decreed.registry.errors import Denied, LockHeld, OutcomeUnknown
from decreed.registry.wire.requests import ClaimRequest, Failed, GetRequest, LockRequest

from ..fakes import LIMIT_S, AsUsual, FakeNode, HangUp, cluster_of

pytestmark = pytest.mark.anyio
SOMEBODY = "somebody else holds the lock; to see who takes the right 'read'"


def held(_: FakeNode, request: Any) -> Any:
    """A node that says that the lock is held, and not by whom."""
    if isinstance(request, LockRequest):
        return Failed(request.id, LockHeld.code, SOMEBODY)
    return AsUsual


def denied(_: FakeNode, request: Any) -> Any:
    """A node that denies everything."""
    return Failed(request.id, Denied.code, "not granted")


@pytest.mark.parametrize("wait", [0, 0.3])
async def test_somebody_holds_the_lock(wait: float) -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = held
        with anyio.fail_after(LIMIT_S), pytest.raises(LockHeld, match="to see who takes") as caught:
            async with registry.lock("l", wait=wait):
                pytest.fail("entered")
        assert caught.value.holder == ""


async def test_a_denied_lock_is_asked_for_once() -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = denied
        with anyio.fail_after(LIMIT_S), pytest.raises(Denied, match="not granted"):
            async with registry.lock("l"):
                pytest.fail("entered")
        assert sum(len(node.asked(LockRequest)) for node in cluster.nodes) == 1


async def test_a_denied_request_is_asked_once_and_ends_with_denied() -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = denied
        with anyio.fail_after(LIMIT_S):
            with pytest.raises(Denied):
                await registry.get("k")
            with pytest.raises(Denied):
                await registry.claim("k", b"v")
        for kind in (GetRequest, ClaimRequest):
            assert sum(len(node.asked(kind)) for node in cluster.nodes) == 1


async def test_a_claim_that_is_denied_after_a_try_that_may_have_won_is_in_doubt() -> None:
    def first_is_lost(node: FakeNode, request: Any) -> Any:
        if isinstance(request, ClaimRequest):
            node.script = denied
            for other in cluster.nodes:
                other.script = denied
            return HangUp
        return AsUsual

    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = first_is_lost
        with anyio.fail_after(LIMIT_S), pytest.raises(OutcomeUnknown, match="not granted"):
            await registry.claim("k", b"v")
