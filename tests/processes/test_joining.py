"""Nodes that join a running cluster, as processes."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from decreed.cli.config.settings_text import config_text
from decreed.client import sync
from decreed.client.sync import Registry
from decreed.registry.errors import Exit

from ..support.ports import hold, let_go
from ..support.processes import PATIENCE_S, Processes, eventually, run, running


def reads(cluster: Processes, node: str, key: str) -> bool:
    """Whether a node alone answers with the decree of a key."""
    done = run("get", key, "--timeout", "2s", endpoints=cluster.addresses[node])
    return done.returncode == 0 and done.stdout.decode().strip() == f"value of {key}"


def freeze(registry: Registry, key: str) -> None:
    registry.claim(key, f"value of {key}")


def test_an_observer_joins_is_killed_and_comes_back_by_what_its_directory_knows(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as cluster:
        [port] = hold(1)
        try:
            with cluster.client() as registry:
                freeze(registry, "before")
                place = f"127.0.0.1:{port}"
                elsewhere = tmp_path / "n4.toml"
                report = cluster.report("n1")
                assert report is not None
                elsewhere.write_text(config_text(report.cluster_id, {"other": "127.0.0.1:1"}))
                seeds = f"127.0.0.1:1,{cluster.addresses['n2']}"
                words = ("--listen", place)
                cluster.addresses["n4"] = place
                cluster.start("n4", *words, "--join", seeds, config=elsewhere)
                eventually("n4 has learned", lambda: reads(cluster, "n4", "before"))
                cluster.kill("n4")
                freeze(registry, "meanwhile")
                cluster.start("n4", *words, config=elsewhere)
                eventually("n4 has caught up", lambda: reads(cluster, "n4", "meanwhile"))
                assert "joins formation" in cluster.log("n4")
        finally:
            let_go([port])


@pytest.mark.chaos
def test_a_node_that_joins_learns_from_a_snapshot_is_killed_meanwhile_and_goes_on(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as cluster:
        [port] = hold(1)
        try:
            place, saved, cut = f"127.0.0.1:{port}", tmp_path / "full", tmp_path / "cut"
            with cluster.client() as registry:
                for start in range(0, 20_000, 1_000):
                    keys = [f"k{number}" for number in range(start, start + 1_000)]
                    registry.claim_many({key: f"value of {key}" for key in keys})
                everywhere = ",".join(cluster.addresses.values())
                assert run("snapshot", "save", str(saved), endpoints=everywhere).returncode == 0
                freeze(registry, "later")
            cut.write_bytes(saved.read_bytes()[:-9])
            cluster.addresses["n4"] = place
            words = ("--listen", place, "--join", cluster.addresses["n2"], "--seed")
            cluster.start("n4", *words, str(cut))
            assert cluster.exit_code("n4") == int(Exit.REFUSED)
            assert "the file ends" in cluster.log("n4")
            for _ in range(2):
                cluster.start("n4", *words, str(saved))
                eventually("it takes the seed", lambda: "seeding" in cluster.log("n4"))
                cluster.kill("n4")
            cluster.start("n4", *words, str(saved))
            eventually("n4 has all of it", lambda: "seeded" in cluster.log("n4"))
            for key in ("k0", "k9999", "k19999", "later"):
                eventually(f"n4 has {key}", partial(reads, cluster, "n4", key))
            done = run("member", "replace", "n3", "n4", endpoints=cluster.addresses["n1"])
            assert done.returncode == 0, done.stderr
            cluster.kill("n3")
            with cluster.client() as registry:
                freeze(registry, "by-its-vote")
        finally:
            let_go([port])


@pytest.mark.chaos
def test_a_snapshot_of_another_formation_is_refused_by_a_node_that_joins(tmp_path: Path) -> None:
    saved = tmp_path / "full"
    with running(tmp_path) as cluster:
        with cluster.client() as registry:
            freeze(registry, "of-the-first")
        everywhere = ",".join(cluster.addresses.values())
        assert run("snapshot", "save", str(saved), endpoints=everywhere).returncode == 0
        for node in ("n1", "n2", "n3"):
            cluster.kill(node)
            shutil.rmtree(cluster.data(node))
        for node in ("n1", "n2", "n3"):
            cluster.start(node, "--new-formation")
        cluster.await_voting("n1", "n2", "n3")
        [port] = hold(1)
        try:
            place = f"127.0.0.1:{port}"
            cluster.addresses["n4"] = place
            words = ("--listen", place, "--join", cluster.addresses["n1"])
            cluster.start("n4", *words, "--seed", str(saved))
            assert cluster.exit_code("n4") == int(Exit.REFUSED)
            assert "was saved from formation" in cluster.log("n4")
            cluster.start("n4", *words)
            with cluster.client() as registry:
                freeze(registry, "of-the-second")
            eventually("n4 follows", lambda: reads(cluster, "n4", "of-the-second"))
            assert not reads(cluster, "n4", "of-the-first")
        finally:
            let_go([port])


def test_a_name_whose_disk_died_joins_again_and_its_old_directory_is_a_member_still(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as cluster:
        with cluster.client() as registry:
            freeze(registry, "before")
        cluster.kill("n3")
        kept = tmp_path / "kept"
        shutil.move(cluster.data("n3"), kept)
        cluster.start("n3")
        assert cluster.exit_code("n3") == int(Exit.REFUSED), "it does not say that it joins"
        cluster.start("n3", "--join", cluster.addresses["n1"])
        eventually("n3 has learned", lambda: reads(cluster, "n3", "before"))
        report = cluster.report("n3")
        assert report is not None and not report.voting and "has no vote" in report.trouble
        with sync.connect(cluster.addresses["n1"], timeout=PATIENCE_S) as registry:
            freeze(registry, "meanwhile")
        assert cluster.stop("n3") == 0
        shutil.rmtree(cluster.data("n3"))
        shutil.move(kept, cluster.data("n3"))
        cluster.start("n3", "--join", cluster.addresses["n1"])
        assert cluster.exit_code("n3") == int(Exit.REFUSED)
        assert "start it without --join" in cluster.log("n3")
        cluster.start("n3")
        cluster.await_voting("n1", "n2", "n3")
