"""A newest log that lost whole records at its end: what peers notice, and what nobody can notice.

The rows of docs/operations.md, section "A log that lost its end", one test each.
"""

from pathlib import Path

import pytest

from decreed.client import errors
from decreed.registry.errors import Exit
from decreed.storage.continuity import newest_log

from ..support.logs import cut, record_starts
from ..support.processes import Processes, running
from .test_directories import freeze, last_line, settle


def log_of(cluster: Processes, node: str) -> Path:
    database = cluster.data(node) / "db"
    return database / f"{newest_log(database):06}.log"


def in_its_second_incarnation(cluster: Processes, node: str) -> None:
    """Restart a node, so that its log begins with the record of that start."""
    assert cluster.stop(node) == 0
    cluster.start(node)
    cluster.await_voting(*cluster.nodes)


def test_R13_peers_refuse_a_log_that_lost_the_record_of_its_start(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        in_its_second_incarnation(cluster, "n1")
        cluster.kill("n1")
        cut(log_of(cluster, "n1"), 0)
        cluster.start("n1")
        assert cluster.exit_code("n1") == Exit.REFUSED
        assert "older copy" in last_line(cluster, "n1")


def test_R13_peers_refuse_a_log_that_lost_feed_entries_which_they_have_read(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        in_its_second_incarnation(cluster, "n1")
        freeze(cluster, *(f"k{number}" for number in range(5)))
        settle(cluster, 5)
        cluster.kill("n1")
        cut(log_of(cluster, "n1"), 1)
        cluster.start("n1")
        assert cluster.exit_code("n1") == Exit.REFUSED
        assert "rolled back" in last_line(cluster, "n1")


def test_a_lost_acceptance_that_no_peer_heard_of_is_not_noticed(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        in_its_second_incarnation(cluster, "n1")
        cluster.kill("n2", "n3")
        with cluster.alone("n1") as registry, pytest.raises(errors.DecreedError):
            registry.claim("k", "v", timeout=2)
        cluster.kill("n1")
        log = log_of(cluster, "n1")
        cut(log, len(record_starts(log)) - 1)
        for node in cluster.nodes:
            cluster.start(node)
        cluster.await_voting(*cluster.nodes)
        freeze(cluster, "the-cluster-goes-on")
