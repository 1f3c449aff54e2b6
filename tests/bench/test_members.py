"""Clusters whose members change, and builds side by side: how their nodes are started."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from bench.systems.build import Counting
from bench.systems.decreed import DecreedSystem
from bench.systems.joinable import JoinableSystem

T = TypeVar("T", bound=DecreedSystem)


class Kept(Protocol):
    """Has a cluster give its ports back after the test."""

    def __call__(self, cluster: T) -> T: ...


@pytest.fixture
def kept() -> Iterator[Kept]:
    with ExitStack() as stack:

        def keep(cluster: T) -> T:
            stack.callback(cluster.give_ports_back)
            return cluster

        yield keep


def test_a_spare_node_joins_the_members_and_forms_nothing(tmp_path: Path, kept: Kept) -> None:
    cluster = kept(JoinableSystem(tmp_path, 3, spare=2))
    members, spare = cluster.addresses(), cluster.addresses((3,))[0]
    assert cluster.addresses(range(5)) == [*members, *cluster.addresses((3, 4))]
    assert "--join" not in cluster.command(2)
    line = " ".join(cluster.command(3))
    assert f"--node n4 --data {cluster.data(3)}/data" in line
    assert f"--listen {spare} --join {','.join(members)}" in line


def test_a_spare_node_may_be_given_a_seed(tmp_path: Path, kept: Kept) -> None:
    cluster = kept(JoinableSystem(tmp_path, 3))
    assert "--seed" not in cluster.command(3)
    cluster.seed = tmp_path / "full.snapshot"
    assert cluster.command(3)[-2:] == ["--seed", str(cluster.seed)]
    assert "--seed" not in cluster.command(0)


def test_a_node_that_counts_calls_is_the_same_under_a_profiler(tmp_path: Path, kept: Kept) -> None:
    counting = kept(Counting(tmp_path))
    python, *profiled = counting.command(1)
    at = profiled.index("-o")
    assert profiled[:at] == ["-m", "cProfile"]
    serve = super(Counting, counting).command(1)
    assert [python, *profiled[at + 2 :]] == serve
