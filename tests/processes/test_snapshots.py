"""Snapshots of real clusters: saved under load, interrupted, continued, and checked."""

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from decreed.client import sync
from decreed.client.sync import Registry
from decreed.storage.snapshot.chain import SnapshotChain

from ..support.processes import PATIENCE_S, Processes, decreed, eventually, run, running

TTL_S = 6.0
"""Of locks: long enough for a busy machine, and nobody gets one so long after a restore."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Processes]:
    with running(tmp_path / "cluster") as cluster:
        yield cluster


@contextmanager
def load(cluster: Processes, prefix: str) -> Iterator[dict[str, bytes]]:
    """Claims and locks, one after another; yields what was acknowledged so far."""
    done: dict[str, bytes] = {}
    stop = threading.Event()

    def claim(registry: Registry) -> None:
        while not stop.is_set():
            key, value = f"{prefix}/{len(done)}", b"%d" % len(done)
            registry.claim(key, value)
            done[key] = value

    def work() -> None:
        with cluster.client() as registry:
            claim(registry)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        eventually("claims are acknowledged", lambda: len(done) > 50)
        yield done
    finally:
        stop.set()
        worker.join(PATIENCE_S)


def snapshot(cluster: Processes, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return run("snapshot", *words, endpoints=cluster.endpoints)


def saved(*paths: Path) -> dict[str, Any]:
    """The documents of all keys in a chain."""
    done = run("snapshot", "show", *paths, "--prefix", "", "--json")
    assert done.returncode == 0, done.stderr
    documents = map(json.loads, done.stdout.splitlines())
    return {document["key"]: document["value"].encode() for document in documents}


def test_a_snapshot_has_everything_that_was_answered_before_it_began(
    cluster: Processes, tmp_path: Path
) -> None:
    path = tmp_path / "full"
    with cluster.client() as registry, registry.lock("jobs") as held:
        token = held.token
    with load(cluster, "load") as done:
        before = dict(done)
        assert snapshot(cluster, "save", path).returncode == 0
    found = saved(path)
    assert before.items() <= found.items() <= done.items()
    with SnapshotChain([path]) as chain:
        chain.check_blocks()
        end = chain.readers[0].end
        assert end is not None and end.marks == chain.head.marks
        assert [mark.node for mark in end.marks] == list(cluster.addresses), "a voter each"
    terms = run("snapshot", "show", path, "--prefix", "$locks", "--keys").stdout.decode().split()
    assert terms == [f"$locks/jobs@{token}"]
    assert run("snapshot", "verify", path).returncode == 0


def test_increments_have_only_what_is_new(cluster: Processes, tmp_path: Path) -> None:
    full, more = tmp_path / "full", tmp_path / "more"
    with cluster.client() as registry:
        registry.claim_many({f"a/{n}": b"old" for n in range(2_000)})
        assert snapshot(cluster, "save", full).returncode == 0
        registry.claim("a/new", b"new")
    done = snapshot(cluster, "save", more, "--since", full)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"saved: 1 decree,")
    assert len(saved(full, more)) == 2_001
    assert run("snapshot", "verify", more).returncode == 2


def test_an_interrupted_save_is_continued(cluster: Processes, tmp_path: Path) -> None:
    path = tmp_path / "full"
    partial = tmp_path / "full.partial"
    with cluster.client() as registry:
        for part in range(4):
            registry.claim_many({f"{part}/{n}": bytes(2_000) for n in range(1_000)})
    save = subprocess.Popen(
        decreed("snapshot", "save", path, "--endpoints", cluster.endpoints), stderr=subprocess.PIPE
    )
    eventually("a part is written", lambda: partial.exists() and partial.stat().st_size > 1_000_000)
    save.send_signal(signal.SIGINT)
    _, said = save.communicate(timeout=PATIENCE_S)
    if save.returncode == 0:
        pytest.skip("it was complete before the interrupt came")
    assert save.returncode == 130
    assert b"go on with --resume" in said
    assert not path.exists()
    assert snapshot(cluster, "save", path).returncode == 2
    done = snapshot(cluster, "save", path, "--resume")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"saved: 4000 decrees")
    assert run("snapshot", "verify", path).returncode == 0


def test_a_save_survives_a_node(cluster: Processes, tmp_path: Path) -> None:
    with cluster.client() as registry:
        registry.claim_many({f"a/{n}": b"value" for n in range(3_000)})
    cluster.kill("n2")
    assert snapshot(cluster, "save", tmp_path / "full").returncode == 0
    assert len(saved(tmp_path / "full")) == 3_000
    cluster.kill("n3")
    done = snapshot(cluster, "save", tmp_path / "other", "--timeout", "1")
    assert done.returncode == 5, done.stderr
    assert b"go on with --resume" in done.stderr


def restore(cluster: Processes, *words: str | Path) -> dict[str, Any]:
    """Restore a snapshot into the directories of all nodes; what the command says."""
    data = [word for node in cluster.nodes for word in ("--data", f"{node}={cluster.data(node)}")]
    command = ["snapshot", "restore", *words, "--config", cluster.config, *data]
    done = run(*command, "--yes", "--json", "--least-ttl", "200ms")
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def lose_everything(cluster: Processes) -> None:
    """Kill all nodes, and remove their directories."""
    cluster.kill(*list(cluster.running))
    for node in cluster.nodes:
        shutil.rmtree(cluster.data(node))


def start_all(cluster: Processes) -> None:
    for node in cluster.nodes:
        cluster.start(node)
    cluster.await_voting(*cluster.nodes)


def test_a_cluster_that_lost_everything_is_restored(cluster: Processes, tmp_path: Path) -> None:
    full, more, cache = tmp_path / "full", tmp_path / "more", tmp_path / "cache"
    with cluster.client() as registry:
        for _ in range(3):
            with registry.lock("known", ttl=TTL_S) as held:
                token = held.token
    with load(cluster, "one"):
        assert snapshot(cluster, "save", full).returncode == 0
    with load(cluster, "two") as done:
        before = dict(done)
        assert snapshot(cluster, "save", more, "--since", full).returncode == 0
    with sync.connect(cluster.endpoints, cache_dir=cache) as registry:
        registry.claim("late", "after the snapshot")
        with registry.lock("late", ttl=TTL_S) as held:
            late_token = held.token
    lose_everything(cluster)
    began_ms = time.time_ns() // 1_000_000
    restore(cluster, full, more)
    start_all(cluster)
    found = saved(full, more)
    for node in cluster.nodes:
        with cluster.alone(node) as registry:
            assert {decree.key: decree.value for decree in registry.list()} == found
            assert before.items() <= found.items()
    with sync.connect(cluster.endpoints, cache_dir=cache, timeout=PATIENCE_S) as registry:
        # the client read it before, and holds it on disk; in this formation it is free
        assert registry.get("late") is None
        assert registry.claim("late", "again").won
        for lock, old in (("known", token), ("late", late_token), ("never", 0)):
            with registry.lock(lock, ttl=TTL_S) as held:
                assert held.token > max(old, began_ms)
            [last] = registry.lock_history(lock)[-1:]
            assert last.holder.term == held.token


def test_a_restored_cluster_is_a_cluster_like_any_other(cluster: Processes, tmp_path: Path) -> None:
    """It can be restarted, loses no promise, refuses old directories, and is saved and restored."""
    full, again = tmp_path / "full", tmp_path / "again"
    with cluster.client() as registry:
        registry.claim("a", "1")
        registry.claim_next("s", "1")
    assert snapshot(cluster, "save", full).returncode == 0
    assert (
        run("snapshot", "restore", full, "--config", cluster.config, "--data", "n1=x").returncode
        == 2
    )
    refused = run(
        *("snapshot", "restore", full, "--config", cluster.config, "--yes"),
        *(word for node in cluster.nodes for word in ("--data", f"{node}={cluster.data(node)}")),
    )
    assert refused.returncode == 7
    assert b"is not replaced" in refused.stderr
    cluster.kill(*cluster.nodes)
    cluster.data("n3").rename(tmp_path / "old-n3")
    for node in ("n1", "n2"):
        shutil.rmtree(cluster.data(node))
    first = restore(cluster, full)
    shutil.rmtree(cluster.data("n3"))
    (tmp_path / "old-n3").rename(cluster.data("n3"))
    for node in cluster.nodes:
        cluster.start(node)
    cluster.await_voting("n1", "n2")
    old = first["old_formation"]
    eventually("the old node is refused", lambda: f"is of formation {old}" in cluster.log("n1"))
    cluster.kill("n3")
    with sync.connect(*(cluster.addresses[node] for node in ("n1", "n2"))) as registry:
        assert registry.claim_next("s", "2").decree.key == "s@2"
    cluster.kill("n1", "n2")
    cluster.start("n1")
    cluster.start("n2")
    cluster.await_voting("n1", "n2")
    with sync.connect(*(cluster.addresses[node] for node in ("n1", "n2"))) as registry:
        assert [decree.key for decree in registry.list()] == ["a", "s@1", "s@2"]
    assert snapshot(cluster, "save", again, "--since", full).returncode == 2
    assert snapshot(cluster, "save", again).returncode == 0
    lose_everything(cluster)
    second = restore(cluster, again)
    assert second["old_formation"] == first["formation"] != second["formation"]
    assert second["tokens_above"] > first["tokens_above"]
    start_all(cluster)
    with cluster.client() as registry:
        assert [decree.key for decree in registry.list()] == ["a", "s@1", "s@2"]
