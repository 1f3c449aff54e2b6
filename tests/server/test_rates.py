"""Log lines that strangers can cause have a bounded rate."""

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
