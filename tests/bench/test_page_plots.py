"""The plots on the page about performance show the figures of its table."""

import re

import pytest

from bench.page_plots import FOLDER, PAGE, PLOTS, Plot, drawn, figures, number


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_a_plot_is_as_the_table_says(plot: Plot) -> None:
    shown = (FOLDER / f"{plot.name}.svg").read_text(encoding="utf-8")
    assert shown == drawn(plot), "draw them again: python -m bench.page_plots"


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_each_figure_of_the_rows_has_a_bar_as_long_as_it_is_large(plot: Plot) -> None:
    values = [number(f) for row, _ in plot.rows for f in figures(row)[: len(plot.columns)] if f]
    widths = [int(w) for w in re.findall(r'width="(\d+)" height="20"', drawn(plot))]
    assert len(widths) == len(values)
    scale = max(widths) / max(values)
    assert all(abs(w - max(2, v * scale)) <= 1 for w, v in zip(widths, values, strict=True))


def test_every_plot_is_on_the_page() -> None:
    shown = set(re.findall(r"\]\(plots/(\w+)\.svg\)", PAGE.read_text(encoding="utf-8")))
    assert shown == {plot.name for plot in PLOTS} == {path.stem for path in FOLDER.iterdir()}
