"""Plots, as SVG and PNG. Without matplotlib no plot is drawn, and the report says so."""

import importlib
import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .report import Column
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
        title: above the plot.
        x: the label of the horizontal axis, with the unit.
        y: the label of the vertical axis, with the unit.
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
    """Latency of claims against throughput, as more and more are outstanding."""

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


def bars(column: Column, *, logarithmic: bool = False) -> Callable[[Sequence[Run], Path], None]:
    """A plot of one figure as bars, a group for each work."""

    def plot(runs: Sequence[Run], path: Path) -> None:
        found = [line for line in lines(runs) if column.figure in line.figures]
        names = [f"{line.work} | {line.system} ({line.way})" for line in found]

        def paint(axes: Any) -> None:
            spreads = [line.figures[column.figure] for line in found]
            medians = [one.median / column.scale for one in spreads]
            below = [(one.median - one.least) / column.scale for one in spreads]
            above = [(one.greatest - one.median) / column.scale for one in spreads]
            colours = [COLOURS.get(line.system) for line in found]
            places = range(len(found))
            axes.barh(places, medians, xerr=[below, above], color=colours, ecolor="#555555")
            axes.set_yticks(places, names, fontsize=6)
            axes.invert_yaxis()
            # a linear scale would hide the small bars
            if logarithmic or (medians and max(medians) > 50 * max(min(medians), 1e-9)):
                axes.set_xscale("log")

        draw(path, paint, column.title, f"{column.title}, median and range", "")

    return plot


def throughput_against_nodes(runs: Sequence[Run], path: Path) -> None:
    """Claims per second of clusters of different sizes."""

    def paint(axes: Any) -> None:
        curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for line in lines(runs):
            nodes, per_s = line.median("nodes"), line.median("per_s")
            if nodes is not None and per_s is not None:
                load = line.work.split(", ", 1)[1]
                curves.setdefault((line.system, load), []).append((nodes, per_s))
        for (system, load), points in curves.items():
            style = "o-" if "256" in load else "o--"
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, style, color=COLOURS.get(system), label=f"{system}, {load}")
        axes.set(yscale="log", xticks=[1, 3, 5, 7])

    draw(path, paint, "Throughput against nodes", "nodes", "claims per second")


def timeline(runs: Sequence[Run], path: Path) -> None:
    """Claims acknowledged in each interval around a fault, for each system's first run."""
    works = list(dict.fromkeys(run.work for run in runs))
    for place, work in enumerate(works):

        def paint(axes: Any, work: str = work) -> None:
            for run in runs:
                if run.work == work and run.repeat == 0 and run.detail.get("series"):
                    xs, ys = _around_fault(run)
                    style = "-" if run.way == "protocol" else "--"
                    label = f"{run.system} ({run.way})"
                    axes.plot(xs, ys, style, color=COLOURS.get(run.system), label=label, lw=0.9)
            axes.axvline(0, color="black", lw=0.8)
            axes.set_xlim(-500, 3000)

        name = path.with_name(f"{path.name}-{place + 1}")
        title = f"Claims acknowledged around the moment of: {work}"
        draw(name, paint, title, "ms since the fault", "claims per second")


def _around_fault(run: Run) -> tuple[list[float], list[float]]:
    cell_ms = run.detail["series_ms"]
    xs, ys = list[float](), list[float]()
    for place, cell in enumerate(run.detail["series"]):
        xs.append(place * cell_ms - run.figures["struck_after_ms"])
        ys.append(cell[0] * 1000 / cell_ms)
    return xs, ys


def growth(runs: Sequence[Run], path: Path) -> None:
    """CPU time of a claim against the number of keys."""

    def paint(axes: Any) -> None:
        found = [(line.median("keys"), line.figures["server_cpu_us"]) for line in lines(runs)]
        xs = [keys for keys, _ in found]
        axes.plot(xs, [cost.median for _, cost in found], "o-", color=COLOURS["decreed"])
        lows, highs = [cost.least for _, cost in found], [cost.greatest for _, cost in found]
        axes.fill_between(xs, lows, highs, color=COLOURS["decreed"], alpha=0.15)
        axes.set(xscale="log")
        axes.set_ylim(bottom=0)

    draw(path, paint, "Cost of a claim against keys", "keys there", "server CPU, us per claim")


def prediction(runs: Sequence[Run], path: Path) -> None:
    """Claims a second as predicted and as seen; the band is 30 % to either side."""

    def paint(axes: Any) -> None:
        places: dict[str, list[tuple[float, float]]] = {}
        for line in lines(runs):
            predicted, seen = line.median("predicted_per_s"), line.median("per_s")
            if predicted is not None and seen is not None:
                machine = line.work.split(", ", 2)[2]
                places.setdefault(machine, []).append((predicted, seen))
        ends = [edge(x for found in places.values() for x, _ in found) for edge in (min, max)]
        axes.plot(ends, ends, color="black", lw=0.8)
        axes.fill_between(ends, [0.7 * x for x in ends], [1.3 * x for x in ends], alpha=0.15)
        for machine, found in places.items():
            axes.plot(*zip(*found, strict=True), "o", label=machine)
        axes.set(xscale="log", yscale="log")

    draw(path, paint, "Claims a second", "predicted", "seen")


def soak(runs: Sequence[Run], path: Path) -> None:
    """Latency and memory over the time of a soak."""

    def paint(axes: Any) -> None:
        run = runs[0]
        cells = run.detail["series"]
        seconds = [place * run.detail["series_ms"] / 1e3 for place in range(len(cells))]
        for place, name in ((1, "p50"), (2, "p99"), (3, "worst")):
            values = [cell[place] / 1e3 for cell in cells]
            axes.plot(seconds, values, label=f"{name}, ms", lw=0.8)
        sizes = run.detail["sizes"]
        memory = [memory for _, memory, _ in sizes]
        axes.plot([moment for moment, *_ in sizes], memory, "k--", label="memory of a node, MB")
        axes.set(yscale="log")

    draw(path, paint, "Soak", "seconds", "ms, or MB")
