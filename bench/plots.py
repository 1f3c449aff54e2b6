"""Plots, as SVG and PNG. Without matplotlib there are none, and the report says so."""

import importlib
import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .results import Line, Run, lines

COLOURS = {
    "decreed": "#c1272d",
    "etcd": "#1f77b4",
    "zookeeper": "#2ca02c",
    "redis": "#888888",
    "pysyncobj": "#9467bd",
}
_OUTSTANDING = re.compile(r"(.*), (\d+) outstanding")


def missing() -> str:
    """Why nothing can be drawn; empty if it can."""
    if importlib.util.find_spec("matplotlib") is None:
        return "matplotlib not installed (pip install 'decreed[bench]')"
    return ""


def draw(path: Path, paint: Callable[[Any], None], title: str, x: str, y: str) -> None:
    """Let `paint` fill one pair of axes, and save it as SVG and PNG.

    Args:
        path: without a suffix.
        paint: takes the axes.
        title: above it.
        x: what the horizontal axis is, with the unit.
        y: the same for the vertical one.
    """
    if missing():
        return
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    paint(axes)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    for suffix in (".svg", ".png"):
        figure.savefig(path.with_suffix(suffix), dpi=120)
    pyplot.close(figure)


def latency_against_load(runs: Sequence[Run], path: Path) -> None:
    """How long a claim takes while ever more are under way: the curve that matters."""

    def paint(axes: Any) -> None:
        for system, points in _by_load(lines(runs)).items():
            colour = COLOURS.get(system)
            xs = [per_s for _, per_s, _, _ in points]
            axes.plot(xs, [p50 for *_, p50, _ in points], "o-", color=colour, label=system)
            axes.plot(xs, [p99 for *_, p99 in points], ":", color=colour, alpha=0.6)
            for outstanding, per_s, p50, _ in points:
                axes.annotate(f"{outstanding}", (per_s, p50), fontsize=7, alpha=0.7)
        axes.set(xscale="log", yscale="log")

    draw(
        path,
        paint,
        "Latency against load (solid p50, dotted p99; numbers: outstanding)",
        "operations per second",
        "latency, ms",
    )


def _by_load(found: Sequence[Line]) -> dict[str, list[tuple[int, float, float, float]]]:
    """For each system: outstanding, per second, p50 and p99 in ms, of its first kind of work."""
    curves: dict[str, list[tuple[int, float, float, float]]] = {}
    kind = ""
    for line in found:
        matched = _OUTSTANDING.fullmatch(line.work)
        values = [line.median(name) for name in ("per_s", "latency.p50_us", "latency.p99_us")]
        if matched is None or line.way != "protocol" or None in values:
            continue
        kind = kind or matched.group(1)
        if kind == matched.group(1):
            per_s, p50, p99 = (value or 0.0 for value in values)
            point = (int(matched.group(2)), per_s, p50 / 1e3, p99 / 1e3)
            curves.setdefault(line.system, []).append(point)
    return curves
