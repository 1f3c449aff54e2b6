"""`decreed serve --admin` as a process: what a probe, a scraper and a browser meet, and nobody else."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..support.ports import hold, let_go
from ..support.processes import PATIENCE_S, Processes, eventually, make

LISTENING = "0A"
"""The state of a socket that listens, in /proc/net/tcp."""


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body; 0 while nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except ConnectionError:
        return 0, ""
    finally:
        connection.close()


@contextmanager
def made(folder: Path, size: int) -> Iterator[tuple[Processes, int]]:
    """A cluster that is not started, and a port for an admin listener."""
    cluster, [port] = make(folder, size), hold(1)
    let_go([port])
    try:
        yield cluster, port
    finally:
        cluster.end()


def listens_at(process: int) -> set[int]:
    """The ports at which a process listens."""
    inodes: set[str] = set()
    for each in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # one that was just closed
            inodes.update(re.findall(r"socket:\[(\d+)\]", str(each.readlink())))
    ports: set[int] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def test_a_node_is_ready_when_its_peers_are_there_and_tells_its_metrics(tmp_path: Path) -> None:
    with made(tmp_path, 3) as (cluster, port):
        cluster.start("n1", "--admin", f"127.0.0.1:{port}")
        eventually("n1 lives", lambda: get(port, "/livez")[0] == 200)
        status, reason = get(port, "/readyz")
        assert status == 503 and reason.startswith("not ready: ")
        for node in ("n2", "n3"):
            cluster.start(node)
        eventually("n1 is ready", lambda: get(port, "/readyz")[0] == 200)
        with cluster.alone("n1") as registry:
            assert registry.claim("k", "v").won
        told = {one.name: one for one in text_string_to_metric_families(get(port, "/metrics")[1])}
        [ready] = told["decreed_ready"].samples
        assert ready.value == 1.0
        eventually(
            "n1 counts the key", lambda: "\ndecreed_decrees 1.0\n" in get(port, "/metrics")[1]
        )
        [node] = json.loads(get(port, "/status")[1])["nodes"]
        assert node["node"] == "n1" and node["voting"]
        cluster.kill("n2", "n3")
        eventually("n1 is not ready", lambda: get(port, "/readyz")[0] == 503)
        assert get(port, "/livez")[0] == 200
        assert cluster.stop("n1") == 0


def test_a_node_listens_for_health_only_if_it_is_asked_to(tmp_path: Path) -> None:
    if not Path("/proc/self/net/tcp").exists():
        pytest.skip("this system has no /proc")
    with made(tmp_path, 1) as (cluster, port):
        own = int(cluster.addresses["n1"].rpartition(":")[2])
        for options, expected in (((), {own}), (("--admin", f"127.0.0.1:{port}"), {own, port})):
            cluster.start("n1", *options)
            cluster.await_voting("n1")
            if options:
                eventually("it listens there too", lambda: get(port, "/livez")[0] == 200)
            assert listens_at(cluster.running["n1"].pid) == expected
            assert cluster.stop("n1") == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_s01_without_tls_a_node_does_not_start_with_its_health_open_to_others(
    tmp_path: Path, host: str
) -> None:
    with made(tmp_path, 1) as (cluster, port):
        cluster.start("n1", "--admin", f"{host}:{port}")
        assert cluster.exit_code("n1") == 2
        assert "beyond this machine there is TLS alone" in cluster.log("n1")


def test_a_place_that_is_taken_ends_the_node_with_a_reason(tmp_path: Path) -> None:
    with made(tmp_path, 1) as (cluster, port), socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        cluster.start("n1", "--admin", f"127.0.0.1:{port}")
        assert cluster.exit_code("n1") != 0
        assert f"cannot listen on 127.0.0.1:{port}" in cluster.log("n1")
