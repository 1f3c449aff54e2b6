"""An error is definite only if the claim cannot have been chosen, whatever any node did.

One node takes the request and then does one of the things that leave open whether the claim was
chosen. The next answers immediately that the request is wrong, which is definite for that node only.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from decreed.client import Registry, connect
from decreed.registry.errors import (
    ERRORS,
    Damaged,
    DecreedError,
    Disputed,
    LockHeld,
    NotFormed,
    NotMember,
    OutcomeUnknown,
    StorageFailed,
    Unreachable,
    error_kind,
)
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    HeldBy,
    Kept,
    LatestRequest,
    LockRequest,
    Undecided,
)

from ..fakes import (
    AsUsual,
    FakeCluster,
    FakeNode,
    Garbage,
    Half,
    HangUp,
    Silence,
    cluster_of,
    decree_of,
)
from ..locks.test_acquiring import LOCK, answering, scripted, someone_elses

pytestmark = pytest.mark.anyio
KEY = "k"
Trouble = Callable[[Any], Any]

OPEN: dict[str, Trouble] = {
    "hangs up": lambda request: HangUp,
    "says nothing": lambda request: Silence,
    "says garbage": lambda request: Garbage,
    "does not know": lambda request: Failed(request.id, OutcomeUnknown.code, "time"),
    "names no error": lambda request: Failed(request.id, 0, "what is this?"),
    "names an error of a later version": lambda request: Failed(request.id, 999, "new"),
    "answers another question": lambda request: Kept(request.id),
    "tells of another key": lambda request: Decreed(request.id, decree_of("another@7")),
}
"""Troubles that leave open whether the claim was chosen."""


def says(error: type[DecreedError]) -> Trouble:
    return lambda request: Failed(request.id, error.code, "no")


SHUT = {
    error.__name__: says(error)
    for error in (NotFormed, NotMember, StorageFailed, Damaged, Unreachable)
}
"""Troubles after which the claim certainly was not chosen."""


def of(troubles: dict[str, Trouble]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("trouble", troubles.values(), ids=list(troubles))


def troubled(nodes: list[FakeNode], kind: type, *troubles: Trouble) -> None:
    """The first nodes have `troubles` with requests of one kind; then the next one refuses it."""

    def script(trouble: Trouble) -> Callable[[FakeNode, Any], Any]:
        return lambda node, request: trouble(request) if isinstance(request, kind) else AsUsual

    async def refuse(request: Any) -> Any:
        for node in nodes[: len(troubles)]:
            await node.until(lambda node: node.asked(kind))
        return Failed(request.id, Disputed.code, "your fault")

    for node, trouble in zip(nodes, (*troubles, refuse), strict=False):
        node.script = script(trouble)


async def claims(registry: Registry) -> object:
    return await registry.claim(KEY, "v", claim_id="mine", timeout=60)


async def claims_many(registry: Registry) -> object:
    [result] = await registry.claim_many({KEY: "v"}, timeout=60)
    if isinstance(result, DecreedError):
        raise result
    return result


async def claims_next(registry: Registry) -> object:
    return await registry.claim_next(KEY, "v", claim_id="mine", timeout=60)


async def met(registry: Registry, cluster: FakeCluster) -> None:
    """Connect the client to all nodes, so that the home is asked first."""
    await registry.status()
    for node in cluster.nodes:
        node.requests.clear()


CALLS = pytest.mark.parametrize(
    ("call", "kind"),
    [(claims, ClaimRequest), (claims_many, ClaimRequest), (claims_next, ClaimNextRequest)],
    ids=["claim", "claim_many", "claim_next"],
)
Call = Callable[[Registry], Awaitable[object]]


def order(cluster: FakeCluster, kind: type) -> list[FakeNode]:
    return cluster.order(KEY if kind is ClaimRequest else f"{KEY}@1")


@of(OPEN)
@CALLS
async def test_a_claim_that_a_node_may_have_proposed_ends_as_unknown(
    call: Call, kind: type, trouble: Trouble
) -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        await met(registry, cluster)
        troubled(order(cluster, kind), kind, trouble)
        with pytest.raises(OutcomeUnknown, match="your fault"):
            await call(registry)


@of(SHUT)
@CALLS
async def test_a_claim_that_no_node_proposed_is_refused(
    call: Call, kind: type, trouble: Trouble
) -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        await met(registry, cluster)
        troubled(order(cluster, kind), kind, trouble)
        with pytest.raises(Disputed, match="your fault"):
            await call(registry)


@pytest.mark.parametrize("first", [True, False], ids=["open first", "open second"])
@of(OPEN)
async def test_one_indefinite_node_is_enough_for_an_unknown_outcome(
    trouble: Trouble, first: bool
) -> None:
    shut = SHUT["StorageFailed"]
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        await met(registry, cluster)
        troubles = (trouble, shut) if first else (shut, trouble)
        troubled(order(cluster, ClaimRequest), ClaimRequest, *troubles)
        with pytest.raises(OutcomeUnknown, match="your fault"):
            await claims(registry)


@of(OPEN | SHUT)
async def test_a_read_never_ends_as_unknown(trouble: Trouble) -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        await met(registry, cluster)
        troubled(order(cluster, ClaimRequest), GetRequest, trouble)
        with pytest.raises(Disputed, match="your fault"):
            await registry.get(KEY, timeout=60)


@pytest.mark.parametrize("answer", [Undecided, lambda id: Decreed(id, decree_of("other"))])
async def test_an_answer_that_does_not_fit_the_request_is_not_used(
    answer: Callable[[int], Any],
) -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        await met(registry, cluster)
        home, *_ = cluster.order(KEY)
        home.script = lambda node, request: (
            answer(request.id) if isinstance(request, ClaimRequest) else AsUsual
        )
        claimed = await registry.claim(KEY, "v", timeout=60)
        assert claimed.decree.key == KEY


async def test_claims_that_are_made_together_end_independently() -> None:
    """One stays unknown, one is refused, one wins."""
    keys, tries = {"open": "v", "refused": "v", "won": "v"}, list[str]()

    def script(node: FakeNode, request: Any) -> Any:
        if not isinstance(request, ClaimRequest) or request.claim.key == "won":
            return AsUsual
        tries.append(request.claim.key)
        first = tries.count("open") == 1
        if request.claim.key == "open" and first:
            return Failed(request.id, 999, "new")
        return Failed(request.id, Disputed.code, "your fault")

    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = script
        left_open, refused, won = await registry.claim_many(keys, timeout=60)
        assert isinstance(left_open, OutcomeUnknown)
        assert isinstance(refused, Disputed)
        assert not isinstance(won, DecreedError)


def test_an_unknown_error_code_is_indefinite() -> None:
    unknown = [code for code in (0, 250, 999, 65_535) if code not in ERRORS]
    assert unknown
    assert all(not error_kind(code).definite for code in unknown)


# -- locks


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No node accepts the give-up here, and the callers do not wait for it."""
    monkeypatch.setattr("decreed.client.locks.giving_up.GIVE_UP_SECONDS", 0.05)


def held_once_asked(first: FakeNode) -> Trouble:
    async def held(request: Any) -> Any:
        await first.until(lambda node: node.asked(LockRequest))
        return HeldBy(request.id, someone_elses(), 700, None, 0)

    return held


STOPS: dict[str, Trouble] = {"stops in the middle of its answer": lambda request: Half}
OF_LOCKS = STOPS | {name: OPEN[name] for name in OPEN if name != "says nothing"}
"""Silence is left out here: it takes seconds to notice, and is tested with the nodes that stop."""


@of(OF_LOCKS)
async def test_lock_held_is_not_raised_if_a_term_may_have_been_decreed(
    trouble: Trouble, quick: None
) -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        await met(registry, cluster)
        home, second = scripted(cluster, *[answering(LockRequest, trouble)] * 2)
        second.script = answering(LockRequest, held_once_asked(home))
        with pytest.raises(OutcomeUnknown, match="ends by itself"):
            async with registry.lock(LOCK, wait=0):
                pytest.fail("entered")


@of(SHUT)
async def test_lock_held_is_raised_if_no_term_can_have_been_decreed(trouble: Trouble) -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        await met(registry, cluster)
        home, second = scripted(cluster, *[answering(LockRequest, trouble)] * 2)
        second.script = answering(LockRequest, held_once_asked(home))
        with pytest.raises(LockHeld, match="them@there"):
            async with registry.lock(LOCK, wait=0):
                pytest.fail("entered")


async def test_after_an_unknown_error_code_latest_is_read_at_another_node() -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        await met(registry, cluster)
        asked = list[Any]()

        def script(node: FakeNode, request: Any) -> Any:
            if isinstance(request, LatestRequest):
                asked.append(request)
                return Failed(request.id, 999, "new") if len(asked) == 1 else AsUsual
            return AsUsual

        for node in cluster.nodes:
            node.script = script
        assert await registry.latest("s") is None
        assert len(asked) == 2
