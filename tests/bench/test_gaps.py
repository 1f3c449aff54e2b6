"""Gaps: the longest silence in a part of a load."""

from bench.gaps import longest_gap, longest_gap_ms

BUSY, SILENT = [3, 10, 10, 10], [0, 0, 0, 0]
FOUND = {"series_ms": 2.0, "series": [BUSY, BUSY, SILENT, SILENT, BUSY, BUSY, SILENT, BUSY, BUSY]}


def test_a_gap_is_from_one_acknowledgement_to_the_next() -> None:
    assert longest_gap_ms(FOUND, 0.0, 1.0) == 6.0


def test_a_gap_counts_in_the_part_in_which_it_ends() -> None:
    assert longest_gap_ms(FOUND, 0.0, 0.006) == 2.0
    assert longest_gap_ms(FOUND, 0.006, 0.010) == 6.0
    assert longest_gap_ms(FOUND, 0.010, 1.0) == 4.0


def test_a_part_without_acknowledgements_has_no_gap_that_ends() -> None:
    assert longest_gap_ms(FOUND, 0.5, 1.0) == 0.0


def test_a_gap_is_found_with_its_end_counted_from_the_beginning_of_the_part() -> None:
    length_ms, end_s = longest_gap(FOUND, 0.004, 1.0)
    assert (length_ms, round(end_s, 6)) == (6.0, 0.004)
    assert longest_gap(FOUND, 0.5, 1.0) == (0.0, 0.0)
