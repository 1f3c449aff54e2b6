"""A node whose log is not read keeps serving, and stops on request."""

import fcntl
import os
import subprocess
from pathlib import Path

from ..support.processes import decreed, eventually, make


def full_pipe() -> tuple[int, int]:
    """A pipe that takes nothing more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    try:
        while os.write(writer, b"x" * 64):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer


def test_a_node_with_a_full_log_pipe_serves_and_stops(tmp_path: Path) -> None:
    cluster, (reader, writer) = make(tmp_path, 1), full_pipe()
    command = decreed(
        "serve", "--config", cluster.config, "--node", "n1", "--data", tmp_path / "n1"
    )
    try:
        cluster.running["n1"] = subprocess.Popen(
            [*command, "--log-level", "debug"], stderr=writer, stdin=subprocess.DEVNULL
        )
        cluster.await_voting("n1")
        with cluster.client() as registry:
            assert registry.claim("k", "v").won
        assert cluster.stop("n1") == 0
        os.set_blocking(reader, False)
        eventually("all was junk", lambda: os.read(reader, 1 << 20).strip(b"x") == b"")
    finally:
        cluster.end()
        os.close(reader)
        os.close(writer)
