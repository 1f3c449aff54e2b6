"""Tables, ratios and JSON."""

import json
from pathlib import Path

from bench.report import P50_MS, PER_S, cell, markdown, number, rows, write_runs
from bench.results import Run, flat, lines, ratio


def run(system: str, per_s: float, *, way: str = "protocol", repeat: int = 0) -> Run:
    figures = {"per_s": per_s, "latency.p50_us": 1e6 / per_s}
    return Run("claims", "claim", system, way, repeat, figures)


RUNS = [
    run("decreed", 300),
    run("etcd", 100),
    run("decreed", 200, repeat=1),
    run("etcd", 120, repeat=1),
    run("decreed", 400, repeat=2),
    run("etcd", 110, repeat=2),
    run("decreed", 30, way="library"),
]


def test_numbers_have_three_digits() -> None:
    assert [number(n) for n in (12345.6, 99.94, 9.876, 0.0123)] == [
        "12,346",
        "99.9",
        "9.88",
        "0.01",
    ]


def test_outcomes_are_flattened_to_numbers() -> None:
    outcome = {"done": 3, "op": "claim", "latency": {"p50_us": 2.5}, "series": [1, 2], "ok": True}
    assert flat(outcome) == {"done": 3.0, "latency.p50_us": 2.5}


def test_a_line_is_the_spread_of_its_runs() -> None:
    ours, theirs, library = lines(RUNS)
    assert (ours.median("per_s"), theirs.median("per_s")) == (300, 110)
    assert library.way == "library"
    assert ours.median("nothing") is None
    assert cell(ours.figures["per_s"], 1.0) == "300 (200 to 400)"
    assert cell(library.figures["per_s"], 1.0) == "30.0"
    assert cell(None, 1.0) == ""


def test_works_keep_their_order_whenever_a_system_did_them() -> None:
    first = Run("s", "a", "etcd", "protocol", 0, {})
    late = Run("s", "a", "decreed", "library", 0, {})
    other = Run("s", "b", "etcd", "protocol", 0, {})
    assert [line.work for line in lines([first, other, late])] == ["a", "a", "b"]


def test_ratios_compare_the_same_way_of_asking() -> None:
    found = lines(RUNS)
    ours, theirs, library = found
    assert ratio(theirs, found, "per_s") == 300 / 110
    assert ratio(ours, found, "per_s") is None
    assert ratio(theirs, [theirs, library], "per_s") is None


def test_the_table_ends_with_the_ratio() -> None:
    table = rows(RUNS, (PER_S, P50_MS))
    assert table[0] == ["work", "system", "by", "per s", "p50 ms", "decreed ÷ it"]
    assert [row[-1] for row in table[1:]] == ["", "2.73", ""]
    written = markdown(table).splitlines()
    assert written[1] == "|---|---|---|---|---|---|"
    assert written[3].startswith("| claim | etcd | protocol | 110 (100 to 120) |")


def test_if_the_first_figure_is_missing_the_next_is_compared() -> None:
    runs = [
        Run("reads", "watch", system, "protocol", 0, {"latency.p50_us": p50})
        for system, p50 in (("decreed", 300.0), ("etcd", 100.0))
    ]
    assert rows(runs, (PER_S, P50_MS))[2][-1] == "3.00"


def test_the_json_holds_every_run_and_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    write_runs(path, RUNS, {"cores": 2})
    document = json.loads(path.read_text())
    assert len(document["runs"]) == len(RUNS)
    assert document["about"] == {"cores": 2}
    assert document["summary"][0]["figures"]["per_s"] == {
        "median": 300, "least": 200, "greatest": 400, "runs": 3,
    }  # fmt: skip
