"""From what one disk has left to three nodes again, with real processes: recovered, or restored."""

import json
from pathlib import Path
from typing import Any

import pytest

from decreed.cli.config.settings_text import config_text
from decreed.registry.errors import Exit

from ..support.processes import PATIENCE_S, Processes, eventually, run, running

OTHERS = ("n2", "n3")
KEYS = {f"key/{number}": f"value {number}" for number in range(5)}


def command(*words: str | Path, endpoints: str = "") -> dict[str, Any]:
    """The document of a command that succeeds."""
    done = run(*words, "--json", *(["--endpoints", endpoints] if endpoints else []))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def fill(cluster: Processes) -> int:
    """Decide some keys, and give a lock; returns its token."""
    with cluster.client() as registry:
        for key, value in KEYS.items():
            registry.claim(key, value)
        with registry.lock("known", ttl=6.0) as held:
            return held.token


def config_of_one(cluster: Processes, cluster_id: str) -> Path:
    path = cluster.folder / "one.toml"
    path.write_text(config_text(cluster_id, {"n1": cluster.addresses["n1"]}))
    return path


def lose_disks(cluster: Processes, folder: Path) -> dict[str, Path]:
    """Kill all nodes, and move their directories away."""
    cluster.kill(*cluster.nodes)
    folder.mkdir()
    return {node: cluster.data(node).rename(folder / node) for node in cluster.nodes}


def grow(cluster: Processes, config: Path) -> None:
    """Start n1 alone, have n2 and n3 join it with empty directories, and make them voters."""
    cluster.start("n1", config=config)
    seed = cluster.addresses["n1"]
    eventually("n1 votes", lambda: (found := cluster.report("n1")) is not None and found.voting)
    for node in OTHERS:
        cluster.start(node, "--join", seed, "--listen", cluster.addresses[node], config=config)
    eventually("n1 has met both", lambda: _known(seed) >= {*OTHERS})
    command("member", "add", *OTHERS, "--timeout", f"{PATIENCE_S:.0f}s", endpoints=seed)
    cluster.await_voting(*cluster.nodes)


def check_joiners_alone(cluster: Processes, token: int, made: dict[str, Any]) -> None:
    """Those who joined are a quorum without n1, and know all that it knew, and where locks go on."""
    cluster.kill("n1")
    for node in OTHERS:
        with cluster.alone(node) as registry:
            found = {decree.key: decree.value.decode() for decree in registry.list()}
            assert found == KEYS
    with cluster.client() as registry:
        with registry.lock("known", ttl=6.0) as held:
            assert held.token > max(token, made["tokens_above"])
        with registry.lock("known-to-the-gone-alone", ttl=6.0) as held:
            assert held.token > made["tokens_above"]


def test_a_cluster_that_lost_two_disks_is_three_nodes_again(tmp_path: Path) -> None:
    with running(tmp_path / "cluster") as cluster:
        token = fill(cluster)
        report = cluster.report("n1")
        assert report is not None and report.formation is not None
        eventually("n1 has learned all", lambda: _knows_all(cluster, "n1"))
        old = lose_disks(cluster, tmp_path / "old")
        config = config_of_one(cluster, report.cluster_id)
        words = ("recover", "--config", config, "--from", old["n1"], "--gone", "n2", "--gone", "n3")
        data = ("--data", cluster.data("n1"), "--yes", "--least-ttl", "200ms")
        made = command(*words, *data)
        assert not made["complete"], "n2 and n3 may have decided more"
        grow(cluster, config)
        check_joiners_alone(cluster, token, made)

        lost = run("recover", "--compare", cluster.data("n1"), old["n2"])
        assert lost.returncode == 0, lost.stderr
        assert b"lacks nothing" in lost.stdout or b"may lack" in lost.stdout
        cluster.data("n1").rename(tmp_path / "n1")
        old["n1"].rename(cluster.data("n1"))
        cluster.start("n1")
        assert cluster.exit_code("n1") == int(Exit.REFUSED)
        assert report.formation.hex() in cluster.log("n1")
        assert f"was recovered into formation {made['formation']}" in cluster.log("n1")


@pytest.mark.chaos
def test_a_snapshot_becomes_three_nodes_again(tmp_path: Path) -> None:
    with running(tmp_path / "cluster") as cluster:
        token = fill(cluster)
        report = cluster.report("n1")
        assert report is not None
        saved = tmp_path / "full.snapshot"
        command("snapshot", "save", saved, endpoints=cluster.endpoints)
        lose_disks(cluster, tmp_path / "old")
        config = config_of_one(cluster, report.cluster_id)
        words = ("snapshot", "restore", saved, "--config", config, "--data", cluster.data("n1"))
        made = command(*words, "--yes", "--least-ttl", "200ms")
        grow(cluster, config)
        check_joiners_alone(cluster, token, made)


def _knows_all(cluster: Processes, node: str) -> bool:
    with cluster.alone(node) as registry:
        return {decree.key for decree in registry.list()} >= KEYS.keys()


def _known(endpoint: str) -> set[str]:
    """The nodes without a vote that a member has met."""
    return {seat["id"] for seat in command("member", "list", endpoints=endpoint)["others"]}
