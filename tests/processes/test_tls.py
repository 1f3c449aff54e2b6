"""A node with TLS as a process: what a client meets, and what SIGHUP does."""

import contextlib
import os
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.certificates import Authority
from ..support.ports import held
from ..support.processes import PATIENCE_S, decreed, eventually, run


class Node:
    """One node of one cluster, with its files."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.at = folder, f"127.0.0.1:{port}"
        run("init", folder, "--node", f"n1={self.at}")
        self.cluster = tomllib.loads((folder / "cluster.toml").read_text())["cluster_id"]
        self.authority = Authority(folder)
        self.renew()
        self.log = folder / "log"

    def renew(self) -> None:
        """Write another certificate and key over the present ones."""
        self.authority.node("n1", cluster=self.cluster, name="n1")

    @contextlib.contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        files = [str(self.folder / name) for name in ("ca.pem", "n1.crt", "n1.key")]
        words = decreed("serve", "--config", self.folder / "cluster.toml", "--node", "n1")
        words += ["--data", str(self.folder / "data")]
        words += ["--ca", files[0], "--cert", files[1], "--key", files[2]]
        with self.log.open("wb") as log:
            process = subprocess.Popen(words, stderr=log, env={**os.environ, "NO_COLOR": "1"})
        try:
            eventually("it serves", lambda: "serving" in self.said())
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE_S)

    def said(self) -> str:
        return self.log.read_text()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with held(1) as [port]:
        yield Node(tmp_path, port)


def test_a_node_reads_its_files_again_at_sighup_and_goes_on_with_the_old_if_they_are_bad(
    node: Node,
) -> None:
    secured = ("--ca", node.folder / "ca.pem", "--endpoints", node.at)
    with node.serving() as process:
        assert run("claim", "k", "v", *secured).returncode == 0
        plain = run("get", "k", "--endpoints", node.at)
        assert plain.returncode == 7 and b"speaks TLS alone" in plain.stderr
        node.renew()
        process.send_signal(signal.SIGHUP)
        eventually("it reads", lambda: "the files of TLS were read" in node.said())
        (node.folder / "n1.key").write_text("no key")
        process.send_signal(signal.SIGHUP)
        eventually("it refuses", lambda: "the new files of TLS are not used" in node.said())
        assert run("get", "k", *secured).stdout == b"v\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
