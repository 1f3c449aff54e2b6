"""Data directories that must not take part, and disks that fail, seen from outside."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from decreed.client import errors
from decreed.registry.errors import Exit

from ..support.processes import Processes, eventually, make, put_back, running

REFUSED = int(Exit.REFUSED)


def freeze(cluster: Processes, *keys: str) -> None:
    with cluster.client() as registry:
        for key in keys:
            registry.claim(key, f"value of {key}")


def settle(cluster: Processes, decrees: int) -> None:
    """Wait until all nodes know all decrees, and have read each other's feeds."""

    def settled() -> bool:
        reports = [cluster.report(node) for node in cluster.nodes]
        return all(
            r is not None and r.decrees == decrees and all(p.pulled == decrees for p in r.peers)
            for r in reports
        )

    eventually("everybody knows everything", settled)


def last_line(cluster: Processes, node: str) -> str:
    return cluster.log(node).strip().splitlines()[-1]


@pytest.mark.parametrize("up", [("n2",), ("n3",), ("n2", "n3")])
def test_a_wiped_directory_is_refused_by_each_single_peer(
    tmp_path: Path, up: tuple[str, ...]
) -> None:
    with running(tmp_path) as cluster:
        freeze(cluster, "k")
        cluster.kill(*cluster.nodes)
        shutil.rmtree(cluster.data("n1"))
        Path(f"{cluster.config}.formed").unlink()  # as on a new machine
        for node in up:
            cluster.start(node)
        cluster.start("n1")
        assert cluster.exit_code("n1") == REFUSED
        assert "wiped" in last_line(cluster, "n1")
        assert "stays out" in last_line(cluster, "n1")


def test_a_wiped_directory_is_noticed_on_its_own_machine_even_with_nobody_up(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as cluster:
        cluster.kill(*cluster.nodes)
        shutil.rmtree(cluster.data("n1"))
        cluster.start("n1")
        assert cluster.exit_code("n1") == REFUSED
        assert "--new-formation" in last_line(cluster, "n1")


def test_all_disks_gone_make_a_new_formation_only_when_told_to(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        freeze(cluster, "k")
        with cluster.client() as registry:
            (first, *_) = registry.status()
        cluster.kill(*cluster.nodes)
        for node in cluster.nodes:
            shutil.rmtree(cluster.data(node))
            cluster.start(node, "--new-formation")
        cluster.await_voting(*cluster.nodes)
        report = cluster.report("n1")
        assert report is not None and report.formation != getattr(first, "formation", None)
        with cluster.client() as registry:
            assert registry.get("k") is None


def test_another_nodes_directory_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.kill("n1", "n2")
        put_back(cluster.data("n2"), cluster.data("n1"))
        cluster.start("n1")
        assert cluster.exit_code("n1") == REFUSED
        assert "n2" in last_line(cluster, "n1")


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, size=1) as cluster:
        original = cluster.running.pop("n1")
        try:
            cluster.start("n1")
            assert cluster.exit_code("n1") == REFUSED
            assert "in use" in last_line(cluster, "n1")
        finally:
            original.kill()
            original.wait()


def test_a_directory_copied_back_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        freeze(cluster, "early")
        settle(cluster, 1)
        assert cluster.stop("n1") == 0
        shutil.copytree(cluster.data("n1"), tmp_path / "an hour ago")
        cluster.start("n1")
        cluster.await_voting(*cluster.nodes)
        freeze(cluster, *(f"k{n}" for n in range(10)))
        settle(cluster, 11)
        cluster.kill("n1")
        put_back(tmp_path / "an hour ago", cluster.data("n1"))
        cluster.start("n1")
        assert cluster.exit_code("n1") == REFUSED
        assert "stays out" in last_line(cluster, "n1")
        freeze(cluster, "the-others-go-on")


def test_a_directory_copied_back_and_started_often_alone_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        assert cluster.stop("n1") == 0
        shutil.copytree(cluster.data("n1"), tmp_path / "an hour ago")
        cluster.start("n1")
        cluster.await_voting(*cluster.nodes)
        cluster.kill(*cluster.nodes)
        put_back(tmp_path / "an hour ago", cluster.data("n1"))
        for _ in range(3):
            cluster.start("n1")
            cluster.await_voting("n1")
            cluster.kill("n1")
        cluster.start("n2")
        cluster.start("n1")
        assert cluster.exit_code("n1") == REFUSED
        assert "was opened again since" in last_line(cluster, "n1")


def test_a_node_that_restarted_often_while_the_others_were_down_is_admitted(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.kill(*cluster.nodes)
        for _ in range(5):
            cluster.start("n1")
            cluster.await_voting("n1")
            cluster.kill("n1")
        for node in cluster.nodes:
            cluster.start(node)
        cluster.await_voting(*cluster.nodes)
        freeze(cluster, "after")


def test_M19_quorums_edited_after_forming_are_a_warning_and_do_not_count(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.kill("n1")
        edited = tmp_path / "edited.toml"
        text = cluster.config.read_text().replace("prepare = 0", "prepare = 3")
        edited.write_text(text.replace("accept = 0", "accept = 1"))
        cluster.start("n1", config=edited)
        cluster.await_voting("n1", "n2", "n3")
        report = cluster.report("n1")
        assert report is not None and (report.prepare_quorum, report.accept_quorum) == (2, 2)
        assert "the file names other members" in cluster.log("n1")


def test_edited_quorums_on_a_new_node_keep_the_cluster_from_forming(tmp_path: Path) -> None:
    cluster = make(tmp_path)
    try:
        edited = tmp_path / "edited.toml"
        text = cluster.config.read_text().replace("prepare = 0", "prepare = 3")
        edited.write_text(text.replace("accept = 0", "accept = 1"))
        cluster.start("n1", config=edited)
        cluster.start("n2")
        cluster.start("n3")
        eventually("the difference is logged", lambda: "quorum sizes" in cluster.log("n2"))
        report = cluster.report("n2")
        assert report is not None and not report.voting
    finally:
        cluster.end()


def flip_a_byte(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, "length"])
def test_a_flipped_byte_in_the_write_ahead_log_stops_the_node_with_the_files_name(
    tmp_path: Path, place: float | str
) -> None:
    with running(tmp_path) as cluster:
        freeze(cluster, *(f"k{n}" for n in range(20)))
        cluster.kill("n1")
        log = max(cluster.data("n1").rglob("*.log"), key=lambda path: path.stat().st_size)
        position = 5 if place == "length" else int(float(place) * log.stat().st_size)
        flip_a_byte(log, position)
        cluster.start("n1")
        assert cluster.exit_code("n1") == REFUSED
        assert log.name in last_line(cluster, "n1")


def test_a_flipped_byte_in_a_table_is_an_error_and_never_a_wrong_answer(tmp_path: Path) -> None:
    keys = [f"k{n}" for n in range(300)]
    with running(tmp_path) as cluster:
        freeze(cluster, *keys)
        settle(cluster, 300)
        assert cluster.stop("n1") == 0  # writes the tables
        for table in cluster.data("n1").rglob("*.sst"):
            flip_a_byte(table, table.stat().st_size // 3)
        cluster.start("n1")
        cluster.kill("n2", "n3")
        eventually("n1 serves or ends", lambda: _decided(cluster))
        if cluster.running["n1"].poll() is not None:
            assert cluster.exit_code("n1") == REFUSED
            assert "damaged" in last_line(cluster, "n1")
            return
        with cluster.alone("n1") as registry:
            for key in keys:
                try:
                    decree = registry.get(key, timeout=2)
                except errors.DecreedError:
                    continue
                assert decree is not None and decree.text == f"value of {key}"


def _decided(cluster: Processes) -> bool:
    report = cluster.report("n1")
    return cluster.running["n1"].poll() is not None or (report is not None and report.voting)


@contextmanager
def small_volume(folder: Path) -> Iterator[Path]:
    """A file system of a few megabytes, where this user may mount one."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "decreed-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small volume is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_the_nodes_votes_but_not_its_answers(tmp_path: Path) -> None:
    with small_volume(tmp_path / "n1"), running(tmp_path) as cluster:
        freeze(cluster, "early")
        with cluster.client() as registry:
            for number in range(40):
                registry.claim(f"big/{number}", os.urandom(300_000), timeout=120)

            def stopped() -> bool:
                report = cluster.report("n1")
                return report is not None and not report.voting

            eventually("n1 has noticed that its disk is full", stopped)
            registry.claim("after", "the others go on")
        report = cluster.report("n1")
        assert report is not None and "restart" in report.trouble
        with cluster.alone("n1") as alone:
            decree = alone.get("early")
            assert decree is not None and decree.text == "value of early"
        cluster.kill("n2", "n3")
        with cluster.alone("n1") as alone, pytest.raises(errors.DecreedError) as caught:
            alone.claim("alone", "x", timeout=1)
        assert isinstance(caught.value, errors.Refused | errors.Unreachable)
