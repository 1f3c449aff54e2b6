"""The page about performance has the figures of the formula that `decreed bench` uses."""

import re

from bench.page_plots import PAGE, figures, number
from decreed.cli.bench.formula import CLAIMS_PER_CORE, MORE_SYNCS, REFERENCE_CPU_US

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_processor_time_of_a_claim_is_that_of_the_code() -> None:
    table = TEXT.partition("| in flight | processor time of a claim |")[2].partition("\n\n")[0]
    rows = re.findall(r"\| (\d+) \| ([\d,]+) us \|", table)
    assert {int(count): number(cpu_us) for count, cpu_us in rows} == REFERENCE_CPU_US


def test_the_constants_are_those_of_the_code() -> None:
    assert f"1 + N / {CLAIMS_PER_CORE}," in TEXT
    assert f"1 + {MORE_SYNCS} for each further home" in TEXT
    assert f"and {1 + 2 * MORE_SYNCS:.1f} for many claims" in TEXT


def test_the_last_column_of_the_formula_is_seen_divided_by_predicted() -> None:
    table = TEXT.partition("| claims a second | seen |")[2].partition("\n\n")[0]
    names = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:]]
    assert len(names) >= 5
    for name in names:
        seen, predicted, ratio = map(number, figures(name))
        assert abs(seen / predicted - ratio) < 0.02, name
