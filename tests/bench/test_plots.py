"""Plots are drawn from runs, as SVG and PNG."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench import plots
from bench.report import PER_S
from bench.results import Run

CURVE = [
    Run(
        "claims", f"claim, {outstanding} outstanding", system, "protocol", 0,
        {"per_s": 100.0 * outstanding, "latency.p50_us": 900.0, "latency.p99_us": 4000.0},
    )
    for outstanding in (1, 64)
    for system in ("decreed", "etcd")
]  # fmt: skip
SIZES = [
    Run("nodes", f"{nodes} nodes, claim, 64 outstanding", "decreed", "protocol", 0,
        {"per_s": 1000.0, "nodes": float(nodes)})
    for nodes in (1, 3)
]  # fmt: skip
FAULT = [
    Run("failover", "killed", "decreed", "protocol", 0, {"struck_after_ms": 20.0},
        {"series": [[3, 1, 2, 3], [0, 0, 0, 0], [5, 1, 2, 3]], "series_ms": 10.0})
]  # fmt: skip
KEYS = [
    Run("growth", f"{keys} keys", "decreed", "protocol", repeat,
        {"keys": float(keys), "server_cpu_us": 100.0 + repeat})
    for keys in (1000, 9000)
    for repeat in (0, 1)
]  # fmt: skip
SOAK = [
    Run("soak", "long", "decreed", "protocol", 0, {},
        {"series": [[9, 1, 2, 3]] * 4, "series_ms": 1000.0, "sizes": [[0.1, 70.0, 20]]})
]  # fmt: skip


@pytest.mark.parametrize(
    ("plot", "runs", "written"),
    [
        (plots.latency_against_load, CURVE, "plot"),
        (plots.bars(PER_S), CURVE, "plot"),
        (plots.throughput_against_nodes, SIZES, "plot"),
        (plots.timeline, FAULT, "plot-1"),
        (plots.growth, KEYS, "plot"),
        (plots.soak, SOAK, "plot"),
    ],
)
def test_a_plot_is_drawn(
    plot: Callable[[Sequence[Run], Path], None], runs: Sequence[Run], written: str, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    plot(runs, tmp_path / "plot")
    assert (tmp_path / f"{written}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / f"{written}.svg").read_text()


def test_without_matplotlib_no_plot_is_drawn_and_that_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "not installed" in plots.missing()
    plots.latency_against_load(CURVE, tmp_path / "plot")
    assert list(tmp_path.iterdir()) == []
