"""Log lines that strangers can cause have a bounded rate."""

import pytest

from decreed.registry.server import log
from decreed.registry.server.rates import BURST, MOST_THINGS, Rates


def test_an_event_is_logged_immediately_then_at_its_rate_and_the_rest_is_counted() -> None:
    rates = Rates()
    assert [rates.ask("x", 0.0) for _ in range(BURST + 5)] == [0] * BURST + [None] * 5
    assert rates.ask("y", 0.0) == 0, "each has its own"
    assert rates.ask("x", 1.0) == 5
    assert rates.ask("x", 1.5) is None
    assert [rates.ask("x", 1_000.0) for _ in range(BURST + 1)] == [1, *[0] * (BURST - 1), None]


def test_the_number_of_remembered_events_is_bounded() -> None:
    rates = Rates()
    for number in range(3 * MOST_THINGS):
        assert rates.ask(str(number), 0.0) == 0
    assert len(rates._said) == MOST_THINGS


def test_S84_an_unproven_address_has_one_line_in_ten_seconds_with_the_count_of_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(log, "RATES", Rates())
    monkeypatch.setattr(log, "UNPROVEN", Rates(burst=1, per_s=0.1))
    monkeypatch.setattr("decreed.registry.server.log.time.monotonic", lambda: now[0])
    for _ in range(5):
        for port in range(100):
            log.unproven("refused", f"10.0.0.1:{port}")
        log.unproven("refused", "10.0.0.2:1")
        now[0] += 9.9
        log.unproven("refused", "10.0.0.1:7")
        now[0] += 0.2
    lines = [record.__dict__["facts"] for record in caplog.records]
    mine = [facts for facts in lines if facts["address"].startswith("10.0.0.1:")]
    assert [facts.get("unsaid", 0) for facts in mine] == [0, 100, 100, 100, 100]
    assert len(lines) - len(mine) == 5
