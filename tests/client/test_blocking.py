"""The client without an event loop: the same tests as with one, and tests of its own.

Each test of reads, claims, connections, silent nodes and strangers runs again here, with its registry
over plain sockets in a thread beside the fake nodes. Tests that need tasks are left out: concurrent
calls, calls that are cancelled or closed, locks, and watches.
"""

import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import pytest

from decreed.client import blocking
from decreed.client.blocking import Exchange, ask, finish, keys_of
from decreed.client.keys import Keys
from decreed.client.transport.securing import ClientSecurity
from decreed.registry.errors import BadRequest, ConfigError, DecreedError, Unreachable
from decreed.registry.types import Decree
from decreed.registry.wire import codec, frames
from decreed.registry.wire.requests import ClaimRequest, GetRequest

from ..support.steady import Steady, SteadySelector
from .conftest import backend_options
from .fakes import FakeCluster, Silence, cluster_of, decree_of
from .requests import test_claims, test_reads, test_silence
from .transport import test_connections, test_names, test_strangers
from .transport.test_names import names as names  # a fixture of tests that are run here too

pytestmark = pytest.mark.anyio

SAME_TESTS = (
    test_reads, test_claims, test_connections, test_names, test_silence, test_strangers,
)  # fmt: skip
NEED_TASKS = {
    "test_a_burst_at_a_slow_node_is_not_sent_twice",
    "test_a_lock_whose_home_never_greets_is_acquired_at_another_node",
    "test_a_node_is_pinged_although_waits_use_all_its_room_in_batch",
    "test_a_watch_leaves_a_silent_node_misses_nothing_and_repeats_nothing",
    "test_closing_does_not_wait_for_a_look_at_a_stranger",
    "test_every_call_with_a_deadline_ends_soon_if_nothing_listens",
    "test_many_waits_move_together_and_no_wait_fails",
    "test_a_cancelled_call_cancels_its_request",
    "test_a_read_from_memory_is_no_checkpoint",
    "test_concurrent_first_calls_share_one_comparison_of_endpoints",
    "test_malformed_positions_are_refused",
    "test_no_more_requests_are_in_batch_than_the_node_allows",
    "test_watch_goes_on_from_a_position",
    "test_watch_lists_after_a_change_of_node_and_misses_nothing",
}


class Aside:
    """A blocking registry in a thread of its own call, for tests that run in an event loop."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.cached = keys.cached

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._keys, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            return await _in_thread(lambda: method(*arguments, **named))

        return call

    def list(self, prefix: str = "", *, timeout: float | None = None) -> AsyncIterator[Decree]:
        return _Steps(self._keys.list(prefix, timeout=timeout))


class _Steps(AsyncIterator[Decree]):
    def __init__(self, steps: AsyncIterator[Decree]) -> None:
        self._steps = steps

    async def __anext__(self) -> Decree:
        async def step() -> Decree | None:
            try:
                return await anext(self._steps)
            except StopAsyncIteration:
                return None

        decree: Decree | None = await _in_thread(step)
        if decree is None:
            raise StopAsyncIteration
        return decree


async def _in_thread(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return await _beside(lambda: finish(work()))


async def _beside(work: Callable[[], Any]) -> Any:
    """Do `work` in a thread beside the fake nodes. Their time stands still while it does not wait."""
    with _times[-1].working():
        return await anyio.to_thread.run_sync(work)


_times: list[Steady] = []
"""The time of the test that runs."""


@asynccontextmanager
async def connect(*endpoints: str, **options: Any) -> AsyncGenerator[Aside]:
    """Replaces `decreed.client.connect`."""
    with keys_of(endpoints, **options) as keys:
        yield Aside(keys)


@pytest.fixture
def anyio_backend(steady: Steady) -> tuple[str, dict[str, Any]]:
    """The event loop of the fake nodes; the client has none."""
    return "asyncio", backend_options("asyncio", steady)


@pytest.fixture(autouse=True)
def without_a_loop(monkeypatch: pytest.MonkeyPatch, steady: Steady) -> None:
    """Have the tests of the other modules use the blocking client, by the time of the nodes."""
    for module in SAME_TESTS:
        monkeypatch.setattr(module, "connect", connect)

    class Beside(Exchange):
        def __init__(self, security: ClientSecurity | None = None) -> None:
            super().__init__(security)
            self._selector.close()
            self._selector = SteadySelector(steady)

        def now(self) -> float:
            return steady.now()

    monkeypatch.setattr(blocking, "Exchange", Beside)
    monkeypatch.setattr(sys.modules[__name__], "_times", [steady])


def _the_same(modules: tuple[ModuleType, ...]) -> dict[str, Any]:
    found = [(name, test) for module in modules for name, test in vars(module).items()]
    return {name: test for name, test in found if name.startswith("test_") and callable(test)}


globals().update(
    {name: test for name, test in _the_same(SAME_TESTS).items() if name not in NEED_TASKS}
)


def test_every_test_that_is_left_out_exists() -> None:
    assert set(_the_same(SAME_TESTS)) >= NEED_TASKS


async def _get(keys: Keys) -> Decree | None:
    return await keys.get("k")


def _asked(cluster: FakeCluster, endpoints: list[str] | None = None, **named: Any) -> Any:
    return _beside(lambda: ask(endpoints or cluster.endpoints, _get, **named))


async def test_a_name_is_looked_up_and_each_of_its_addresses_tried() -> None:
    async with cluster_of(1) as cluster:
        cluster.decide(decree_of("k"))
        # the nodes listen at 127.0.0.1 only, although the name may have other addresses
        port = cluster.endpoints[0].rpartition(":")[2]
        assert (await _asked(cluster, [f"localhost:{port}"])).key == "k"


async def test_a_silent_name_server_delays_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    real = socket.getaddrinfo

    def look_up(host: bytes, *rest: Any, **named: Any) -> Any:
        if host == b"slow.example" and not named.get("flags"):
            answered.wait(30)
        return real(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with cluster_of(1) as cluster:
        cluster.decide(decree_of("k"))
        with anyio.fail_after(20):
            assert await _asked(cluster, ["slow.example:1", *cluster.endpoints]) is not None
            with pytest.raises(Unreachable):
                await _asked(cluster, ["slow.example:1"], timeout=0.2)
        answered.set()


async def test_a_name_without_an_address_is_reported() -> None:
    async with cluster_of(1) as cluster:
        with pytest.raises(Unreachable, match=r"no-such-name\.invalid"):
            await _asked(cluster, ["no-such-name.invalid:7400"], timeout=0.5)
        with pytest.raises(ConfigError, match="no host name"):
            await _asked(cluster, [f"{'x' * 70}.example:7400"], timeout=0.5)


async def test_a_peer_that_accepts_and_stays_silent_delays_no_call() -> None:
    async with cluster_of(1) as cluster:
        cluster.decide(decree_of("k"))
        with socket.create_server(("127.0.0.1", 0)) as mute:
            endpoint = f"127.0.0.1:{mute.getsockname()[1]}"
            assert await _asked(cluster, [endpoint, *cluster.endpoints]) is not None
            with pytest.raises(Unreachable):
                await _asked(cluster, [endpoint], timeout=0.2)


async def test_an_answer_that_comes_byte_by_byte_is_put_together() -> None:
    async with cluster_of(1) as cluster:
        node = cluster.nodes[0]

        async def slowly(id: int) -> Any:
            decreed = codec.encode(decree_of("k"))
            payload = b"\x81\x83\x18\x46" + codec.encode(id) + decreed
            for byte in frames.frame(payload):
                await node.say(bytes([byte]))
            return Silence

        node.script = lambda node, request: slowly(request.id)
        assert (await _asked(cluster)).key == "k"


async def test_a_value_larger_than_what_the_system_takes_at_once_arrives_whole() -> None:
    value = bytes(range(256)) * 4 * 1024 * 12

    async def claim(keys: Keys) -> bytes:
        claimed = await keys.claim("k", value)
        assert claimed.won
        return claimed.decree.value

    async with cluster_of(1) as cluster:
        node = cluster.nodes[0]
        node.max_value_bytes = node.max_frame_bytes = 32 * 1024 * 1024
        found = await _beside(lambda: ask(cluster.endpoints, claim))
        assert found == value
        assert len(node.asked(ClaimRequest)) == 1


def test_a_call_that_needs_a_task_raises_an_error_that_says_so() -> None:
    async def watch(keys: Keys) -> None:
        await anyio.sleep(0)

    with pytest.raises((RuntimeError, DecreedError)):
        ask(["127.0.0.1:1"], watch)
    with pytest.raises(ConfigError):
        ask([], watch)


def test_bad_requests_reach_the_caller() -> None:
    async def get(keys: Keys) -> None:
        await keys.get("a b")

    with pytest.raises(BadRequest):
        ask(["127.0.0.1:1"], get)


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("decreed.client.blocking", ("anyio", "asyncio", "sqlite3", "ssl", "trio", "logging")),
        ("decreed.client", ("anyio", "asyncio", "msgspec", "trio")),
        ("decreed", ("anyio", "asyncio", "msgspec", "trio", "typing")),
    ],
)
def test_unused_modules_are_not_imported(imported: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys, {imported}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} & set(unwanted) == set()


async def test_one_request_goes_to_the_home_only() -> None:
    async with cluster_of(3) as cluster:
        cluster.decide(decree_of("k"))
        await _asked(cluster)
        assert [len(node.asked(GetRequest)) for node in cluster.order("k")] == [1, 0, 0]
