"""``decreed scrub`` with real processes, and a byte that has changed on a real disk."""

import json
from collections.abc import Iterator
from hashlib import shake_128
from pathlib import Path
from typing import Any

import pytest

from ..storage.leftovers import flip, tables
from ..support.processes import Processes, run, running


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Processes]:
    with running(tmp_path / "cluster") as cluster:
        yield cluster


def scrub(cluster: Processes, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what each node found."""
    done = run("scrub", "--json", "--endpoints", cluster.endpoints, *words)
    nodes = json.loads(done.stdout)["nodes"]
    return done.returncode, {node["node"]: node for node in nodes}


def test_damage_on_a_disk_is_found_with_its_keys_and_what_the_others_have_is_served_again(
    cluster: Processes,
) -> None:
    values = {f"k/{n:02}": shake_128(b"%d" % n).digest(2_000) for n in range(30)}
    with cluster.client() as registry:
        for key, value in values.items():
            registry.claim(key, value)
    code, found = scrub(cluster)
    assert code == 0
    assert all(node["sound"] and node["damaged"] == 0 for node in found.values())
    assert found["n1"]["compared"] == ["n2", "n3"]

    cluster.stop("n2")  # which makes a table of all rows
    victim = values["k/15"][500:600]  # far from the records that a start reads
    table = next(path for path in tables(cluster.data("n2")) if victim in path.read_bytes())
    flip(table, table.read_bytes().index(victim))
    cluster.start("n2")
    cluster.await_voting("n1", "n2", "n3")

    code, found = scrub(cluster, "--node", "n2")
    assert code == 7, "the block stays damaged"
    report = found["n2"]
    assert report["damaged"] > 0 and report["repaired"] == report["damaged"]
    assert any(table.name in fault for fault in report["faults"])
    with cluster.alone("n2") as registry:
        for key, value in values.items():
            kept = registry.get(key)
            assert kept is not None and kept.value == value
    status = run("status", "--json", "--endpoints", cluster.endpoints)
    damage = {node["node"]: node["damage"] for node in json.loads(status.stdout)["nodes"]}
    assert "1 other fault" in damage["n2"] and damage["n1"] == ""
