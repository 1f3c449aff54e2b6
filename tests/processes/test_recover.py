"""Recovery of a real cluster that was killed under load, and that has lost a disk."""

import json
import threading
from pathlib import Path
from typing import Any

from decreed.client import sync
from decreed.registry.errors import DecreedError

from ..support.processes import Processes, eventually, run, running

TTL_S = 6.0
GIVES_UP_S = 3.0
"""How long the load goes on trying once the cluster is dead."""


class Load:
    """Claims one key after another in a thread until one fails.

    Attributes:
        done: what was acknowledged.
        tried: the last claim, whose outcome may be unknown.
    """

    def __init__(self, cluster: Processes) -> None:
        self.done: dict[str, bytes] = {}
        self.tried: dict[str, bytes] = {}
        self._addresses = tuple(cluster.addresses.values())
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        eventually("claims are acknowledged", lambda: len(self.done) > 100)

    def end(self) -> None:
        """Wait until a claim has failed."""
        self._thread.join()

    def _work(self) -> None:
        with sync.connect(*self._addresses, timeout=GIVES_UP_S) as registry:
            while True:
                key, value = f"load/{len(self.done)}", b"%d" % len(self.done)
                self.tried = {key: value}
                try:
                    registry.claim(key, value)
                except DecreedError:
                    return
                self.done[key] = value


def recover(cluster: Processes, *words: str | Path) -> dict[str, Any]:
    """Recover, and return what the command says."""
    done = run("recover", "--config", cluster.config, *words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compared(older: Path, newer: Path) -> set[str]:
    done = run("recover", "--compare", older, newer, "--json")
    assert done.returncode == 0, done.stderr
    return {json.loads(line)["difference"] for line in done.stdout.splitlines()}


def test_two_of_three_directories_have_every_acknowledged_claim(tmp_path: Path) -> None:
    with running(tmp_path / "cluster") as cluster:
        with cluster.client() as registry, registry.lock("jobs", ttl=TTL_S) as held:
            token = held.token
        load = Load(cluster)
        cluster.kill(*cluster.nodes)
        load.end()
        old = {node: tmp_path / f"old-{node}" for node in cluster.nodes}
        for node, path in old.items():
            cluster.data(node).rename(path)
        sources = ("--from", old["n1"], "--from", old["n3"])
        assert not recover(cluster, *sources[:2], "--dry-run")["complete"]
        data = [w for node in cluster.nodes for w in ("--data", f"{node}={cluster.data(node)}")]
        made = recover(cluster, *sources, *data, "--gone", "n2", "--yes", "--least-ttl", "200ms")
        assert made["complete"] and made["unreadable"] == {}
        assert compared(cluster.data("n1"), old["n2"]) <= {"may_lack"}
        for node in cluster.nodes:
            cluster.start(node)
        cluster.await_voting(*cluster.nodes)
        for node in cluster.nodes:
            with cluster.alone(node) as registry:
                found = {decree.key: decree.value for decree in registry.list()}
                assert load.done.items() <= found.items() <= {**load.done, **load.tried}.items()
        with cluster.client() as registry, registry.lock("jobs", ttl=TTL_S) as held:
            assert held.token > max(token, made["tokens_above"])
