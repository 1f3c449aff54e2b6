"""Rounds: each system is first in its turn, and one is compared with the others of the same round."""

from pathlib import Path
from typing import Any

import pytest

from bench.bench import Bench, Settings
from bench.load import Load, Outcome
from bench.report import rows
from bench.suites import speed
from bench.suites.in_turn import one_round, pair_ratios, rotated
from bench.systems.build import Counting
from bench.systems.cluster import Cluster
from bench.systems.redis import Redis
from bench.systems.zookeeper import ZooKeeper


def outcome(cpu_us: float, per_s: float, p50_us: float) -> Outcome:
    return {"server_cpu_us": cpu_us, "per_s": per_s, "latency": {"p50_us": p50_us}}


class PretendedBench(Bench):
    """Answers each load at once, from a table by the name of the system."""

    outcomes: dict[str, Outcome]
    order: list[str]

    def drives(self, cluster: Cluster, load: Load) -> bool:
        return cluster.name in self.outcomes

    def load(self, cluster: Cluster, load: Load) -> Outcome:
        self.order.append(f"{cluster.name}:{load.op}")
        return dict(self.outcomes[cluster.name])


@pytest.fixture
def bench(tmp_path: Path) -> PretendedBench:
    settings = Settings(True, 1, 0.1, 1000, 1.0, tmp_path, tmp_path)
    made = PretendedBench(settings, (), None, lambda text: None)
    made.outcomes, made.order = {}, []
    return made


@pytest.fixture
def clusters(tmp_path: Path) -> Any:
    made = [ZooKeeper(tmp_path / "z"), Redis(tmp_path / "r")]
    yield made
    for cluster in made:
        cluster.give_ports_back()


def test_each_is_first_in_its_turn() -> None:
    assert [rotated("abc", repeat) for repeat in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_a_ratio_is_ours_divided_by_theirs_and_missing_figures_have_none() -> None:
    ours, theirs = outcome(50, 3000, 2000), outcome(100, 1000, 4000)
    expected = {"cpu_ratio": 0.5, "rate_ratio": 3.0, "p50_ratio": 0.5}
    assert pair_ratios(ours, theirs) == expected
    del theirs["latency"]
    assert pair_ratios(ours, theirs) == {"cpu_ratio": 0.5, "rate_ratio": 3.0}


def test_a_round_asks_in_turn_and_answers_in_order(
    bench: PretendedBench, clusters: list[Cluster]
) -> None:
    bench.outcomes = {"zookeeper": outcome(1, 1, 1), "redis": outcome(2, 2, 2)}
    found = one_round(bench, [(cluster, Load()) for cluster in clusters], 1)
    assert bench.order == ["redis:claim", "zookeeper:claim"]
    assert [cluster.name for cluster, _ in found] == ["zookeeper", "redis"]
    del bench.outcomes["zookeeper"]
    assert [c.name for c, _ in one_round(bench, [(c, Load()) for c in clusters], 1)] == ["redis"]


def test_the_table_has_the_median_and_both_ends_of_the_pairs(
    bench: PretendedBench, clusters: list[Cluster]
) -> None:
    for repeat, cpu_us in enumerate((50.0, 80.0, 60.0)):
        bench.outcomes = {"zookeeper": outcome(cpu_us, 1, 1), "redis": outcome(100, 1, 1)}
        speed.compare(bench, clusters, "reads", Load(op="read"), repeat)
    assert bench.order[0] == "zookeeper:sync-read", "each is asked by its own linearizable read"
    _, first, other = rows(bench.of("speed"), (speed.CPU_RATIO,))
    assert first[3] == "" and other[3] == "0.60 (0.50 to 0.80)"


def test_calls_are_those_of_many_claims_less_those_of_few(
    bench: PretendedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def calls(bench: Bench, system: object, load: Load) -> list[int]:
        return [9_000 + 200 * load.count, 7_000 + 80 * load.count, 8_000 + 90 * load.count]

    monkeypatch.setattr(speed, "_calls", calls)
    found = speed.calls_at_home_and_peer(bench, Counting, Load(outstanding=64))
    assert found == (200, 85)
