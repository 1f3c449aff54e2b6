"""An acquire that ends without the lock gives its claim up: at which nodes, when, with what result."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import anyio
import pytest

from decreed.client import Registry, connect
from decreed.client.locks import acquiring, lease
from decreed.client.locks import giving_up as module
from decreed.client.locks.lock import Locked
from decreed.client.runtime import last_words
from decreed.registry.errors import (
    BadRequest,
    LockHeld,
    LockLost,
    OutcomeUnknown,
    Unreachable,
)
from decreed.registry.wire.requests import (
    EndRequest,
    Failed,
    GivenUp,
    GiveUpRequest,
    Granted,
    HeldBy,
    HolderRequest,
    KeepAliveRequest,
    LockRequest,
    Superseded,
    Undecided,
)

from ...support.proven import wish
from ..fakes import FakeNode, HangUp, Script, Silence, cluster_of
from .test_acquiring import LOCK, honest, scripted, someone_elses, term

WAIT = 0.5
Answers = dict[type, Callable[[Any], Any]]


def node_that(answers: Answers) -> Script:
    """A node that answers some requests by `answers`, accepts give-ups, and is honest otherwise."""

    def script(node: FakeNode, request: Any) -> Any:
        if type(request) in answers:
            return answers[type(request)](request)
        return GivenUp(request.id) if isinstance(request, GiveUpRequest) else honest(node, request)

    return script


@asynccontextmanager
async def nodes_that(*answers: Answers) -> AsyncGenerator[tuple[Registry, list[FakeNode]]]:
    """A client that is connected, and its nodes, in the order in which they are asked for the lock."""
    async with cluster_of(len(answers)) as cluster, connect(*cluster.endpoints) as registry:
        await registry.get("k")  # the connection is there when the time begins
        yield registry, scripted(cluster, *map(node_that, answers))


def held_by(number: int, name: str) -> Callable[[Any], HeldBy]:
    """A node that knows of a term, and of none after it."""
    decree = term(wish(f"{name} pid 5", name.encode(), 1_000, ""), number)
    return lambda request: HeldBy(request.id, decree, 700, None, 0)


def unknown(request: Any) -> Failed:
    return Failed(request.id, OutcomeUnknown.code, "time")


async def unknown_in_the_end(request: Any) -> Failed:
    """Answer as a node with a grant under way: after all the time that it was given."""
    await anyio.sleep(request.timeout_ms / 1000)
    return unknown(request)


def held(request: Any) -> HeldBy:
    return HeldBy(request.id, someone_elses(), 700, None, 0)


def silence(request: Any) -> Any:
    return Silence


def one_after_the_other(*answers: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Answer the first request by the first of `answers`, and so on; the last answers all the rest."""
    left = list(answers)
    return lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)


def checked(node: FakeNode) -> GiveUpRequest:
    """The give-up that arrived, after a check that it shows the secret of the claim."""
    said: GiveUpRequest
    [said], [asked] = node.asked(GiveUpRequest), node.asked(LockRequest)[:1]
    assert (said.lock, said.claim_id) == (LOCK, asked.claim.claim_id)
    assert said.ttl_ms == asked.claim.ttl_ms
    assert sha256(said.secret).digest() == asked.claim.secret_hash
    return said


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the time limits, so that a slow machine changes nothing."""
    monkeypatch.setattr(acquiring, "OUTCOME_SECONDS", 20.0)
    monkeypatch.setattr(acquiring, "HOLDER_SECONDS", 20.0)
    monkeypatch.setattr(lease, "RELEASE_SECONDS", 20.0)
    monkeypatch.setattr(last_words, "LAST_SECONDS", 20.0)
    monkeypatch.setattr(module, "GIVE_UP_SECONDS", 20.0)


# -- the caller is cancelled


@pytest.mark.anyio
async def test_a_cancelled_caller_gives_up_at_the_node_that_was_asked() -> None:
    silent: Answers = {LockRequest: silence}
    async with nodes_that(silent, silent, silent) as (registry, [home, *others]):
        await cancel_when_asked(registry, home)
        checked(home)
        assert not any(node.asked(GiveUpRequest) for node in others)


async def cancel_when_asked(registry: Registry, node: FakeNode) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter, registry.lock(LOCK, ttl=60))
        await node.until(lambda node: node.asked(LockRequest))
        tasks.cancel_scope.cancel()


async def enter(locked: Any) -> None:
    async with locked:
        pytest.fail("entered")


@pytest.mark.anyio
async def test_a_cancelled_caller_that_asked_no_node_sends_no_give_up() -> None:
    async with cluster_of(1) as cluster, connect("127.0.0.1:1") as registry:
        with anyio.move_on_after(0.05):
            await enter(registry.lock(LOCK, wait=None))
        assert not cluster.nodes[0].requests


@pytest.mark.anyio
async def test_a_cancelled_caller_waits_a_bounded_time_for_silent_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GIVE_UP_SECONDS", 0.1)
    monkeypatch.setattr(last_words, "LAST_SECONDS", 0.1)
    async with nodes_that({LockRequest: silence, GiveUpRequest: silence}) as (registry, [node]):
        with anyio.fail_after(60):
            await cancel_when_asked(registry, node)
        await node.until(lambda node: node.asked(GiveUpRequest))


@pytest.mark.anyio
async def test_a_give_up_is_sent_in_the_background_until_a_quorum_accepts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GIVE_UP_SECONDS", 0.0)
    monkeypatch.setattr(last_words, "LAST_SECONDS", 0.1)
    deaf: Answers = {LockRequest: silence, GiveUpRequest: lambda _: HangUp}
    async with nodes_that(deaf, deaf) as (registry, [home, other]):
        await cancel_when_asked(registry, home)
        await home.until(lambda node: node.asked(GiveUpRequest))
        await other.until(lambda node: node.asked(GiveUpRequest))


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_give_up_is_sent_even_after_two_native_cancellations() -> None:
    """A shield does not stop the native cancellation of an asyncio task."""

    async def late(request: Any) -> Any:
        await anyio.sleep(0.2)
        return GivenUp(request.id)

    async with nodes_that({LockRequest: silence, GiveUpRequest: late}) as (registry, [node]):
        task = asyncio.create_task(enter(registry.lock(LOCK)))
        await node.until(lambda node: node.asked(LockRequest))
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        await node.until(lambda node: node.asked(GiveUpRequest))
        checked(node)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_native_deadline_in_the_release_does_not_stop_it() -> None:
    async def late(request: Any) -> Any:
        await anyio.sleep(0.2)
        return honest(node, request)

    async with nodes_that({EndRequest: late}) as (registry, [node]):
        entered = asyncio.Event()

        async def lease() -> None:
            async with registry.lock(LOCK):
                entered.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(lease())
        await entered.wait()
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        await node.until(lambda node: node.asked(EndRequest))


@pytest.mark.anyio
async def test_a_deadline_around_the_whole_client_lets_it_give_up_and_release() -> None:
    async with cluster_of(1) as cluster:
        [node] = scripted(cluster, node_that({}))
        with anyio.CancelScope() as scope:
            async with connect(*cluster.endpoints) as registry, registry.lock(LOCK):
                scope.cancel()
                await anyio.sleep(60)
        assert len(node.asked(EndRequest)) == 1
        node.script = node_that({LockRequest: silence})
        with anyio.CancelScope() as scope:
            async with connect(*cluster.endpoints) as registry, anyio.create_task_group() as tasks:
                tasks.start_soon(enter, registry.lock("another"))
                await node.until(lambda node: len(node.asked(LockRequest)) == 2)
                scope.cancel()
        assert [said.lock for said in node.asked(GiveUpRequest)] == ["another"]


# -- the deadline passes while a grant is under way


@pytest.mark.anyio
async def test_a_grant_that_was_under_way_is_waited_for_and_got() -> None:
    asked = one_after_the_other(unknown_in_the_end, lambda r: Granted(r.id, term(r.claim), True))
    async with nodes_that({LockRequest: asked}) as (registry, [node]):
        async with registry.lock(LOCK, wait=WAIT):
            assert node.asked(KeepAliveRequest), "what was sent twice begins with a keep-alive"
        assert [request.queue for request in node.asked(LockRequest)] == [True, False]
        assert len(node.asked(EndRequest)) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("then", "says"), [(held, "them@there pid 5"), (unknown, "about to be handed over")]
)
async def test_lock_held_is_raised_once_a_quorum_has_accepted_the_give_up(
    then: Callable[[Any], Any], says: str
) -> None:
    answers: Answers = {
        LockRequest: one_after_the_other(unknown_in_the_end, then),
        HolderRequest: lambda request: Undecided(request.id),
    }
    async with nodes_that(answers) as (registry, [node]):
        with pytest.raises(LockHeld, match=says):
            await enter(registry.lock(LOCK, wait=WAIT))
        checked(node)


@pytest.mark.anyio
async def test_the_error_names_the_holder_even_if_only_a_quorum_knows_it() -> None:
    asked = one_after_the_other(unknown_in_the_end, unknown)
    async with nodes_that({LockRequest: asked, HolderRequest: held}) as (registry, _):
        with pytest.raises(LockHeld, match="them@there pid 5") as caught:
            await enter(registry.lock(LOCK, wait=WAIT))
        assert caught.value.host == "there"


@pytest.mark.anyio
async def test_it_names_the_holder_of_the_newest_term_that_it_heard_of() -> None:
    answers = one_after_the_other(held_by(2, "new@there"), held_by(1, "old@there"))
    async with nodes_that({LockRequest: answers}) as (registry, [node]):
        with pytest.raises(LockHeld, match="new@there"):
            await enter(registry.lock(LOCK, wait=WAIT))
        assert len(node.asked(LockRequest)) > 1


@pytest.mark.anyio
async def test_once_given_up_it_asks_who_has_the_lock_now() -> None:
    answers: Answers = {
        LockRequest: one_after_the_other(unknown_in_the_end, held_by(1, "old@there")),
        HolderRequest: held_by(2, "new@there"),
    }
    async with nodes_that(answers) as (registry, _):
        with pytest.raises(LockHeld, match="new@there"):
            await enter(registry.lock(LOCK, wait=WAIT))


@pytest.mark.anyio
async def test_outcome_unknown_is_raised_if_no_quorum_accepts_the_give_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GIVE_UP_SECONDS", 0.1)
    monkeypatch.setattr(last_words, "LAST_SECONDS", 0.1)
    refuses: Answers = {
        LockRequest: one_after_the_other(unknown_in_the_end, unknown),
        GiveUpRequest: lambda request: Failed(request.id, Unreachable.code, "no quorum"),
    }
    async with nodes_that(refuses) as (registry, _):
        with pytest.raises(OutcomeUnknown, match="ends by itself 15 s later"):
            await enter(registry.lock(LOCK, wait=WAIT))


@pytest.mark.anyio
async def test_after_an_indefinite_try_an_error_of_the_request_is_raised_once_given_up() -> None:
    def wrong(request: Any) -> Failed:
        return Failed(request.id, BadRequest.code, "no")

    async with nodes_that({LockRequest: lambda _: HangUp}, {LockRequest: wrong}) as (registry, _):
        with pytest.raises(BadRequest):
            await enter(registry.lock(LOCK))


# -- claims that need no give-up, and claims that need one


@pytest.mark.anyio
async def test_an_acquire_that_ended_definitely_is_not_given_up() -> None:
    async with nodes_that({LockRequest: held}) as (registry, [node]):
        with pytest.raises(LockHeld):
            await enter(registry.lock(LOCK, wait=0))
        node.script = node_that({})
        async with registry.lock(LOCK):
            pass
        assert not node.asked(GiveUpRequest)


@pytest.mark.anyio
async def test_a_grant_that_cannot_be_confirmed_is_given_up() -> None:
    answers: Answers = {
        LockRequest: lambda r: Granted(r.id, term(r.claim), False),
        KeepAliveRequest: lambda r: Superseded(r.id),
    }
    async with nodes_that(answers) as (registry, [node]):
        with pytest.raises(LockLost):
            await enter(registry.lock(LOCK))
        checked(node)


@pytest.mark.anyio
async def test_a_claim_that_two_nodes_were_asked_for_is_given_up_when_it_is_released() -> None:
    """The first may still have it in its queue, and would grant it a term that nobody holds."""
    async with nodes_that({LockRequest: unknown}, {}) as (registry, [home, other]):
        async with registry.lock(LOCK):
            assert not home.asked(GiveUpRequest) + other.asked(GiveUpRequest)
        for node in (home, other):
            await node.until(lambda node: node.asked(GiveUpRequest))


# -- the secret


@pytest.mark.anyio
async def test_the_secret_is_shown_to_nodes_and_to_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    # it begins with a keep-alive
    unsure: Answers = {LockRequest: lambda r: Granted(r.id, term(r.claim), False)}
    async with nodes_that(unsure) as (registry, [node]):
        locked = registry.lock(LOCK)
        async with locked as lock:
            assert isinstance(locked, Locked)
            texts = [
                repr(x) for x in (locked, locked._hold, locked._hold._secret, lock, lock.holder)
            ]
        [kept], [released] = node.asked(KeepAliveRequest)[:1], node.asked(EndRequest)
    secret = kept.secret
    assert secret == released.secret and sha256(secret).digest() == lock_claim(node).secret_hash
    texts += [repr(kept), repr(released), caplog.text]
    for text in texts:
        assert secret.hex() not in text and repr(secret)[2:-1] not in text


def lock_claim(node: FakeNode) -> Any:
    return node.asked(LockRequest)[0].claim


@pytest.mark.anyio
async def test_each_acquire_has_a_secret_of_its_own() -> None:
    async with nodes_that({}) as (registry, [node]):
        for _ in range(2):
            async with registry.lock(LOCK):
                pass
        hashes = {request.claim.secret_hash for request in node.asked(LockRequest)}
        assert len(hashes) == len({request.secret for request in node.asked(EndRequest)}) == 2
