"""The client's log and its reprs: enough to follow it, and never a value."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable

import anyio
import pytest

from decreed.client import connect, sync
from decreed.registry.errors import Unreachable
from decreed.registry.wire.requests import ClaimRequest

from ..fakes import FORMATION, AsUsual, Silence, cluster_of, decree_of, running_cluster

SECRET = "hunter2"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """The log so far under `decreed.client`: level and text."""
    caplog.set_level(logging.DEBUG, logger="decreed.client")

    def found() -> list[tuple[str, str]]:
        for record in caplog.records:
            assert SECRET not in record.getMessage()
        ours = [record for record in caplog.records if record.name.startswith("decreed.client.")]
        return [(record.levelname, record.getMessage()) for record in ours]

    return found


Lines = Callable[[], list[tuple[str, str]]]


@pytest.mark.anyio
async def test_connecting_and_a_broken_connection_are_logged(lines: Lines) -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = cluster.nodes
        await registry.claim("k", SECRET, note=SECRET, claim_id=SECRET)
        assert lines() == [
            ("DEBUG", f"connecting to {node.address}"),
            ("INFO", f"connected to {node.address}: n1"),
        ]
        await node.stop()
        with pytest.raises(Unreachable):
            await registry.claim("l", SECRET, note=SECRET, claim_id=SECRET, timeout=0.3)
        found = lines()[2:]
        assert found[0] == ("INFO", f"left {node.address}: the node closed the connection")
        assert any(x[0] == "DEBUG" and x[1].startswith("asking all again soon") for x in found)
        assert any(x[0] == "DEBUG" and "nothing listens" in x[1] for x in found)
    assert {level for level, _ in lines()} == {"DEBUG", "INFO"}


@pytest.mark.anyio
async def test_moving_to_another_node_is_logged(lines: Lines) -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        home, second, _ = cluster.order("k")
        home.script = lambda node, request: (
            Silence if isinstance(request, ClaimRequest) else AsUsual
        )
        assert (await registry.claim("k", SECRET)).won
        found = lines()
        assert ("INFO", f"{home.address} does not answer: others are asked meanwhile") in found
        assert ("DEBUG", f"asking {second.address}, about k") in found
        home.script = None
        await registry.status()
        assert ("INFO", f"{home.address} answers again") in lines()


@pytest.mark.anyio
async def test_a_watch_that_goes_on_elsewhere_is_logged(lines: Lines) -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        watching = registry.watch("p")
        await watching.begin()
        [first] = [node for node in cluster.nodes if node.requests]
        cluster.decide(decree_of("p/1"))
        await first.stop()
        with anyio.fail_after(20):
            await anext(watching)
        [other] = {"n1", "n2"} - {first.name}
        assert ("INFO", f"the watch of 'p' goes on at {other}") in lines()


def test_no_handler_is_installed_and_nothing_is_printed() -> None:
    code = (
        "import logging; from decreed.client import sync\n"
        "with sync.connect('127.0.0.1:1') as registry:\n"
        "    try: registry.get('k', timeout=0.2)\n"
        "    except Exception: pass\n"
        "names = [None, 'decreed', *(n for n in logging.root.manager.loggerDict if 'decreed' in n)]\n"
        "assert not any(logging.getLogger(name).handlers for name in names)\n"
        "assert 'decreed.client.transport.link' in names\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# -- reprs


@pytest.mark.anyio
async def test_the_repr_of_a_client_shows_its_cluster_and_its_state() -> None:
    async with cluster_of(2) as cluster:
        seeds = ", ".join(cluster.endpoints)
        async with connect(*cluster.endpoints) as registry:
            assert repr(registry) == f"<decreed.client.Registry of {seeds}; not connected>"
            await registry.status()
            met = f"of {seeds}; cluster 'test-cluster'; formation {FORMATION.hex()}"
            assert repr(registry) == f"<decreed.client.Registry {met}; connected to n1, n2>"
            await cluster.nodes[0].stop()
            with anyio.fail_after(20):
                while "n1" in repr(registry).rpartition(";")[2]:
                    await anyio.sleep(0.01)
        assert repr(registry) == f"<decreed.client.Registry {met}; closed>"


def test_the_repr_of_a_blocking_client_shows_the_same() -> None:
    with running_cluster(1) as cluster, sync.connect(*cluster.endpoints) as registry:
        registry.claim("k", SECRET)
        assert repr(registry).startswith(
            f"<decreed.client.sync.Registry of {cluster.endpoints[0]};"
        )
        assert repr(registry).endswith("; connected to n1>")


def test_the_repr_shortens_many_endpoints_and_names_a_fork() -> None:
    with sync.connect([f"127.0.0.1:{port}" for port in range(1, 1_000)]) as registry:
        assert "127.0.0.1:7 and 992 more; not connected" in repr(registry)
        process = os.fork()
        if process == 0:
            os._exit(0 if "; not connected" in repr(registry) else 1)
        assert os.waitpid(process, 0)[1] == 0


@pytest.mark.anyio
async def test_a_lock_that_is_not_entered_says_how_to_use_it() -> None:
    async with connect("127.0.0.1:1") as registry:
        locked = registry.lock("jobs", note=SECRET, info=SECRET.encode())
        assert repr(locked) == "<lock 'jobs', for use in `async with`>"
    with sync.connect("127.0.0.1:1") as blocking:
        assert repr(blocking.lock("jobs")) == "<lock 'jobs', for use in `with`>"
