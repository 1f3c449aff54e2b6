"""Acquiring a term from scripted nodes: which is asked, when validity counts, what is unknown."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from decreed.client import connect
from decreed.client.locks.lease import Hold
from decreed.registry.errors import (
    BadRequest,
    LockHeld,
    LockLost,
    OutcomeUnknown,
    StorageFailed,
    Unreachable,
)
from decreed.registry.locks.terms import TermClaim, term_key
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.requests import (
    Ended,
    EndRequest,
    Failed,
    Granted,
    HeldBy,
    KeepAliveRequest,
    Kept,
    LockRequest,
    Superseded,
)

from ...support.proven import wish
from ..fakes import LIMIT_S, AsUsual, FakeCluster, FakeNode, HangUp, Script, Silence, cluster_of

LOCK = "l"
BALLOT = Ballot(1, Process(NodeId("n1"), 1))


def term(claim: TermClaim, number: int = 1) -> Decree:
    """The decree that grants a term to `claim`."""
    return Decree.of(claim.claim(term_key(LOCK, number), None), BALLOT, 0)


def someone_elses(number: int = 1) -> Decree:
    return term(wish("them@there pid 5", b"other", 1_000, "theirs"), number)


def honest(node: FakeNode, request: Any) -> Any:
    """A node that grants every request."""
    match request:
        case LockRequest(id=id, claim=claim):
            return Granted(id, term(claim), True)
        case KeepAliveRequest(id=id):
            return Kept(id)
        case EndRequest(id=id):
            return Ended(id)
        case _:
            return AsUsual


def answering(kind: type, answer: Callable[[Any], Any]) -> Script:
    """A node that answers one kind of request in its own way."""
    return lambda node, request: (
        answer(request) if isinstance(request, kind) else honest(node, request)
    )


def scripted(cluster: FakeCluster, *scripts: Script) -> list[FakeNode]:
    """The nodes in the order of preference for the lock, with a script each."""
    nodes = cluster.order(term_key(LOCK, 1))
    for node, script in zip(nodes, scripts, strict=True):
        node.script = script
    return nodes


@pytest.mark.anyio
async def test_the_grant_of_the_home_alone_starts_validity() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        home, *others = scripted(cluster, honest, honest, honest)
        async with registry.lock(LOCK, ttl=10) as lock:
            assert 5 < lock.remaining < 9.91
            assert not home.asked(KeepAliveRequest)
        assert len(home.asked(LockRequest)) == len(home.asked(EndRequest)) == 1
        assert not any(node.asked(LockRequest) for node in others)


@pytest.mark.anyio
@pytest.mark.parametrize("leased", [True, False])
async def test_validity_counts_from_the_sending_never_from_the_answer(leased: bool) -> None:
    async def late(request: Any) -> Any:
        await anyio.sleep(2)
        return Granted(request.id, term(request.claim), leased)

    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = scripted(cluster, answering(LockRequest, late))
        async with registry.lock(LOCK, ttl=30) as lock:
            assert bool(node.asked(KeepAliveRequest)) is not leased
            assert (lock.remaining < 30 * 0.99 - 1.99) is leased


@pytest.mark.anyio
async def test_a_grant_that_comes_late_is_confirmed_first() -> None:
    async def late(request: Any) -> Any:
        await anyio.sleep(2)
        return Granted(request.id, term(request.claim), True)

    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = scripted(cluster, answering(LockRequest, late))
        async with registry.lock(LOCK, ttl=5) as lock:
            assert node.asked(KeepAliveRequest)
            assert lock.remaining > 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    "trouble",
    [
        lambda request: Failed(request.id, StorageFailed.code, "disk"),
        lambda request: Failed(request.id, OutcomeUnknown.code, "time"),
        lambda request: HangUp,
    ],
    ids=["refuses", "does not know", "hangs up"],
)
async def test_after_a_failure_the_next_node_is_asked_with_the_same_id_and_confirms(
    trouble: Callable[[Any], Any],
) -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        home, second, _ = scripted(cluster, answering(LockRequest, trouble), honest, honest)
        async with registry.lock(LOCK, ttl=10):
            assert any(node.asked(KeepAliveRequest) for node in cluster.nodes)
        [first], [again] = home.asked(LockRequest), second.asked(LockRequest)
        assert first.claim == again.claim


@pytest.mark.anyio
async def test_if_the_home_falls_silent_the_next_node_is_asked() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        home, *_ = scripted(cluster, honest, honest, honest)
        await registry.get("k")
        home.halt()
        with anyio.fail_after(LIMIT_S):
            async with registry.lock(LOCK, ttl=10):
                pass


@pytest.mark.anyio
async def test_lock_held_is_raised_only_if_no_earlier_try_may_have_got_the_lock() -> None:
    def held(request: Any) -> Any:
        return HeldBy(request.id, someone_elses(), 700, None, 0)

    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        scripted(cluster, answering(LockRequest, held), honest)
        with pytest.raises(LockHeld, match=r"them@there pid 5 .* note: theirs") as caught:
            async with registry.lock(LOCK, wait=0):
                pytest.fail("entered")
        assert (caught.value.host, caught.value.pid) == ("there", 5)
        assert caught.value.remaining == 0.7
        scripted(
            cluster, answering(LockRequest, lambda request: HangUp), answering(LockRequest, held)
        )
        with pytest.raises(OutcomeUnknown, match="ends by itself 15 s later"):
            async with registry.lock(LOCK, wait=0):
                pytest.fail("entered")


@pytest.mark.anyio
async def test_an_error_of_a_lock_request_is_raised_immediately() -> None:
    def wrong(request: Any) -> Any:
        return Failed(request.id, BadRequest.code, "no")

    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        scripted(cluster, *[answering(LockRequest, wrong)] * 3)
        with pytest.raises(BadRequest):
            async with registry.lock(LOCK):
                pytest.fail("entered")


@pytest.mark.anyio
async def test_refusals_of_all_nodes_end_as_unreachable() -> None:
    def refuse(request: Any) -> Any:
        return Failed(request.id, StorageFailed.code, "the disk is full")

    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        scripted(cluster, *[answering(LockRequest, refuse)] * 3)
        with pytest.raises(Unreachable, match="disk is full"):
            async with registry.lock(LOCK, wait=2):
                pytest.fail("entered")


@pytest.mark.anyio
@pytest.mark.parametrize("wait", [0.001, 0.3])
async def test_a_waiter_without_an_answer_asks_for_the_holder_at_its_deadline(
    wait: float,
) -> None:
    def busy(request: Any) -> Any:
        if request.queue:
            return Failed(request.id, Unreachable.code, "no quorum answered in time")
        return HeldBy(request.id, someone_elses(), 700, None, 0)

    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        scripted(cluster, *[answering(LockRequest, busy)] * 3)
        with pytest.raises(LockHeld, match="them@there"):
            async with registry.lock(LOCK, wait=wait):
                pytest.fail("entered")


@pytest.mark.anyio
async def test_the_last_answer_of_a_quorum_during_a_wait_is_its_result() -> None:
    def held_once(request: Any) -> Any:
        again = len(home.asked(LockRequest)) > 1
        refused = Failed(request.id, StorageFailed.code, "the disk is full")
        return refused if again else HeldBy(request.id, someone_elses(), 700, None, 0)

    def refuse(request: Any) -> Any:
        return Failed(request.id, StorageFailed.code, "the disk is full")

    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        others = [answering(LockRequest, refuse)] * 2
        home, *_ = scripted(cluster, answering(LockRequest, held_once), *others)
        with pytest.raises(LockHeld, match="them@there"):
            async with registry.lock(LOCK, wait=1):
                pytest.fail("entered")


@pytest.mark.anyio
async def test_a_term_that_is_over_before_it_was_confirmed_is_lost_without_a_block() -> None:
    def queued(node: FakeNode, request: Any) -> Any:
        match request:
            case LockRequest(id=id, claim=claim):
                return Granted(id, term(claim), False)
            case KeepAliveRequest(id=id):
                return Superseded(id)
            case _:
                return honest(node, request)

    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = scripted(cluster, queued)
        with pytest.raises(LockLost, match="its term is over"):
            async with registry.lock(LOCK):
                pytest.fail("entered")
        assert not node.asked(EndRequest), "what was lost is not released"
        node.script = honest
        async with registry.lock(LOCK):
            pass


@pytest.mark.anyio
async def test_late_answers_to_keep_alives_revive_no_validity() -> None:
    async def late(request: Any) -> Any:
        await anyio.sleep(2)
        return Kept(request.id)

    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = scripted(cluster, answering(KeepAliveRequest, late))
        with pytest.raises(LockLost, match="in time"):
            async with registry.lock(LOCK, ttl=1):
                await anyio.sleep(5)
        assert not node.asked(EndRequest)


@pytest.mark.anyio
async def test_a_block_that_was_entered_once_is_not_entered_again() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = scripted(cluster, honest)
        locked = registry.lock(LOCK)
        async with locked:
            pass
        with pytest.raises(BadRequest, match="entered before"):
            async with locked:
                pytest.fail("entered")
        assert len(node.asked(LockRequest)) == 1


@pytest.mark.anyio
async def test_a_keep_alive_counts_from_its_sending_never_from_its_answer() -> None:
    async def late(request: Any) -> Any:
        await anyio.sleep(0.6)
        return Kept(request.id)

    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        scripted(cluster, answering(KeepAliveRequest, late))
        async with registry.lock(LOCK, ttl=9) as lock:
            before = lock.remaining
            while lock.remaining <= before:
                before = lock.remaining
                await anyio.sleep(0.01)
            assert 4.5 < lock.remaining < 9 * 0.99 - 0.55


@pytest.mark.anyio
async def test_keep_alives_come_three_times_in_a_ttl_and_go_elsewhere_when_the_home_is_silent() -> (
    None
):
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        scripted(cluster, answering(KeepAliveRequest, lambda _: Silence), honest, honest)
        async with registry.lock(LOCK, ttl=4.5) as lock:
            await anyio.sleep(9)
            lock.ensure_held()
        kept = sum(len(node.asked(KeepAliveRequest)) for node in cluster.nodes)
        assert 5 <= kept <= 12


@pytest.mark.anyio
async def test_a_block_ends_with_validity_even_if_its_keep_alives_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(hold: Hold) -> None:
        await anyio.sleep(10 * LIMIT_S)

    monkeypatch.setattr(Hold, "_keep_on", hang)
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        scripted(cluster, honest)
        with anyio.fail_after(LIMIT_S), pytest.raises(LockLost, match="in time"):
            async with registry.lock(LOCK, ttl=0.5):
                await anyio.sleep(10 * LIMIT_S)


@pytest.mark.anyio
async def test_keep_alives_that_fail_lose_the_lock_and_spare_the_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(hold: Hold) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Hold, "_keep_on", fail)
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        scripted(cluster, honest)
        with anyio.fail_after(LIMIT_S), pytest.raises(LockLost, match="RuntimeError: a mistake"):
            async with registry.lock(LOCK, ttl=30):
                await anyio.sleep(10 * LIMIT_S)
        assert "a mistake" in caplog.text
        assert (await registry.claim("k", "v")).won
