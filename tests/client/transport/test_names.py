"""Names of endpoints: an unknown one is told soon; one that cannot be looked up now is tried again."""

import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from threading import Thread
from typing import Any

import anyio
import pytest

from decreed.client import connect
from decreed.client.blocking import finish, keys_of
from decreed.client.requests.sender import ABSENT_SECONDS
from decreed.client.transport.framing import NoSuchName, NothingListens, cannot_connect
from decreed.registry.errors import DecreedError, Unreachable

from ..fakes import LIMIT_S, cluster_of, decree_of, running_cluster

pytestmark = pytest.mark.anyio
# far beyond the limit of each test
PATIENCE_S = 120
# longer than a call goes on that nobody can answer
BEYOND_S = ABSENT_SECONDS + 0.5
NONAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
Names = dict[str, Callable[[], list[str]]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What some names stand for: each look-up calls what is put here."""
    found: Names = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        flags = named.get("flags") or (rest[3] if len(rest) > 3 else 0)
        if name not in found or flags & socket.AI_NUMERICHOST:
            return real(host, port, *rest, **named)
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, int(port))) for address in found[name]()]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return found


def failing(error: OSError) -> Callable[[], list[str]]:
    def look_up() -> list[str]:
        raise error

    return look_up


async def failure_of(*endpoints: str, timeout: float = PATIENCE_S) -> DecreedError:
    """How a call ends with a client of these endpoints."""
    async with connect(*endpoints) as registry:
        with anyio.fail_after(LIMIT_S), pytest.raises(DecreedError) as caught:
            await registry.get("k", timeout=timeout)
    return caught.value


async def test_a_name_that_has_no_address_is_told_soon_and_named(names: Names) -> None:
    names["unknown.example"] = failing(NONAME)
    error = await failure_of("unknown.example:7400", "unknown.example:7401")
    assert type(error) is Unreachable
    assert "no address is known for 'unknown.example': check" in str(error)


async def test_so_it_is_beside_an_address_where_nothing_listens(names: Names) -> None:
    names["unknown.example"] = failing(NONAME)
    said = str(await failure_of("unknown.example:7400", "127.0.0.1:1"))
    assert "unknown.example:7400: the name 'unknown.example' has no address" in said
    assert "127.0.0.1:1: nothing listens there" in said


async def test_a_name_without_an_address_among_others_harms_nobody(names: Names) -> None:
    names["unknown.example"] = failing(NONAME)
    async with (
        cluster_of(1) as cluster,
        connect("unknown.example:7400", *cluster.endpoints) as registry,
    ):
        cluster.decide(decree_of("k"))
        with anyio.fail_after(LIMIT_S):
            assert await registry.get("k") is not None


async def test_a_name_that_cannot_be_looked_up_just_now_is_tried_again(names: Names) -> None:
    async with cluster_of(1) as cluster:
        cluster.decide(decree_of("k"))
        port = cluster.endpoints[0].rpartition(":")[2]
        ready_at = time.monotonic() + BEYOND_S

        def look_up() -> list[str]:
            if time.monotonic() < ready_at:
                raise AGAIN
            return ["127.0.0.1"]

        names["node.example"] = look_up
        async with connect(f"node.example:{port}") as registry:
            with anyio.fail_after(LIMIT_S):
                assert await registry.get("k", timeout=LIMIT_S) is not None


async def test_when_its_time_is_up_the_name_and_the_reason_are_told(names: Names) -> None:
    names["node.example"] = failing(AGAIN)
    said = str(await failure_of("node.example:7400", timeout=0.3))
    assert "the name 'node.example' cannot be looked up" in said and "Temporary failure" in said


async def test_nothing_listens_at_any_of_the_addresses_of_a_name(names: Names) -> None:
    """As at ``localhost``, which is 127.0.0.1 and ::1."""
    names["both.example"] = lambda: ["127.0.0.1", "127.0.0.2"]
    error = await failure_of("both.example:1")
    assert "nothing listens at both.example:1: start" in str(error)


@contextmanager
def hanging_up(host: str, port: int) -> Iterator[None]:
    """A service of somebody else: it closes each connection."""
    with socket.create_server((host, port)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield
        server.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT_S)


@contextmanager
def taking_nobody(host: str, port: int) -> Iterator[None]:
    """An address that answers nothing, not even that nobody is there."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(3):  # its queue is full then, and the system drops what comes
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield


@contextmanager
def nothing(host: str, port: int) -> Iterator[None]:
    """Nobody is there."""
    yield


Fault = Callable[[str, int], AbstractContextManager[None]]


@pytest.mark.parametrize("fault", [hanging_up, taking_nobody, nothing])
async def test_the_next_address_of_a_name_is_tried(names: Names, fault: Fault) -> None:
    async with cluster_of(1) as cluster:
        port = int(cluster.endpoints[0].rpartition(":")[2])
        names["node.example"] = lambda: ["127.0.0.2", "127.0.0.1"]
        with fault("127.0.0.2", port):
            async with connect(f"node.example:{port}") as registry:
                assert await registry.get("k", timeout=LIMIT_S) is None


@pytest.mark.parametrize("fault", [hanging_up, taking_nobody, nothing])
def test_a_blocking_client_tries_it_too(names: Names, fault: Fault) -> None:
    with running_cluster(1) as cluster:
        port = int(cluster.endpoints[0].rpartition(":")[2])
        names["node.example"] = lambda: ["127.0.0.2", "127.0.0.1"]
        with fault("127.0.0.2", port), keys_of([f"node.example:{port}"], timeout=LIMIT_S) as keys:
            assert finish(keys.get("k")) is None


async def test_a_name_whose_address_changes_is_found_while_the_client_runs(names: Names) -> None:
    async with cluster_of(1) as cluster, anyio.create_task_group() as tasks:
        node, stands_for = cluster.nodes[0], ["127.0.0.1"]
        port = cluster.endpoints[0].rpartition(":")[2]
        names["node.example"] = lambda: stands_for
        cluster.advertised = {"n1": f"node.example:{port}"}
        async with connect(f"node.example:{port}") as registry:
            assert await registry.get("k") is None
            await node.stop()
            stands_for[:] = ["127.0.0.2"]
            await node.start(tasks, "127.0.0.2")
            assert await registry.get("k", timeout=LIMIT_S) is None
        tasks.cancel_scope.cancel()


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
NO_IPV6 = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
SLOW = TimeoutError(errno.ETIMEDOUT, "Connection timed out")


def wrapped(*errors: OSError) -> OSError:
    """As the library of the network raises it."""
    error = OSError("All connection attempts failed")
    error.__cause__ = ExceptionGroup("multiple connection attempts failed", errors)
    return error


@pytest.mark.parametrize(
    ("errors", "kind", "says"),
    [
        ([REFUSED], NothingListens, "nothing listens there"),
        ([NO_IPV6, REFUSED], NothingListens, "nothing listens there"),
        ([REFUSED, NO_IPV6], NothingListens, "nothing listens there"),
        ([wrapped(REFUSED, REFUSED)], NothingListens, "nothing listens there"),
        ([wrapped(NO_IPV6, REFUSED)], NothingListens, "nothing listens there"),
        ([wrapped(REFUSED, SLOW)], Unreachable, "refused; .*timed out"),
        ([NO_IPV6], Unreachable, "Cannot assign"),
        ([NONAME], NoSuchName, "'h' has no address"),
        ([UnicodeError("label too long")], NoSuchName, "'h' has no address"),
        ([AGAIN], Unreachable, "'h' cannot be looked up"),
    ],
)
def test_what_it_means_that_no_connection_could_be_made(
    errors: list[Exception], kind: type[DecreedError], says: str
) -> None:
    error = cannot_connect("h", errors)
    assert type(error) is kind
    with pytest.raises(kind, match=says):
        raise error
